"""Mechanisms in which how strongly a column hides its own values is held at a number."""

from collections.abc import Mapping
from typing import Any

from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.mechanisms import Censored, Given, Latent, Mechanism, Nested, SelfMasking, by_name
from pyro_mnar.model.per_column import REST


def with_slope(mechanism: Given, slope: dict[str, float]) -> Given:
    """A mechanism in which the slopes of some columns are held, and all else is as it was.

    Slopes are logits per standard deviation of the observed values, by column. InvalidInputError where limits, a block
    or another shape say why a column's cells are missing.

    Examples
    --------
    >>> with_slope("auto", {"income": 2.0}).slope
    {'income': 2.0}
    """
    if isinstance(mechanism, Mapping):
        for name in slope:
            if name in mechanism and isinstance(by_name(mechanism[name]), Censored):
                raise InvalidInputError(
                    f"column {name!r} is censored: its limits say why its cells are missing; sweep another column"
                )
            block = next((key for key in mechanism if isinstance(key, tuple) and name in key), None)
            if block is not None:
                raise InvalidInputError(
                    f"column {name!r} goes missing together with others, {block}, and not by its own value; sweep "
                    "another column, or take it out of the block"
                )
        named = {name: by_name(mechanism.get(name, mechanism.get(REST, "auto"))) for name in slope}
        return {
            **mechanism,
            **{name: SelfMasking(slope=slope[name], **_dependence(part)) for name, part in named.items()},
        }
    mechanism = by_name(mechanism)
    if isinstance(mechanism, Censored):
        raise InvalidInputError("the mechanism is Censored: limits say why cells are missing, and nothing is varied")
    if isinstance(mechanism, Nested):
        return Nested(mechanism.direction, slope, **_dependence(mechanism))
    if not isinstance(mechanism, SelfMasking):
        return SelfMasking(slope=slope, **_dependence(mechanism))
    if mechanism.shape != "one-sided":
        raise InvalidInputError(
            f"the mechanism is SelfMasking(shape={mechanism.shape!r}), which has no slope to hold; give a one-sided one"
        )
    return SelfMasking(direction=mechanism.direction, link=mechanism.link, slope=slope, **_dependence(mechanism))


def _dependence(mechanism: Mechanism) -> dict[str, Any]:
    """What else a mask depends on, and its errors, which stay as they are while a slope is varied."""
    if not isinstance(mechanism, SelfMasking | Nested | Latent):
        return {}
    others = ["depends_on", "mechanism_features"]
    if isinstance(mechanism, SelfMasking):
        others += ["errors", "degrees_of_freedom"]
    return {name: getattr(mechanism, name) for name in others}
