"""All that an assessment found, in one object."""

import os
from dataclasses import dataclass
from pathlib import Path

from pyro_mnar.analysis.assess.findings import Findings
from pyro_mnar.analysis.page.page import page
from pyro_mnar.data.arguments import path_only
from pyro_mnar.data.atomic import replacing


@dataclass(frozen=True, repr=False)
class Assessment(Findings):
    """What a table says about its missing values, what was put in their place, and what that rests on.

    Printed, it is its summary. :meth:`to_html` puts everything on one page.

    Attributes
    ----------
    title : str
        Of the page.
    budget : str
        What was spent.
    random_state : int
        The seed.
    X : DataFrame
        The table, shape (n, p).
    profile : DataFrame
        One line per column: kind, why, missing cells, range or levels of the observed values.
    patterns : DataFrame
        Which columns are missing together, and in how many rows.
    masks : DataFrame
        What goes with a column's being missing; see :func:`~pyro_mnar.analysis.assess.profile.mask_dependences`.
    evidence : DataFrame
        Which columns hide their own values, and how sure that is; see
        :func:`~pyro_mnar.analysis.assess.evidence.evidence`.
    comparison : DataFrame
        From :func:`pyro_mnar.comparison.compare`, on rows that were held out; empty where the budget is "quick".
    checks : DataFrame
        From :func:`pyro_mnar.ppc.check`.
    completed : DataFrame
        The table with conditional means, or likeliest levels, in its holes.
    tables : list of DataFrame
        Completed tables with draws in their holes, for Rubin's rules (:mod:`pyro_mnar.pooling`).
    cells : DataFrame
        One line per missing cell: row, column, value, and low, median, high of its 90 % interval; for labels the chance
        of the likeliest.
    rows : DataFrame
        One line per row: missing cells, effective_draws, pareto_k, reliable, and refined, whether it was given a
        proposal of its own; of rows without holes nothing is drawn.
    histograms, curves : dict of DataFrame
        By column: cells per bin, observed and imputed; and the learned chance to be missing over the values.
    conclusion : Conclusion or None
        The quantity, and what it would be under other assumptions; None where no column of numbers has holes and no
        quantity was named.
    summary : Summary
        Sentences: found, assumed, ask.
    imputer : MNARImputer
        The fitted model.
    notes : tuple of str
        What was done otherwise than asked, or on fewer rows, and warnings on the way.
    seconds : float
        How long it took.
    """

    def __repr__(self) -> str:
        """The summary."""
        return f"Assessment of {self.title}\n\n{self.summary}"

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one page that needs nothing else: no network, no other file.

        Parameters
        ----------
        path : path
            Of the file; one that is there is replaced.

        Returns
        -------
        Path
            The same.

        Raises
        ------
        InvalidInputError
            There is no folder to put it in.
        OSError
            It cannot be written.
        """
        path_only("path", path)
        with replacing(path) as temporary:
            temporary.write_text(page(self), encoding="utf-8")
        return Path(path)
