"""What training says of itself: bounds and times, pass by pass, and the path of the mechanism's curve."""

from dataclasses import dataclass, field

from torch import Tensor

from pyro_mnar.model.curve import Curve
from pyro_mnar.model.joint import Joint


@dataclass
class History:
    """One entry per pass over the data.

    Attributes
    ----------
    bound : list of float
        Training bound, mean over the pass, nats per row.
    validation_bound : list of float
        Bound of the held-out rows, nats per row; empty without held-out rows.
    seconds : list of float
        Since the start.
    slope, intercept : list of list of float
        Of the mechanism, per column, standardised scale, when it is a curve: the path over training.
    shared_curve : list of list of float
        Slope and intercept after each STEP, when one learned curve is shared by all columns: it is found within a
        pass.
    """

    bound: list[float] = field(default_factory=list)
    validation_bound: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    slope: list[list[float]] = field(default_factory=list)
    intercept: list[list[float]] = field(default_factory=list)
    shared_curve: list[list[float]] = field(default_factory=list)

    @property
    def n_iter(self) -> int:
        """Passes over the data that were run."""
        return len(self.bound)


def curve_numbers(joint: Joint) -> tuple[list[float], list[float]]:
    """Slope and intercept (standardised scale) when the mechanism is a curve; else nothing."""
    curve = joint.mechanism.curve() if joint.has_mask_term else None
    return ([], []) if curve is None else (_numbers(curve.slope), _numbers(curve.intercept))


def is_shared(curve: Curve | None) -> bool:
    """Whether one curve is learned for all columns."""
    return curve is not None and curve.slope.requires_grad and curve.slope.numel() == 1


def record_shared(joint: Joint, history: History) -> None:
    """Keep slope and intercept after a step."""
    history.shared_curve.append([number for part in curve_numbers(joint) for number in part])


def _numbers(values: Tensor) -> list[float]:
    return [float(v) for v in values.detach().reshape(-1)]
