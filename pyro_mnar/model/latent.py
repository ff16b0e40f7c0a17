"""A mechanism in which a cell's own value has no part: what the row has in common, and what is observed of it."""

import torch
from torch import Tensor, nn

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.model.curve import Curve, inverse_cdf
from pyro_mnar.model.observed import Parents
from pyro_mnar.model.on_observed import OnObserved


class Latent(OnObserved):
    r"""A cell goes missing by what its row has in common, and by observed cells, but not by its own value.

    .. math:: P(s_j = 0 | x, z) = \Phi(v_j \cdot z + c_j + d_j(x_{obs}))

    A shared-parameter model; with ``depends_on``, no self-censoring given z. x_mis has no part in the mask term, so
    nothing is left to integrate. Values are missing not at random as far as z is not known from what is observed.

    For columns that go missing together, such as a page of a questionnaire, name them in one key: the block has one
    mask, of which the probability is that of its first column. What else tells of z is all that then tells of the lost
    values: where little does, on which side they lie is hardly identified.

    Parameters
    ----------
    depends_on, mechanism_features
        As for :class:`~pyro_mnar.model.mechanisms.SelfMasking`: d is linear in the observed cells of these columns, and
        has a number of its own for each that is missing.

    References
    ----------
    Vonesh & Follmann 1995 (shared-parameter models); Sadinle & Reiter 2017, Biometrika 104; Malinsky, Shpitser &
    Tchetgen Tchetgen 2022 (no self-censoring).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from pyro_mnar import MNARImputer
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(60, 4)), columns=["age", "q1", "q2", "q3"])
    >>> table.loc[rng.random(60) < 0.3, ["q2", "q3"]] = np.nan
    >>> imputer = MNARImputer({("q2", "q3"): Latent(depends_on=["age"])}, max_iter=2, random_state=0).fit(table)
    >>> imputer.mechanism_report()["words"][3][:46]
    'q3: goes missing together with q2, by what its'
    """

    def __init__(self, depends_on: Parents = None, mechanism_features: Parents = None) -> None:
        super().__init__(depends_on, mechanism_features)

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`.

        Raises
        ------
        InvalidInputError
            A mask that depends on an unknown column, or on itself.
        """
        self.setup_observed(columns)
        rates = torch.as_tensor(columns.missing_rate, dtype=torch.get_default_dtype()).clamp(0.02, 0.98)
        self.intercept = nn.Parameter(inverse_cdf(rates, "probit"))

    def setup_code(self, latent_dim: int) -> None:
        self.loading = nn.Parameter(self.intercept.new_zeros(len(self.intercept), latent_dim))

    def curve(self, z: Tensor | None = None) -> Curve:
        intercept = self.intercept if z is None else self.intercept + z @ self.loading.T
        flat = torch.ones_like(self.intercept, dtype=torch.bool)
        return Curve(torch.zeros_like(self.intercept), intercept, "probit", flat)
