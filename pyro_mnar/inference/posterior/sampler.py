"""Which rows are drawn how: their number of draws, their proposals, and the chunks in which they are made."""

import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pyro_mnar.data.arguments import fits_in_memory
from pyro_mnar.inference.forks import check_process
from pyro_mnar.inference.posterior.draws import Result, Values, WeightedDraws, cell_bytes, draw_chunk, within_memory
from pyro_mnar.inference.posterior.proposals import StudentRows
from pyro_mnar.inference.posterior.refine import Refinement, climb, refined_proposal
from pyro_mnar.inference.progress import progress
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.numerics.random_streams import BlockNoise

#: Purposes that have noise of their own.
_POINT, _IMPUTATIONS, _PILOT, _REFINEMENT = range(4)
#: Where the draws of a second proposal begin, beyond any that the first can have been judged by.
_AFRESH = 2**32
#: Draws without gradient that take the memory of a code with one.
_GRADIENT_COPIES = 8
#: Log evidence, nats and nats per column, beyond which single precision does not tell weights apart well enough.
_LARGEST_SINGLE = (1000.0, 5.0)


@dataclass(frozen=True)
class Group:
    """Rows that are drawn in the same way.

    Attributes
    ----------
    rows : Tensor
        Indices, shape (r,).
    n_draws : int
        K.
    n_inner : int
        M, draws of x_mis per code where x_mis is drawn.
    proposal : StudentRows or None
        q(z) of these rows, batch (r,); None for the encoder's.
    first_draw : int
        Where in the block of noise their draws begin.
    """

    rows: Tensor
    n_draws: int
    n_inner: int
    proposal: StudentRows | None = None
    first_draw: int = 0

    def part(self, place: Tensor) -> "Group":
        """The rows at these places of the group."""
        proposal = None if self.proposal is None else self.proposal.rows(place)
        return replace(self, rows=self.rows[place], proposal=proposal)


class Sampler:
    """Weighted draws of the rows of a batch; arguments as for :class:`~pyro_mnar.inference.posterior.Posterior`.

    Proposals and weights are in float64; what is drawn and decoded too, unless it is ``single``.
    """

    def __init__(
        self,
        joint: Joint,
        batch: Batch,
        n_draws: int,
        seed: int,
        byte_budget: int,
        show: bool | None = None,
        single: bool = False,
        independent: bool = False,
        first_row: int = 0,
    ) -> None:
        self.show, self.independent, self.first_row = show, independent, first_row
        check_process()
        self.joint = copy.deepcopy(joint).double().eval()
        # What draws and weighs: the same pair, in single precision where that is enough.
        self._drawing = copy.deepcopy(joint).float().eval() if single else self.joint
        self._dtype = torch.float32 if single else torch.float64
        self.batch = batch.to(batch.x.device, torch.float64)
        self.seed = seed
        self.byte_budget = byte_budget
        self.check_draws(n_draws)
        self.groups = [self._all_rows(n_draws)]

    @property
    def n_draws(self) -> np.ndarray:
        """K of each row, shape (n,)."""
        result = np.zeros(self.batch.n_rows, dtype=int)
        for group in self.groups:
            result[group.rows.cpu().numpy()] = group.n_draws
        return result

    @property
    def refined(self) -> np.ndarray:
        """Which rows have a proposal of their own, bool, shape (n,)."""
        result = np.zeros(self.batch.n_rows, dtype=bool)
        for group in self.groups:
            result[group.rows.cpu().numpy()] = group.proposal is not None
        return result

    def point_noise(self) -> BlockNoise:
        """The noise by which rows are judged and point answers made: one block for all rows, if not independent."""
        if self.independent:
            return self.imputation_noise(None)
        return BlockNoise(_key(self.seed, _POINT), shared=True)

    def imputation_noise(self, seed: int | None) -> BlockNoise:
        """Noise of each row's own, by the posterior's seed or another."""
        return BlockNoise(_key(self.seed if seed is None else seed, _IMPUTATIONS), False, self.first_row)

    def check_draws(self, n_draws: int) -> None:
        """See that the draws of one row, which are weighed together, can be held; InvalidInputError if not."""
        # Codes and completed rows, each drawn, smoothed and sorted.
        kept = 8.0 * 4 * (self.joint.latent_dim + self.batch.x.shape[1] + 1)
        fits_in_memory(n_draws * kept, f"{n_draws:,} draws of one row", "take fewer draws (n_draws_posterior)")

    def give_draws(self, chosen: np.ndarray, n_draws: int) -> None:
        """Set K of the rows ``chosen``, bool of shape (n,)."""
        self._regroup(chosen, lambda group: replace(group, n_draws=n_draws))

    def refine(self, chosen: np.ndarray, settings: Refinement) -> None:
        """Give the rows ``chosen``, bool of shape (n,), a proposal of their own, and draws that did not shape it."""
        if not chosen.any():
            return
        draws_values = self.joint.has_mask_term and not self.joint.collapsed

        def change(group: Group) -> Group:
            first_draw = group.first_draw if group.proposal is None else group.first_draw + _AFRESH
            n_inner = max(group.n_inner, settings.n_inner) if draws_values else group.n_inner
            proposal = self._proposal(group.rows, settings, n_inner, first_draw)
            return Group(group.rows, max(group.n_draws, settings.n_draws), n_inner, proposal, first_draw)

        self._regroup(chosen, change)

    @torch.no_grad()
    def chunks(
        self, values: Values, batch: Batch, noise: BlockNoise, chosen: np.ndarray | None = None
    ) -> Iterator[WeightedDraws]:
        """Weighted draws, chunk by chunk, with what ``values`` says in missing cells.

        ``batch`` holds the sampler's rows, with or without their target, of which those ``chosen`` are drawn, bool,
        shape (n,).
        """
        groups = self.groups
        if chosen is not None:
            mask = torch.as_tensor(chosen, device=batch.x.device)
            groups = [group.part(mask[group.rows].nonzero()[:, 0]) for group in groups]
        n_rows, done = sum(len(group.rows) for group in groups), 0
        words = f"asking the model about {n_rows:,} rows, {max(group.n_draws for group in groups):,} draws each"
        with progress(self.show) as report:
            for group in groups:
                for draws in self._group_chunks(group, values, batch, noise):
                    done += len(draws.rows)
                    report(done, n_rows, words)
                    yield draws

    @torch.no_grad()
    def codes(self, noise: BlockNoise, n_decoded: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The codes of :meth:`chunks` alone, which take no decoder: rows, shape (r,), and z, shape (K, r, L).

        So many rows at a time as leave room to decode ``n_decoded`` codes of each.
        """
        decoded = n_decoded * cell_bytes(self.joint, self.batch)
        for group in self.groups:
            row_bytes = 8 * self.batch.x.element_size() * group.n_draws * self.joint.latent_dim + decoded
            places = torch.arange(len(group.rows), device=group.rows.device)
            for place in places.split(max(1, self.byte_budget // row_bytes)):
                part = group.part(place)
                batch = self.batch.rows(part.rows)
                q = self.joint.encoder.for_rows(batch) if part.proposal is None else part.proposal
                q.generator = noise.window(part.rows.tolist(), part.first_draw)
                yield part.rows, q.expand(torch.Size((part.n_draws, len(part.rows)))).rsample()

    @torch.no_grad()
    def pilot(self, n_draws: int) -> Iterator[WeightedDraws]:
        """A few draws of the encoder's proposal, of some rows after the others: codes and weights alone."""
        noise = BlockNoise(_key(self.seed, _PILOT), shared=True)
        yield from self._group_chunks(self._all_rows(n_draws), "none", self.batch, noise)

    def _all_rows(self, n_draws: int) -> Group:
        return Group(torch.arange(self.batch.n_rows, device=self.batch.x.device), n_draws, self.joint.n_inner)

    def _pair(self, joint: Joint, n_inner: int) -> Joint:
        """The pair with M draws of x_mis per code; its networks are those of ``joint``."""
        pair = copy.copy(joint)
        pair.n_inner = n_inner
        return pair

    def _group_chunks(self, group: Group, values: Values, batch: Batch, noise: BlockNoise) -> Iterator[WeightedDraws]:
        done, batch = 0, batch.to(batch.x.device, self._dtype)
        while done < len(group.rows):
            chunk = functools.partial(self._chunk, group, done, values, batch, noise)
            draws = within_memory(chunk, self.byte_budget)
            done += len(draws.rows)
            yield draws

    def _chunk(
        self, group: Group, done: int, values: Values, batch: Batch, noise: BlockNoise, budget: int
    ) -> WeightedDraws:
        cell = cell_bytes(self._pair(self._drawing, group.n_inner), batch)
        count = max(1, budget // (cell * group.n_draws))
        at_once = max(1, min(group.n_draws, budget // cell))
        part = group.part(torch.arange(done, min(done + count, len(group.rows)), device=group.rows.device))
        draws = self._drawn(self._drawing, part, values, batch, noise, at_once)
        if self._drawing is self.joint:
            return draws
        nats, per_column = _LARGEST_SINGLE
        sound = draws.log_weights.amax(0).abs() < nats + per_column * batch.x.shape[1]
        draws = draws._replace(log_weights=draws.log_weights.double())
        if bool(sound.all()):
            return draws
        far = (~sound).nonzero()[:, 0]
        exact = self._drawn(self.joint, part.part(far), values, self._whole(batch), noise, max(1, at_once // 2))
        return draws.with_rows(far, exact)

    def _drawn(
        self, joint: Joint, group: Group, values: Values, batch: Batch, noise: BlockNoise, at_once: int
    ) -> WeightedDraws:
        """The draws of a group, in the precision of ``joint`` and ``batch``."""
        proposal = None if group.proposal is None else group.proposal.to(batch.x.dtype)
        at = (group.n_draws, group.first_draw, at_once)
        return draw_chunk(
            self._pair(joint, group.n_inner), batch.rows(group.rows), group.rows, proposal, noise, *at, values
        )

    def _whole(self, batch: Batch) -> Batch:
        """The batch in float64, of which ``batch`` is a copy in single precision, with or without target."""
        return self.batch if batch.y is not None else self.batch.without_target()

    def _proposal(self, rows: Tensor, settings: Refinement, n_inner: int, first_draw: int) -> StudentRows:
        pair, drawing = self._pair(self.joint, n_inner), self._pair(self._drawing, n_inner)
        noise = BlockNoise(_key(self.seed, _REFINEMENT), shared=True)
        batch = self.batch.to(self.batch.x.device, self._dtype)

        def mode(place: Tensor) -> Tensor:
            some = rows[place]
            return climb(pair, self.batch.rows(some), some.tolist(), noise, settings)

        # One code per row: all rows of a small table at once.
        modes = torch.cat(list(self._in_parts(mode, len(rows), _GRADIENT_COPIES)))

        def proposal(place: Tensor) -> StudentRows:
            some = rows[place]
            at = (some.tolist(), noise, first_draw, settings, (drawing, batch.rows(some)))
            return refined_proposal(pair, self.batch.rows(some), modes[place], *at)

        copies = max(*settings.rounds, _GRADIENT_COPIES * pair.latent_dim)
        # Filled part by part: put together at the end, a matrix for each row would be held twice.
        matrices, done = modes.new_empty((*modes.shape, modes.shape[1])), 0
        for part in self._in_parts(proposal, len(rows), copies):
            here = slice(done, done + len(part.loc))
            modes[here], matrices[here], done = part.loc, part.scale_tril, here.stop
        return StudentRows(modes, matrices)

    def _in_parts(self, function: Callable[[Tensor], Result], n_rows: int, copies: int) -> Iterator[Result]:
        """``function(places)`` of all rows, so many at a time as fit in memory with so many codes each."""
        cell = cell_bytes(self.joint, self.batch) * copies
        places = torch.arange(n_rows, device=self.batch.x.device)
        while len(places):
            count = 0

            def part(budget: int, places: Tensor = places) -> Result:
                nonlocal count
                count = max(1, budget // cell)
                return function(places[:count])

            yield within_memory(part, self.byte_budget)
            places = places[count:]

    def _regroup(self, chosen: np.ndarray, change: Callable[[Group], Group]) -> None:
        mask = torch.as_tensor(chosen, device=self.batch.x.device)
        groups = []
        for group in self.groups:
            inside = mask[group.rows]
            if bool((~inside).any()):
                groups.append(group.part((~inside).nonzero()[:, 0]))
            if bool(inside.any()):
                groups.append(change(group.part(inside.nonzero()[:, 0])))
        self.groups = groups


def _key(seed: int, purpose: int) -> int:
    """A stream of noise of its own for each purpose."""
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)[0])
