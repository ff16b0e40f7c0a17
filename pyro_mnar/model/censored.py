"""Values of which only limits are known: no mechanism of the mask, but evidence about the values."""

from pyro_mnar.data.limits import Limits
from pyro_mnar.model.mechanism import Ignorable


class Censored(Ignorable):
    """A missing cell lies within known limits: below a detection limit, above a top code, in a class of incomes.

    ``p(l_j <= x_j <= u_j | z) = Phi((u_j - m_j(z)) / s_j(z)) - Phi((l_j - m_j(z)) / s_j(z))``

    takes the place of a density in the bound, on the scale on which the column is modelled, and a sum over levels or
    point masses where the column has these. Limits may differ from row to row. That the cell is missing is explained
    by its interval, so it has no mask term, and imputed values lie within it. A missing cell without limits counts as
    missing at random.

    Texts in the column itself are read as limits: "<0.5", "<=0.5", ">200", ">=200", "90+", "0.1-0.5". Other forms are
    declared:

    Parameters
    ----------
    lower, upper : float, str or None
        Limits between which missing cells lie, ends included: a number for all rows, or the name of a column that holds
        one for each row (empty cells: no limit). ``upper`` alone is a detection limit, ``lower`` alone a top code.
    flag : str or None
        Name of a column that says where the value in the censored column is itself a limit: "left" (the cell lies below
        it), "right" (above), "interval" (between it and ``upper``) or "none"; or -1, 1, 2 and 0; True means "left".
        Columns that hold limits or flags are passed through and not modelled.

    References
    ----------
    Tobin 1958; Helsel 2012, Statistics for Censored Environmental Data (R's NADA); Buerkner 2017 (``cens()`` of brms).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from pyro_mnar import MNARImputer
    >>> lead = np.exp(np.random.default_rng(0).normal(size=60)).round(2)
    >>> table = pd.DataFrame({"lead": [f"{x}" if x > 0.6 else "<0.6" for x in lead], "zinc": lead**2})
    >>> done = MNARImputer({"lead": Censored()}, max_iter=2, random_state=0).fit_transform(table)
    >>> bool((done["lead"][lead <= 0.6] < 0.6).all())
    True
    """

    def __init__(
        self, lower: float | str | None = None, upper: float | str | None = None, flag: str | None = None
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.flag = flag

    @property
    def limits(self) -> Limits:
        """Where the limits are to be found."""
        return Limits(self.lower, self.upper, self.flag)
