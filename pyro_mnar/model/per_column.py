"""Several mechanisms in one table: each column has its own."""

import copy
from collections.abc import Mapping, Sequence

import torch
from pyro.distributions import Bernoulli
from torch import Tensor, nn

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.data.limits import Declared
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.censored import Censored
from pyro_mnar.model.curve import NO_GAP, Curve
from pyro_mnar.model.latent import Latent
from pyro_mnar.model.mechanism import Ignorable, Mechanism
from pyro_mnar.model.observed import columns_of

#: The key under which a mapping has the mechanism of all columns that it does not name.
REST = "default"


class PerColumn(Mechanism):
    """Mechanisms by column; what estimators make of ``{"income": SelfMasking("high"), "default": "auto"}``.

    Each part is made for all columns of the table, and asked about its own. Where all parts have a curve, so has the
    whole, and x_mis integrates out exactly.

    Parameters
    ----------
    given : mapping from str or tuple of str to Mechanism
        By name of the column in the table; "default" is that of all others. Columns in one key go missing together.

    Raises
    ------
    InvalidInputError
        A part that itself is for one or the other column; a column that is named twice; a block of one column, or
        that goes missing by its own values.
    """

    owner: Tensor
    has_site: Tensor

    def __init__(self, given: Mapping[str | tuple[str, ...], Mechanism]) -> None:
        super().__init__()
        named: list[str] = []
        for name, part in given.items():
            if isinstance(part, PerColumn):
                raise InvalidInputError(f"the mechanism of column {name!r} is itself one by column; give one mechanism")
            if isinstance(name, tuple) and (len(name) < 2 or not isinstance(part, Latent)):
                raise InvalidInputError(
                    f"the mechanism of the block {name!r} is {type(part).__name__}; a block has two columns or more, "
                    "which go missing together by what their row has in common: give 'latent'"
                )
            named += [name] if isinstance(name, str) else name
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise InvalidInputError(f"'mechanism' names the column {twice!r} twice; give it one mechanism")
        self.given = dict(given)
        self.names = list(self.given)
        self.parts = nn.ModuleList(self.given.values())
        self.groups: list[list[int]] = []

    @property
    def mechanisms(self) -> list[Mechanism]:
        """The parts, in the order of the names."""
        return [part for part in self.parts if isinstance(part, Mechanism)]

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`.

        Raises
        ------
        InvalidInputError
            An unknown column, curves of different links, and what the parts raise.
        """
        self.set_parts([copy.deepcopy(part) for part in self.given.values()], columns)
        for part in self.mechanisms:
            part.setup(columns)
        self.check_links()

    def set_parts(self, parts: list[Mechanism], columns: ColumnInfo) -> None:
        """Take these mechanisms, in the order of the names, for their columns."""
        self.parts = nn.ModuleList(parts)
        owner = torch.full((len(columns.names),), self.names.index(REST))
        self.groups = []
        for place, name in enumerate(self.names):
            if name == REST:
                continue
            own = [j for part in ([name] if isinstance(name, str) else name) for j in columns_of(part, columns.names)]
            owner[own] = place
            if isinstance(name, tuple):
                self.groups.append(own)
        # Not saved: it follows from the names. What the processor asks of it in every step it keeps.
        self.register_buffer("owner", owner, persistent=False)
        has_site = torch.tensor([not isinstance(part, Ignorable) for part in parts])
        self.register_buffer("has_site", has_site, persistent=False)
        self.owners = set(owner.tolist())

    def check_links(self) -> None:
        """See that all curves are of one link."""
        links = {c.link: name for name, part in zip(self.names, self.mechanisms, strict=True) if (c := part.curve())}
        if len(links) > 1:
            raise InvalidInputError(
                "the mechanisms by column have different links: "
                + ", ".join(f"{link} for {name!r}" for link, name in links.items())
                + "; give them one link ('auto' is probit)"
            )

    def setup_code(self, latent_dim: int) -> None:
        for part in self.mechanisms:
            part.setup_code(latent_dim)

    def columns_of(self, place: int) -> list[int]:
        """Positions of the columns that a part has."""
        found: list[int] = (self.owner == place).nonzero()[:, 0].tolist()
        return found

    def masked(self) -> Tensor:
        return self.has_site[self.owner]

    def freedom(self) -> Tensor | None:
        return self._of_owners([part.freedom() for part in self.mechanisms], torch.inf)

    def curve(self, z: Tensor | None = None) -> Curve | None:
        return self._one_curve([part.curve(z) for part in self.mechanisms])

    def curve_of_rows(self, rows: Batch, z: Tensor | None = None) -> Curve | None:
        return self._one_curve([part.curve_of_rows(rows, z) for part in self.mechanisms])

    @property
    def parents(self) -> Mapping[int, Sequence[int]]:
        """See :class:`Mechanism`: of each column what its own part says."""
        found = [(place, part.parents) for place, part in enumerate(self.mechanisms)]
        return {j: ks for place, parents in found for j, ks in parents.items() if int(self.owner[j]) == place}

    @property
    def observed_weights(self) -> Tensor | None:
        return self._of_owners([part.observed_weights for part in self.mechanisms], 0.0)

    @property
    def blocks(self) -> list[list[int]]:
        return self.groups

    @property
    def beside(self) -> list[str]:
        return list(dict.fromkeys(name for part in self.mechanisms for name in part.beside))

    def _of_owners(self, given: Sequence[Tensor | None], rest: float) -> Tensor | None:
        """What the parts have for each column, shape (p, ...), ``rest`` where its own has nothing; None: none has."""
        found = [(place, own) for place, own in enumerate(given) if own is not None]
        if not found:
            return None
        result = torch.full_like(found[0][1], rest)
        for place, own in found:
            result = torch.where((self.owner == place).view(-1, *(1,) * (own.ndim - 1)), own, result)
        return result

    def _one_curve(self, given: Sequence[Curve | None]) -> Curve | None:
        """The curve of each column from its part's; None where a part has none."""
        curves = {}
        for place, (part, found) in enumerate(zip(self.mechanisms, given, strict=True)):
            if isinstance(part, Ignorable) or place not in self.owners:
                continue
            if found is None:
                return None
            curves[place] = found
        if not curves:
            return None
        like = next(iter(curves.values())).slope
        slope, intercept = like.new_zeros(len(self.owner)), like.new_zeros(len(self.owner))
        flat = torch.zeros_like(self.owner, dtype=torch.bool)
        two_sided = any(found.gap is not None for found in curves.values())
        gap, ends = (like.new_full((len(flat),), NO_GAP), torch.zeros_like(flat)) if two_sided else (None, None)
        for place, (w, c, _, still, width, outside) in curves.items():
            own = self.owner == place
            if width is not None and outside is not None and gap is not None and ends is not None:
                gap, ends = torch.where(own, width, gap), torch.where(own, outside, ends)
            slope, intercept = torch.where(own, w, slope), torch.where(own, c, intercept)
            flat = flat if still is None else flat | (still & own)
        # Columns without a mask term cost no integral.
        return Curve(slope, intercept, next(iter(curves.values())).link, flat | ~self.masked(), gap, ends)

    def forward(self, x: Tensor) -> Bernoulli:
        """See :class:`Mechanism`; columns without a mask term are called observed by a coin."""
        curve = self.curve()
        return self._together([part(x) for part in self._own()], x) if curve is None else curve.bernoulli(x)

    def given_row(self, x: Tensor, z: Tensor, rows: Batch) -> Bernoulli:
        curve = self.curve_of_rows(rows, z)
        if curve is None:
            return self._together([part.given_row(x, z, rows) for part in self._own()], x)
        return curve.of_row(x, z)

    def _own(self) -> list[Mechanism]:
        """The parts that have a mask term."""
        return [part for part in self.mechanisms if not isinstance(part, Ignorable)]

    def _together(self, given: Sequence[Bernoulli], x: Tensor) -> Bernoulli:
        """Each column from its own part of those that have a mask term."""
        places = [place for place, part in enumerate(self.mechanisms) if not isinstance(part, Ignorable)]
        logits = x.new_zeros(x.shape)
        for place, own in zip(places, given, strict=True):
            logits = torch.where(self.owner == place, own.logits, logits)
        return Bernoulli(logits=logits, validate_args=False)


def declared_limits(mechanism: Mechanism) -> Declared:
    """Of which columns a mechanism says that limits are given, and where."""
    if isinstance(mechanism, Censored):
        return mechanism.limits
    if not isinstance(mechanism, PerColumn):
        return None
    given = [(name, part) for name, part in mechanism.given.items() if isinstance(name, str) and name != REST]
    found = {name: part.limits for name, part in given if isinstance(part, Censored)}
    rest = mechanism.given.get(REST)
    if isinstance(rest, Censored):
        raise InvalidInputError("'default' cannot be Censored: name the columns of which limits are known")
    return found or None
