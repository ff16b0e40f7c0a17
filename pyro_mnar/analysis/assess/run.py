"""The whole way in one call: profile, evidence, fit, checks, imputations, and what the conclusion rests on."""

import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyro_mnar.analysis.assess import profile
from pyro_mnar.analysis.assess.answers import answers
from pyro_mnar.analysis.assess.assessment import Assessment
from pyro_mnar.analysis.assess.budget import Budget, Effort, effort
from pyro_mnar.analysis.assess.conclusion import conclude, named_quantity, numbers_of, varied_column, with_numbers
from pyro_mnar.analysis.assess.evidence import evidence
from pyro_mnar.analysis.assess.steps import Steps, key_of
from pyro_mnar.analysis.assess.summary import summarise
from pyro_mnar.analysis.checks import check
from pyro_mnar.analysis.comparison import compare
from pyro_mnar.analysis.sensitivity import MOST_ROWS_OF_BOUND, some_rows
from pyro_mnar.data.arguments import finite_number, instance_only, path_only, truth_value, whole_number
from pyro_mnar.data.kinds.declared import Types
from pyro_mnar.data.kinds.notes import notes_on
from pyro_mnar.data.signs import in_words, signs_of_missing
from pyro_mnar.errors import InvalidInputError, MNARWarning, UnreliableWeightsWarning
from pyro_mnar.estimators import MNARImputer
from pyro_mnar.inference.progress import progress
from pyro_mnar.model.mechanisms import Mechanism

#: Shares of the time that is left when a step begins, roughly.
_STEPS = {
    "fitting the model": 0.0,
    "checking the fit against simulated tables": 0.25,
    "imputing the missing cells": 0.32,
    "comparing mechanisms on held-out rows": 0.5,
    "trying other assumptions": 0.6,
}


def assess(
    X: Any,
    quantity: str | Callable[[pd.DataFrame], Any] | None = None,
    *,
    budget: Budget = "quick",
    mechanism: str | Mechanism = "auto",
    types: Types = None,
    vary: str | None = None,
    reference: float | None = None,
    title: str = "the table",
    folder: str | os.PathLike[str] | None = None,
    random_state: int = 0,
    verbose: bool | None = None,
) -> Assessment:
    """Go from a table with holes to what it says, what was put in, and what the conclusion rests on.

    The table is profiled; evidence is looked for that columns hide their own values; the model is fitted, checked
    against tables that it simulates, and asked for the missing cells; and the quantity is followed while the assumption
    about the missing values is varied. The parts are those of the package: :class:`~pyro_mnar.MNARImputer`,
    :mod:`pyro_mnar.ppc`, :mod:`pyro_mnar.comparison`, :mod:`pyro_mnar.sensitivity` and :mod:`pyro_mnar.pooling`.

    Parameters
    ----------
    X : DataFrame
        The table, shape (n, p), of any columns that :class:`~pyro_mnar.MNARImputer` takes; NaN, None, NA and NaT are
        missing.
    quantity : str, callable or None
        What it is about: a column (its mean), "column=level" (the share of a level), or a function from a completed
        table to a number, or to (number, squared standard error). None takes the mean of the column of numbers that
        most needs it.
    budget : {"quick", "standard", "thorough"}
        How much to spend: up to a minute for a thousand rows (two for twenty thousand), some minutes, or an hour.
        "quick" tries three assumptions with two fits each and compares no mechanisms; of large tables it checks 2,000
        rows and refines 1,500. What was done on fewer rows is in ``notes`` and the summary.
    mechanism, types
        As for :class:`~pyro_mnar.MNARImputer`: what is known of why cells are missing, and of what columns are.
    vary : str or None
        The column of numbers whose assumption is varied; None takes the quantity's, or the likeliest to hide itself.
    reference : float or None
        The value at which your conclusion changes, in units of the quantity; None takes the quantity of the observed
        values alone.
    title : str
        Of the page.
    folder : path or None
        Where finished steps are kept: the same call, started again after an interruption, goes on from there.
    random_state : int
        Seed; the same seed gives the same assessment.
    verbose : bool or None
        Whether to show progress; None shows it in terminals and notebooks.

    Returns
    -------
    Assessment
        Everything that was found; printed, a summary.

    Raises
    ------
    InvalidInputError
        No DataFrame, no hole, an unknown budget, quantity or column; and what :meth:`MNARImputer.fit` raises.

    Examples
    --------
    >>> from pyro_mnar.datasets.survey import make_survey
    >>> survey, complete = make_survey(300)
    >>> found = assess(survey, "income", budget="quick")
    >>> found.evidence["column"].tolist(), found.conclusion.name
    (['income', 'spending'], 'mean of income')
    """
    spent, seed = effort(budget), whole_number("random_state", random_state, 0, 2**31 - 1)
    instance_only("mechanism", mechanism, (str, Mechanism, Mapping), "a mechanism, its name, or a mapping of columns")
    instance_only("title", title, str, "a text")
    if quantity is not None and not callable(quantity):
        instance_only("quantity", quantity, str, "a column, 'column=level', or a function of a completed table")
    if vary is not None:
        instance_only("vary", vary, str, "None, or the name of a column")
    reference = None if reference is None else finite_number("reference", reference)
    verbose = None if verbose is None else truth_value("verbose", verbose)
    if folder is not None:
        path_only("folder", folder)
    frame = _checked(X)
    started = time.perf_counter()
    settings = {
        "budget": budget,
        "mechanism": _described(mechanism),
        "types": str(types),
        "seed": seed,
    }
    steps = Steps(None if folder is None else Path(folder), key_of(frame, settings))
    with progress(verbose) as report, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", MNARWarning)
        # Which rows these are is part of what is found.
        warnings.simplefilter("ignore", UnreliableWeightsWarning)

        def begin(step: str, share: float = 0.0) -> None:
            later = [begun for begun in _STEPS.values() if begun > _STEPS[step]]
            report(_STEPS[step] + share * (min(later, default=1.0) - _STEPS[step]), 1.0, step)

        begin("fitting the model")
        model = MNARImputer(mechanism, types=types, n_draws_posterior=spent.n_draws, random_state=seed, verbose=verbose)
        # The quantity is looked at before anything long is done, as far as it can be.
        if isinstance(quantity, str) and quantity.rpartition("=")[0] not in frame and quantity not in frame:
            raise InvalidInputError(
                f"quantity is {quantity!r}, which is no column; the columns are {list(frame.columns)}"
            )
        imputer = steps.model(lambda: model.fit(frame))
        found = evidence(imputer)
        numbers = numbers_of(imputer)
        named = named_quantity(quantity, frame, found, numbers)
        seen, limited = with_numbers(imputer, frame)
        free = [name for name in numbers if name not in limited]
        varied = varied_column(vary, named, found, free) if named is not None else None
        begin("checking the fit against simulated tables")
        some, notes = some_rows(frame, spent.most_rows, seed), []
        if len(some) < len(frame):
            notes.append(
                f"the checks and comparisons are made on {len(some):,} of the {len(frame):,} rows, drawn at random"
            )
        checks = steps.frame("checks", lambda: check(imputer, some, n_tables=spent.n_tables, random_state=seed))
        begin("imputing the missing cells")
        filled = answers(imputer, frame, spent.n_draws, spent.n_imputations, spent.most_refined, spent.refinement)
        compared = pd.DataFrame()
        if spent.compared_fits:
            begin("comparing mechanisms on held-out rows")
            compared = steps.frame("comparison", lambda: _compared(imputer, some, spent, seed))
        conclusion = None
        if named is not None:
            begin("trying other assumptions")
            if varied is not None and len(frame) > MOST_ROWS_OF_BOUND:
                notes.append(
                    f"the bounds of fits under other assumptions are means over {MOST_ROWS_OF_BOUND:,} of the "
                    f"{len(frame):,} rows, drawn at random"
                )
            conclusion = conclude(
                named,
                varied,
                frame,
                seen,
                filled.tables,
                found,
                spent,
                imputer,
                reference,
                seed,
                steps,
                lambda share: begin("trying other assumptions", share),
            )
    holes = profile.holes(frame, imputer.schema_)
    masks = profile.mask_dependences(imputer.table(frame), imputer.columns_.names, imputer._schema.owners())
    return Assessment(
        title=title,
        budget=budget,
        random_state=seed,
        X=frame,
        profile=holes,
        patterns=profile.patterns(frame),
        masks=masks,
        evidence=found,
        comparison=compared,
        checks=checks,
        **vars(filled),
        conclusion=conclusion,
        summary=summarise(frame, holes, masks, found, checks, filled.rows, conclusion),
        imputer=imputer,
        notes=(
            *notes,
            *notes_on(imputer._schema.columns, frame),
            *dict.fromkeys(str(w.message) for w in told if issubclass(w.category, MNARWarning)),
        ),
        seconds=time.perf_counter() - started,
    )


def _described(mechanism: Any) -> str:
    """A mechanism by its parameters."""
    if isinstance(mechanism, Mapping):
        return str({str(name): _described(part) for name, part in mechanism.items()})
    return mechanism if isinstance(mechanism, str) else repr(mechanism) + str(vars(mechanism))


def _checked(X: Any) -> pd.DataFrame:
    """The table with its columns named by texts; InvalidInputError: no table, no hole, or a name twice."""
    if not isinstance(X, pd.DataFrame):
        raise InvalidInputError(f"X is of type {type(X).__name__}; give a pandas DataFrame with named columns")
    frame = X.rename(columns=str)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InvalidInputError(f"X has the column {twice!r} more than once; rename one of them")
    if not frame.isna().to_numpy().any():
        signs = in_words(signs_of_missing(frame))
        hint = (
            f": if {signs} marks missing ones, replace it by float('nan')" if signs else "; there is nothing to assess"
        )
        raise InvalidInputError(f"no cell of X is missing{hint}")
    return frame


def _compared(imputer: MNARImputer, X: pd.DataFrame, spent: Effort, seed: int) -> pd.DataFrame:
    """Mechanisms fitted to two thirds of the rows, compared on the others."""
    order = np.random.default_rng(seed).permutation(len(X))
    train, held_out = X.iloc[np.sort(order[len(X) // 3 :])], X.iloc[np.sort(order[: len(X) // 3])]
    models: dict[str, list[MNARImputer]] = {}
    for name in ("auto", "ignorable", "self-masking"):
        for again in range(spent.compared_fits):
            one = MNARImputer(name, types=imputer.types, n_draws_posterior=spent.n_draws, random_state=seed + again)
            one.set_params(verbose=imputer.verbose).take_kinds_from(X)
            models.setdefault(name, []).append(one.fit(train))
    return compare(models, held_out)
