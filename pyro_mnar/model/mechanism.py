"""What every mechanism p(s | x) offers, and the one that is none."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from pyro.distributions import Bernoulli
from torch import Tensor, nn

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.curve import Curve


class Mechanism(nn.Module, ABC):
    """Base of all mechanisms: ``forward(x)`` is p(s | x)."""

    def setup(self, columns: ColumnInfo) -> None:
        """Make the parameters for a table's ``columns``, if it has any; called once on a copy, before training."""

    def setup_code(self, latent_dim: int) -> None:
        """Make the parameters that belong to a code z of L numbers, if it has any; called after :meth:`setup`."""

    @abstractmethod
    def forward(self, x: Tensor) -> Bernoulli:
        """p(s | x): for standardised rows x (..., p), a Bernoulli of the same shape with 1 = observed."""

    def masked(self) -> Tensor | None:
        """The columns of which the mask tells something, bool, shape (p,), after :meth:`setup`; None: all of them."""
        return None

    def freedom(self) -> Tensor | None:
        """Degrees of freedom of each column's errors, shape (p,), after :meth:`setup`; None: all are normal.

        Infinite where a column's errors are normal, NaN where those of its Student's t are to be learned.
        """
        return None

    @property
    def by_own_value(self) -> bool:
        """Whether each cell goes missing by its own value (and the code) alone."""
        return self.curve() is not None

    def curve(self, z: Tensor | None = None) -> Curve | None:
        """The mechanism as one curve per cell if it has that form, which allows exact marginalisation; else None.

        Parameters
        ----------
        z : Tensor or None
            Codes, shape (K, n, L), for a mechanism that depends on them; None takes the prior's mean, 0.
        """
        return None

    def curve_of_rows(self, rows: Batch, z: Tensor | None = None) -> Curve | None:
        """:meth:`curve`, which may also depend on what is observed of the rows, shape (n, p)."""
        return self.curve(z)

    def given_row(self, x: Tensor, z: Tensor, rows: Batch) -> Bernoulli:
        """p(s | x, z, x_obs): p(s | x), unless it depends on the code z, or on what is observed, too.

        Parameters
        ----------
        x : Tensor
            Standardised rows, shape (K, n, p), or (K, n, M, p).
        z : Tensor
            Codes, shape (K, n, L).
        rows : Batch
            What is observed of each row, and what is beside the model.
        """
        return self(x)

    @property
    def observed_weights(self) -> Tensor | None:
        """How what is observed moves the argument of each column's curve, shape (p, 2 (p + q)); None: nothing does."""
        return None

    @property
    def parents(self) -> Mapping[int, Sequence[int]]:
        """The columns of the model on whose observed cells the mask of each column depends."""
        return {}

    @property
    def blocks(self) -> list[list[int]]:
        """Columns of the model that go missing together, by position, after :meth:`setup`."""
        return []

    @property
    def beside(self) -> list[str]:
        """Columns of the table that the mechanism alone reads, by name."""
        return []


class Ignorable(Mechanism):
    """No mechanism: the mask carries no information given x_obs (MCAR or MAR). Gives MIWAE and supMIWAE.

    References
    ----------
    Rubin 1976; Mattei & Frellsen 2019, arXiv:1812.02633.
    """

    def forward(self, x: Tensor) -> Bernoulli:
        """Not part of the model, for rows ``x`` (..., p): there is no site ``s``, and no shape.

        Raises
        ------
        NotImplementedError
            always.
        """
        raise NotImplementedError("an ignorable mechanism has no p(s|x)")
