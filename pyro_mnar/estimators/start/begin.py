"""Where training starts under any mechanism, those by column included: scales first, then the mechanism's state."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pyro_mnar.data.columns import ColumnInfo, Layout, atoms_of, describe, transformed
from pyro_mnar.data.transforms import FloatArray, Identity, Log, Transform
from pyro_mnar.estimators.start.log_scale import find_log_columns
from pyro_mnar.estimators.start.nested import REACH_AT_RANDOM, Finding, start_nested, within_reach
from pyro_mnar.estimators.start.plan import set_up, start_from_tails
from pyro_mnar.model.mechanisms import Ignorable, Latent, Mechanism, Nested, PerColumn, SelfMasking


class Described(NamedTuple):
    """What is known of a table before training.

    Attributes
    ----------
    layout : Layout
        Which columns are of which kind.
    columns : ColumnInfo
        Names, and what to standardise with.
    mechanism : Mechanism or None
        In the state from which training starts; None: as it is made.
    findings : tuple of Finding
        What each column shows of hiding its own values; empty where nothing was looked for.
    """

    layout: Layout
    columns: ColumnInfo
    mechanism: Mechanism | None = None
    findings: tuple[Finding, ...] = ()


def begin(table: FloatArray, layout: Layout, columns: ColumnInfo, given: Mechanism, seed: int) -> Described:
    """Scales and the mechanism's first state, as the observed values say.

    Parameters
    ----------
    table : ndarray
        The model's columns in original units, shape (n, p), NaN = missing.
    layout : Layout
        Their kinds; columns that it leaves out are not looked at.
    columns : ColumnInfo
        Their scales by what was observed.
    given : Mechanism
        As the caller gave it; it is not changed.
    seed : int
        Of the search for evidence.
    """
    if isinstance(given, PerColumn):
        return _by_column(table, layout, columns, given, seed)
    if isinstance(given, Nested):
        nested, findings = start_nested(table, layout, columns, given, seed)
        cut = layout._replace(levels=nested.levels)
        return Described(_placed(cut, nested.columns), nested.columns, nested.mechanism, findings)
    if type(given) is Ignorable or isinstance(given, Latent):
        return Described(layout, _within_what_was_observed(table, layout, columns))
    start = start_from_tails(transformed(table, columns.transforms), columns, given, layout.continuous)
    return Described(layout, columns) if start is None else Described(layout, start.columns, start.mechanism)


def chosen_scales(
    table: FloatArray, layout: Layout, names: Sequence[str], given: Mechanism, beside: ColumnInfo | None = None
) -> dict[int, Transform]:
    """Transforms of continuous columns, where something else decides than the shape of the observed values.

    A column that may be missing because of its own values is bent only where its logarithm explains the observed ones
    together with how many are not: its shape is not seen. Other mechanisms with a form on the column's scale keep it.

    Parameters
    ----------
    table, layout, given
        As for :func:`begin`.
    names : sequence of str
        Of the columns.
    beside : ColumnInfo or None
        The columns that the mechanism alone reads.
    """
    columns = describe(table, names, layout.discrete)._replace(beside=beside)
    if isinstance(given, PerColumn):
        whole = set_up(given, columns)
        found: dict[int, Transform] = {}
        for place, part in enumerate(given.given.values()):
            found.update(chosen_scales(table, _within(layout, whole.columns_of(place)), names, part, beside))
        return found
    if isinstance(given, Ignorable | Latent | Nested):
        return {}
    logged: Sequence[int] = ()
    if isinstance(given, SelfMasking) and given.shape == "one-sided":
        mechanism = set_up(given, columns)
        known = np.broadcast_to(mechanism.sign.cpu().numpy(), table.shape[1])
        logged = find_log_columns(table, layout.continuous, mechanism, known)
    return {j: Log() if j in logged else Identity() for j in layout.continuous}


def _within_what_was_observed(table: FloatArray, layout: Layout, columns: ColumnInfo) -> ColumnInfo:
    """Missing at random, values lie about where others were observed: else a long tail has means of its own making."""
    if not columns.supports:
        return columns
    supports = list(columns.supports)
    for j in (*layout.continuous, *(atoms.column for atoms in layout.atoms)):
        supports[j] = within_reach(supports[j], table[:, j], REACH_AT_RANDOM)
    return columns._replace(supports=tuple(supports))


def _by_column(table: FloatArray, layout: Layout, columns: ColumnInfo, given: PerColumn, seed: int) -> Described:
    """Each part starts as if it were alone, with its own columns to look at; what it says of these counts."""
    whole = set_up(given, columns)
    p = len(columns.names)
    center, scale = columns.center.copy(), columns.scale.copy()
    transforms, supports = list(columns.transforms), list(columns.supports)
    findings = [Finding(0, "told", np.inf, "its mechanism was told")] * p
    parts, tails, levels = [], [], {column.column: column for column in layout.levels}
    for place, part in enumerate(given.given.values()):
        own = whole.columns_of(place)
        begun = begin(table, _within(layout, own), columns, part, seed) if own else Described(layout, columns)
        parts.append(set_up(part, columns) if begun.mechanism is None else begun.mechanism)
        center[own], scale[own] = begun.columns.center[own], begun.columns.scale[own]
        tails += [tail for tail in begun.columns.tails if tail.column in own]
        levels |= {column.column: column for column in begun.layout.levels if column.column in own}
        for j in own:
            if transforms:
                transforms[j] = begun.columns.transforms[j]
            if supports:
                supports[j] = begun.columns.supports[j]
            if begun.findings:
                findings[j] = begun.findings[j]
    whole.set_parts(parts, columns)
    nested = any(isinstance(part, Nested) for part in parts)
    described = columns._replace(center=center, scale=scale, transforms=tuple(transforms), supports=tuple(supports))
    described = described._replace(tails=tuple(tails))
    layout = layout._replace(levels=tuple(levels.values()))
    return Described(_placed(layout, described), described, whole, tuple(findings) if nested else ())


def _placed(layout: Layout, columns: ColumnInfo) -> Layout:
    """The layout with point masses where these scales have them."""
    return layout._replace(atoms=tuple(atoms_of(atoms.column, columns) for atoms in layout.atoms))


def _within(layout: Layout, own: Sequence[int]) -> Layout:
    """The part of a layout that has to do with some columns."""
    kept = set(own)
    return layout._replace(
        continuous=tuple(j for j in layout.continuous if j in kept),
        binary=tuple(j for j in layout.binary if j in kept),
        groups=tuple(group for group in layout.groups if kept.issuperset(group.columns)),
        levels=tuple(column for column in layout.levels if column.column in kept),
        atoms=tuple(column for column in layout.atoms if column.column in kept),
    )
