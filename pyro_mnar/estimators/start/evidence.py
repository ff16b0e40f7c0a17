"""Whether the columns of a table hide their own values, and on which side, from what is observed.

Two things are asked of a column. Does it end abruptly (a cliff)? And do the OTHER columns say that its missing cells
lie beyond that end? A natural end (a percentage at 100) shows the first without the second. Loss that depends on other
columns may show both, but then these explain the mask in another way than they explain the value. So the question that
decides is: of all that the other columns know about the mask, how much is left when it has to go through the value
that they predict (:mod:`~pyro_mnar.estimators.start.index_models`), and does how often each part of its range goes
missing explain the mask as well (:mod:`~pyro_mnar.estimators.start.parts`)? Where nearly all is left, and it does, a
soft slope is found without any cliff.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import mannwhitneyu
from sklearn.ensemble import ExtraTreesRegressor

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.estimators.start.index_models import hidden_evidence, mask_evidence
from pyro_mnar.estimators.start.lost_tail import (
    CLEAR_SLOPE,
    end_density,
    ends_in_pile,
    lost_tail,
    normal_at_random,
)
from pyro_mnar.estimators.start.parts import Parts, look_at_parts
from pyro_mnar.estimators.start.sample import Rows, sample_of_rows, standardise

BoolArray = NDArray[np.bool_]
Kind = Literal["cliff", "soft", "none"]

#: Log odds from which a cliff, and a soft slope, is believed.
CLIFF_BELIEVED, SOFT_BELIEVED = 0.0, 0.4
#: By so much a soft slope must be likelier than a cut to be taken for one.
_RATHER_SOFT = 2.0
#: Distinct values below which the end of a column is no evidence.
_LEAST_LEVELS = 8
#: Nats below which what is known about a mask is not divided into shares.
_LEAST_MASK = 20.0
#: Skill of a prediction below which it says nothing.
_LEAST_SKILL = 0.02
#: What parts say that miss another side, and those that cannot be looked at.
_OTHER_PARTS, _NO_PARTS = -3.0, -0.5
#: Share of the mask's evidence that must agree with a cut at the last value.
_REFUTED = 0.4
#: The same where complete columns explain at least so much of the mask; less is enough where that goes through the
#: value that they predict.
_CONFIRMED, _THROUGH, _ALL = 0.9, 0.7, 0.98
#: Skill above which a column that complete columns predict, with all of its mask, is imputed well as if lost at random.
_WELL_PREDICTED = 0.8
#: Log odds that nothing outweighs.
_CERTAIN = 10.0
#: What verdicts on the other columns count, on the same side and on the other; and how far they may shift the log odds
#: of a cut and of a soft slope, down and up.
_QUORUM, _OTHER_SIDE, _SHIFTS = 1.5, 0.5, (np.array([-2.5, -2.0]), np.array([2.5, 2.5]))
#: Of the forests that predict a column: trees, and the share of the columns that each branch may choose from.
_TREES, _FEATURES = 40, 0.4


class Support(NamedTuple):
    """What the other columns say about the missing cells of one, on the side in question.

    Attributes
    ----------
    auc : float
        Chance that a missing cell's predicted value lies further out than an observed cell's.
    p : float
        Of a one-sided Mann-Whitney test of that.
    skill : float
        Share of the observed values' variance, in normal scores, that the prediction explains out of sample.
    mask : float
        Log evidence that the mask depends on the other columns in any way, nats.
    through : float
        Share of it that remains where the mask depends on the predicted value alone; above 1 where that is simpler.
    hidden : float
        Share of it that remains where a cell is missing exactly beyond the last observed value; NaN without an end.
    complete : float
        Share of it that complete columns explain: near 1, the loss may as well be at random given these.
    parts : float
        Log odds that how often each part of its range goes missing explains the mask, over any other way, in units of
        the square root of ``mask``; -3 where that misses another side, -0.5 where it was not looked at.
    """

    auc: float
    p: float
    skill: float
    mask: float
    through: float
    hidden: float
    complete: float
    parts: float


class Evidence(NamedTuple):
    """What a column shows.

    Attributes
    ----------
    direction : int
        +1 where high values are lost, -1 where low ones are, 0 where nothing is shown.
    kind : {"cliff", "soft", "none"}
        Whether it was found by an abrupt end with support, or by support alone.
    strength : float
        Log odds that values hide themselves on that side; for direction 0, on the likelier side.
    support : Support or None
        None for columns that were not judged.
    reason : str
        What speaks for it; for direction 0 what speaks against it, empty where there is nothing particular.
    parts : Parts or None
        How often each part of its range goes missing; None where that was not looked at.
    """

    direction: int
    kind: Kind
    strength: float
    support: Support | None
    reason: str
    parts: Parts | None = None


class _Scale(NamedTuple):
    """A column on one scale, and its log likelihood there if it lost values at random, in the plain measure."""

    values: FloatArray
    at_random: float
    is_log: bool


class _Shape(NamedTuple):
    """A column by itself.

    ``scales`` are its plain values, divided by the largest (squares of 1e300 or 1e-300 would leave the range of
    floats), and their logarithms if it has them; ``steep`` is +1 or -1 where the best normal, whole or without a tail,
    on either scale, ends in a cliff on that side; ``ends`` are the sides that may be cuts.
    """

    scales: tuple[FloatArray, ...]
    steep: int
    ends: tuple[int, ...]


class _Side(NamedTuple):
    """Log odds of a cut and of a soft slope on one side of a column."""

    cliff: float
    soft: float
    support: Support

    @property
    def best(self) -> float:
        return max(self.cliff, self.soft)

    def chances(self, sign: int, known: float) -> FloatArray:
        """Of a cut and of a soft slope, shape (2,); a direction that is known counts for both."""
        return expit(np.array([self.cliff, self.soft])) if not known else np.full(2, float(sign == known))

    def shifted(self, shifts: FloatArray) -> _Side:
        """With something added to both."""
        return self._replace(cliff=self.cliff + float(shifts[0]), soft=self.soft + float(shifts[1]))


def find_evidence(table: FloatArray, numeric: Sequence[int], known: FloatArray, seed: int = 0) -> list[Evidence]:
    """Look at every numeric column with holes.

    Parameters
    ----------
    table : ndarray
        Shape (n, p), NaN = missing. Columns that are not numeric serve as predictors, by their codes.
    numeric : sequence of int
        Columns to judge.
    known : ndarray
        Shape (p,): +1 or -1 where high or low values are known to go missing, else 0.
    seed : int
        Of the forests and of the sample of rows.

    Returns
    -------
    list of Evidence
        One per column of the table.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(500, 1)) + 0.7 * rng.normal(size=(500, 3))
    >>> x[x[:, 0] > 0.5, 0] = np.nan
    >>> x[rng.random(500) < 0.3, 1] = np.nan
    >>> [(e.direction, e.kind) for e in find_evidence(x, [0, 1, 2], np.zeros(3))]
    [(1, 'cliff'), (0, 'none'), (0, 'none')]
    """
    sample = sample_of_rows(table, seed)
    shapes, sides, parts = dict[int, _Shape](), dict[int, dict[int, _Side]](), dict[int, Parts | None]()
    for j in numeric:
        rows = sample.to_judge([j], table[:, j])
        if rows is not None:
            ways = [mask_evidence(others, rows.holes[:, j]) for others in (rows.others([j]), rows.complete)]
            shapes[j], parts[j] = _shape(table[:, j]), look_at_parts(rows, table[rows.chosen, j], j, max(0.0, *ways))
            sides[j] = _sides(rows, j, shapes[j], ways, parts[j], seed)
    sides = _with_others(sides, known)
    return [
        _verdict(shapes[j], sides[j], int(known[j]))._replace(parts=parts[j])
        if j in sides
        else _not_judged(int(known[j]))
        for j in range(table.shape[1])
    ]


def _not_judged(known: int) -> Evidence:
    if known:
        return Evidence(known, "none", np.inf, None, "its direction was given")
    return Evidence(0, "none", 0.0, None, "there is nothing to judge it by")


# The column by itself


def _shape(column: FloatArray) -> _Shape:
    """On which sides a column may have been cut, and whether its end by itself says so."""
    logs = np.log(column) if np.nanmin(column) > 0 else None
    column = column / float(np.nanmax(np.abs(column)))
    seen = column[~np.isnan(column)]
    scales = [_Scale(column, normal_at_random(column), False)]
    if logs is not None and seen.max() / seen.min() > 1 + 1e-6:
        scales.append(_Scale(logs, normal_at_random(logs) - float(np.log(seen).sum()), True))
    values = tuple(scale.values for scale in scales)
    if len(np.unique(seen)) < _LEAST_LEVELS:
        return _Shape(values, 0, ())
    ends = tuple(sign for sign in (1, -1) if not ends_in_pile(sign * seen))
    fits = [(scale.at_random, 0) for scale in scales]
    for scale in scales:
        for sign in ends:
            tail = lost_tail(scale.values, sign > 0)
            negative = sign < 0 and not scale.is_log and seen.min() >= 0
            if tail is not None and tail.found and not (negative and tail.lost_mean < 0):
                steep = sign if abs(tail.slope) >= CLEAR_SLOPE else 0
                fits.append((scale.at_random + tail.gain, steep))
    return _Shape(values, max(fits)[1], ends)


# What the others say


def _sides(
    rows: Rows, j: int, shape: _Shape, ways: Sequence[float], parts: Parts | None, seed: int
) -> dict[int, _Side]:
    """Log odds for both sides of a column; ``ways``: evidence that its mask depends on the others, on complete ones."""
    missing = rows.holes[:, j]
    u = rows.others([j])
    predicted, skill = _predict(u, rows.scores[:, j], missing, seed)
    mask, by_complete = ways
    own = mask_evidence(standardise(predicted[:, None]), missing)
    any_way = max(mask, by_complete, _LEAST_MASK)
    result = {}
    for sign in (1, -1):
        test = mannwhitneyu(sign * predicted[missing], sign * predicted[~missing], alternative="greater")
        auc = float(test.statistic) / (int(missing.sum()) * int((~missing).sum()))
        hidden = density = np.nan
        if sign in shape.ends:
            found = (_hidden(u, sign * values, rows.chosen, missing) for values in shape.scales)
            hidden, density = max(found) / max(mask, _LEAST_MASK), end_density(sign * shape.scales[0])
        support = Support(
            auc,
            float(test.pvalue),
            skill,
            mask,
            own / any_way,
            hidden,
            by_complete / max(any_way, own),
            _of_parts(parts, sign, mask),
        )
        result[sign] = _Side(_cliff_odds(support, shape.steep == sign, density), _soft_odds(support), support)
    return result


def _of_parts(parts: Parts | None, sign: int, mask: float) -> float:
    """What the parts of a column's range say for one side; much is known of some masks, and none of it exactly so."""
    if parts is None:
        return _NO_PARTS
    return float(parts.log_odds / np.sqrt(max(mask, _LEAST_MASK))) if sign * parts.side > 0 else _OTHER_PARTS


def _hidden(u: FloatArray, values: FloatArray, chosen: NDArray[np.int64], missing: BoolArray) -> float:
    """Evidence, nats, that missing means above the largest value, on one scale of a column."""
    z = (values - np.nanmean(values)) / np.nanstd(values)
    pile = float(np.nanmin(z)) if ends_in_pile(-z[~np.isnan(z)]) else None
    return hidden_evidence(u, z[chosen], missing, float(np.nanmax(z)), pile)


def _predict(u: FloatArray, scores: FloatArray, missing: BoolArray, seed: int) -> tuple[FloatArray, float]:
    """What the other columns predict for every row, out of sample, and how well."""
    if not u.shape[1]:
        return np.zeros(len(u)), 0.0
    forest = ExtraTreesRegressor(_TREES, min_samples_leaf=5, max_features=_FEATURES, bootstrap=True, random_state=seed)
    forest.fit(u[~missing], scores[~missing])
    predicted = forest.predict(u)
    predicted[~missing] = _out_of_bag(forest, u[~missing])
    skill = 1 - np.mean((scores - predicted)[~missing] ** 2) / scores[~missing].var()
    return predicted, float(skill)


def _out_of_bag(forest: ExtraTreesRegressor, u: FloatArray) -> FloatArray:
    """For each row, the mean of the trees that did not see it."""
    values = u.astype(np.float32)
    total, count = np.zeros(len(u)), np.zeros(len(u))
    for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        left_out = np.ones(len(u), dtype=bool)
        left_out[drawn] = False
        total[left_out] += tree.tree_.predict(values[left_out])[:, 0]
        count[left_out] += 1
    return total / np.maximum(count, 1)


def _cliff_odds(support: Support, steep: bool, density: float) -> float:
    """Log odds of a cut; weights from a logistic regression on the tables on which the rule was developed."""
    # Where complete columns explain all of the mask, loss at random given them has the first call.
    confirmed = _THROUGH if support.through > _THROUGH else _CONFIRMED
    if not support.hidden > (_REFUTED if support.complete < _ALL else confirmed):
        return -_CERTAIN
    odds = 3.25 * min(support.hidden, 1.1) + 1.44 * (2 * support.auc - 1) + 2.73 * steep + 1.95 * min(density, 1) - 4.14
    return float(odds)


def _soft_odds(support: Support) -> float:
    """Log odds of a soft slope; weights likewise."""
    # What complete columns say of both the mask and the value tells no slope from loss at random given them.
    if support.auc <= 0.5 or (support.complete >= _ALL and support.skill > _WELL_PREDICTED):
        return -_CERTAIN
    return float(5.2 * np.clip(support.through, 0, 1.2) + 1.6 * np.clip(support.parts, _OTHER_PARTS, 1) - 0.7)


# The table


def _with_others(sides: dict[int, dict[int, _Side]], known: FloatArray) -> dict[int, dict[int, _Side]]:
    """The log odds with what the verdicts on the other columns add to them: most tables have one story.

    Where columns agree on a side, those that show it less clearly follow; where none shows anything, one that seems to
    has to be clearer. Cuts speak for cuts and soft slopes for soft ones.
    """
    shifted = sides
    for _ in range(2):
        chances = {j: {s: shifted[j][s].chances(s, known[j]) for s in (1, -1)} for j in sides}
        shifted = {
            j: {s: side.shifted(_shifts([chances[k] for k in sides if k != j], s)) for s, side in sides[j].items()}
            for j in sides
        }
    return shifted


def _shifts(others: list[dict[int, FloatArray]], sign: int) -> FloatArray:
    """Of a cut and of a soft slope on one side, by the chances of both in the other columns."""
    agree = sum((np.minimum(1.0, chance[sign] + _OTHER_SIDE * chance[-sign]) for chance in others), np.zeros(2))
    return np.clip(_QUORUM * np.log((agree + 1) / (len(others) - agree + 1)), *_SHIFTS)


def _verdict(shape: _Shape, sides: dict[int, _Side], known: int) -> Evidence:
    if known:
        tails = [lost_tail(values, known > 0) for values in shape.scales]
        cut = any(tail is not None and tail.found and abs(tail.slope) >= CLEAR_SLOPE for tail in tails)
        kind: Kind = "cliff" if cut or sides[known].cliff >= CLIFF_BELIEVED else "soft"
        return Evidence(known, kind, np.inf, sides[known].support, "its direction was given")
    sign = max(sides, key=lambda s: sides[s].best)
    cliff, soft, support = sides[sign]
    word, strength = "high" if sign > 0 else "low", max(cliff, soft)
    if cliff >= max(CLIFF_BELIEVED, soft - _RATHER_SOFT):
        reason = (
            f"its {word} values end abruptly, and the other columns place its missing cells beyond that end "
            f"({_percent(support.hidden)} of what they say about the mask agrees with it)"
        )
        return Evidence(sign, "cliff", strength, support, reason)
    if soft >= SOFT_BELIEVED:
        reason = (
            f"it misses {word} values: {_percent(support.through)} of what the other columns say about its mask goes "
            f"through the value that they predict"
        )
        return Evidence(sign, "soft", strength, support, reason)
    return Evidence(0, "none", strength, support, _why_not(shape, sign, support))


def _percent(share: float) -> str:
    return f"{100 * np.clip(share, 0, 1):.0f} %"


def _why_not(shape: _Shape, sign: int, support: Support) -> str:
    if sign == shape.steep and support.skill < _LEAST_SKILL:
        return "it ends abruptly, but no other column can say whether its missing cells lie beyond that end"
    if sign == shape.steep:
        return "it ends abruptly, but the other columns do not place its missing cells beyond that end"
    return ""
