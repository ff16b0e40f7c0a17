"""Mechanisms whose curve also depends on what is observed: of the model's columns, and of columns beside it."""

from collections.abc import Mapping, Sequence

from pyro.distributions import Bernoulli
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.mechanism import Mechanism
from pyro_mnar.model.observed import Parents, WhatIsObserved, names_of


class OnObserved(Mechanism):
    """A mechanism with a curve, of which what is observed moves the intercept.

    Names of columns are given as for :class:`~pyro_mnar.mechanisms.SelfMasking`; InvalidInputError for something else.
    ``observed`` says how they move it: None where nothing does, and before ``setup``.
    """

    observed: WhatIsObserved | None

    def __init__(self, depends_on: Parents, mechanism_features: Parents) -> None:
        super().__init__()
        self.depends_on = depends_on
        self.mechanism_features = mechanism_features
        self.observed = None
        names_of("depends_on", depends_on)
        names_of("mechanism_features", mechanism_features)

    def curve(self, z: Tensor | None = None) -> Curve:
        """See :class:`Mechanism`; where what the mask depends on is in the middle."""
        raise NotImplementedError

    def setup_observed(self, columns: ColumnInfo) -> None:
        """Make what depends on the table's columns; errors as for :class:`WhatIsObserved`."""
        given = self.depends_on, self.mechanism_features
        self.observed = None if given == (None, None) else WhatIsObserved(*given, columns)

    @property
    def moved_by(self) -> WhatIsObserved | None:
        """How what is observed moves the intercept: ``observed``, or what a mechanism within has."""
        return self.observed

    def curve_of_rows(self, rows: Batch, z: Tensor | None = None) -> Curve:
        curve, moved_by = self.curve(z), self.moved_by
        return curve if moved_by is None else curve._replace(intercept=curve.intercept + moved_by(rows))

    def given_row(self, x: Tensor, z: Tensor, rows: Batch) -> Bernoulli:
        return self.curve_of_rows(rows, z).of_row(x, z)

    def forward(self, x: Tensor) -> Bernoulli:
        """See :class:`Mechanism`; for z = 0, what the mask depends on in the middle, and t errors of the scale 1."""
        return self.curve().bernoulli(x)

    @property
    def observed_weights(self) -> Tensor | None:
        return None if self.moved_by is None else self.moved_by.weights

    @property
    def parents(self) -> Mapping[int, Sequence[int]]:
        return {} if self.moved_by is None else self.moved_by.parents

    @property
    def beside(self) -> list[str]:
        return names_of("mechanism_features", self.mechanism_features)
