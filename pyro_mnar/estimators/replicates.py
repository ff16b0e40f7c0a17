"""Tables simulated from a fitted model, values and masks, of the size of the one at hand."""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pyro import poutine

from pyro_mnar.data.arguments import one_of, seed_of, whole_number
from pyro_mnar.data.columns import FloatArray, original, possible
from pyro_mnar.data.kinds.schema import Schema
from pyro_mnar.data.raw import BoolArray
from pyro_mnar.estimators.fitted import Fitted
from pyro_mnar.estimators.mask_at_random import fit_mask_at_random

Codes = Literal["prior", "posterior"]

_ROWS_AT_ONCE = 2**16


class LabelColumn(NamedTuple):
    """A column of labels: the model has a column of 0 and 1 for each label, or one for the second of two."""

    name: str
    #: The model's columns, by position, and the label of which each says whether it is there.
    columns: tuple[int, ...]
    levels: tuple[str, ...]


class Replicates(NamedTuple):
    """The table at hand, and R tables simulated from the fitted model, values in original units."""

    names: tuple[str, ...]
    #: The data, shape (n, p), NaN = missing.
    table: FloatArray
    #: Simulated complete tables, shape (R, n, p).
    values: FloatArray
    #: Their masks, bool, shape (R, n, p), True = observed.
    observed: BoolArray
    #: The z that they were made from, shape (R, n, L).
    codes: FloatArray
    #: y of the simulated rows, shape (R, n), on the model's scale, if there is a model of y.
    target: FloatArray | None
    #: Columns of which some cells are known by limits: the limits that other rows would have had are not in the model,
    #: so their masks in the simulated tables are those of the data, and mean nothing.
    censored: tuple[int, ...] = ()
    labels: tuple[LabelColumn, ...] = ()


def simulate(
    estimator: Fitted,
    X: npt.ArrayLike,
    n_tables: int = 500,
    codes: Codes | torch.Tensor = "prior",
    random_state: int = 0,
) -> Replicates:
    r"""Simulate tables of the size of ``X`` from a fitted model: z, then x ~ p(x|z), then s ~ p(s|x).

    A model with an ignorable mechanism does not say how the mask came about; it gets the simplest mask that is
    ignorable and follows the data, one that depends on the complete columns
    (:mod:`pyro_mnar.estimators.mask_at_random`).

    Parameters
    ----------
    estimator : MNARImputer, MNARClassifier or MNARRegressor
        Fitted.
    X : array-like
        The table, shape (n, p), NaN = missing.
    n_tables : int
        R, at least 1.
    codes : {"prior", "posterior"} or Tensor
        Where z comes from. "prior" makes new rows: it checks the whole model. "posterior" makes new values and masks
        for the same rows, from p(z | x_obs, s): it uses the data twice, so it forgives more. A tensor holds the codes
        themselves, shape (R, n, L).
    random_state : int
        Seed; torch's global generator is left alone.

    Raises
    ------
    InvalidInputError
        ``n_tables`` below 1, or another value of ``codes``.
    """
    n_tables = whole_number("n_tables", n_tables)
    random_state = seed_of("random_state", random_state)
    if not isinstance(codes, torch.Tensor):
        one_of("codes", codes, ("prior", "posterior"))
    table = estimator.table(X)
    n, beside = len(table), None if estimator.columns_.beside is None else estimator.batch(X).beside
    tables_at_once = max(1, _ROWS_AT_ONCE // n)
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        like = next(estimator.joint_.parameters())
        z = None
        if isinstance(codes, torch.Tensor):
            z = codes.to(like)
        elif codes == "posterior":
            generator = torch.Generator().manual_seed(random_state)
            z = estimator.posterior(X).codes(n_tables, generator).to(like)
        for start in range(0, n_tables, tables_at_once):
            count = min(tables_at_once, n_tables - start)
            given = {} if z is None else {"z": z[start : start + count].flatten(0, 1)}
            of_rows = None if beside is None else beside.repeat(count, 1)
            generate = poutine.trace(poutine.condition(estimator.joint_.generate, given))
            nodes = generate.get_trace(count * n, of_rows).nodes
            for site in ("z", "x", "s", "y"):
                if site in nodes:
                    value = nodes[site]["value"].cpu().numpy()
                    parts.setdefault(site, []).append(value.reshape(count, n, *value.shape[1:]))
    drawn = {site: np.concatenate(values) for site, values in parts.items()}
    x = possible(original(drawn["x"].astype(np.float64), estimator.columns_), estimator.columns_)
    if "s" in drawn:
        seen: BoolArray = drawn["s"]
    else:
        chance = fit_mask_at_random(table, estimator.joint_.active.cpu().numpy()).probability_observed(x)
        # A column without a hole stays without one.
        seen = (np.random.default_rng(random_state).random(x.shape) < chance) | ~np.isnan(table).any(0)
    limited = tuple(j for j, share in enumerate(estimator.columns_.within_limits) if share > 0)
    seen[..., limited] = ~np.isnan(table[:, limited])
    labels = label_columns(estimator._schema)
    return Replicates(estimator.columns_.names, table, x, seen, drawn["z"], drawn.get("y"), limited, labels)


def label_columns(schema: Schema) -> tuple[LabelColumn, ...]:
    """The columns of labels of a table, those of two values among them."""
    found = []
    for j, start in schema.starts().items():
        kind = schema.columns[j]
        if kind.kind == "nominal":
            own = tuple(range(start, start + kind.width))
            found.append(LabelColumn(str(kind.name), own, tuple(str(label) for label in kind.labels)))
        elif kind.kind in ("binary", "one-hot"):
            second = kind.labels[1] if kind.labels else kind.holds == "boolean" or 1
            found.append(LabelColumn(str(kind.name), (start,), (str(second),)))
    return tuple(found)
