"""Where draws get their noise from: torch's generators, a block addressed by row and draw, or a part of a batch's.

An answer about a row must not depend on which rows stand beside it, nor on how rows and draws were cut into chunks.
:class:`BlockNoise` gives each (row, draw) its own place in a counter-based stream, so any window of the block can be
had by itself. It is a ``torch.Generator`` and can stand wherever one is expected; the functions :func:`uniform` and
:func:`normal` make use of its order, all other code draws from it as from any generator.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

# Philox makes four words at a time; a draw starts at a multiple of that.
_WORDS = 4
#: Points of one Sobol sequence; draws beyond them are those of another.
_POINTS = 2**30


class BlockNoise(torch.Generator):
    """Uniform noise for arrays of shape (..., K, n, p), the same however they are cut along K and n.

    Codes that are drawn once for all rows are quasi-random, Sobol's points, scrambled: averages over them err as those
    over about half as many again random draws (1,000 draws of 10 numbers, white wine).

    Parameters
    ----------
    seed : int
        Of the block.
    shared : bool
        One block for all rows (point answers: a row's answer then depends on the row alone), or independent noise for
        each row (multiple imputations).
    first_row : int
        Where the rows that are counted from 0 stand in the whole table.

    References
    ----------
    Salmon, Moraes, Dror & Shaw 2011, Parallel random numbers: as easy as 1, 2, 3 (Philox). Owen 1998, Scrambling Sobol'
    and Niederreiter-Xing points. Gerber & Chopin 2015, Sequential quasi Monte Carlo (importance sampling).

    Examples
    --------
    >>> whole, part = BlockNoise(0, shared=False), BlockNoise(0, shared=False)
    >>> like = torch.zeros(())
    >>> block = uniform((6, 3, 2), like, whole.window(range(3), 0))
    >>> window = uniform((2, 1, 2), like, part.window([1], 4))
    >>> torch.equal(block[4:, 1:2], window)
    True
    """

    def __new__(cls, seed: int, shared: bool, first_row: int = 0) -> "BlockNoise":
        """A generator on the CPU: the noise does not depend on the device."""
        return super().__new__(cls)

    def __init__(self, seed: int, shared: bool, first_row: int = 0) -> None:
        self.manual_seed(seed)
        self.seed_key = seed
        self.shared = shared
        self.first_row = 0 if shared else first_row
        self._points, self._points_of = torch.empty(0, 0, dtype=torch.float64), -1
        self.window([0], 0)

    def window(self, rows: Sequence[int], first_draw: int, site: int = 0) -> "BlockNoise":
        """Go to these rows (their numbers in the whole table), from this draw on; ``site`` counts the arrays drawn."""
        self._rows, self._first_draw, self._site = rows, first_draw, site
        return self

    def block(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Uniforms in (0, 1) for the next site, shape (..., K, n, p), or (..., K, 1, p) when shared."""
        *lead, n_draws, _, width = shape
        if self.shared and self._site == 0 and not lead:
            self._site += 1
            return _inside(self._quasi_random(n_draws, width).unsqueeze(1), like)
        per_draw = int(np.prod(lead, dtype=int)) * width
        padded = -(-per_draw // _WORDS) * _WORDS
        rows = [0] if self.shared else self._rows
        words = np.empty((len(rows), n_draws, padded))
        for place, row in enumerate(rows):
            stream = np.random.Philox(key=[self.seed_key, (self.first_row + row) * 256 + self._site])
            stream.advance(self._first_draw * padded // _WORDS)
            words[place] = (stream.random_raw(n_draws * padded) >> np.uint64(12)).reshape(n_draws, padded)
        self._site += 1
        # The middle of one of 2^52 cells: never 0 or 1.
        values = torch.from_numpy((words[:, :, :per_draw] + 0.5) * 2.0**-52)
        values = values.view(len(rows), n_draws, *lead, width).movedim((0, 1), (-2, -3))
        return _inside(values, like)

    def _quasi_random(self, n_draws: int, width: int) -> Tensor:
        """Scrambled Sobol points in (0, 1) for the draws of the window, float64, shape (n_draws, width)."""
        sequence, first = divmod(self._first_draw, _POINTS)
        last = first + n_draws
        if self._points_of != sequence or self._points.shape[1] != width or len(self._points) < last:
            seed = np.random.SeedSequence([self.seed_key, sequence]).generate_state(1)
            engine = torch.quasirandom.SobolEngine(width, scramble=True, seed=int(seed[0]))
            # The middle of each cell of that width: never 0 or 1.
            self._points, self._points_of = engine.draw(last, dtype=torch.float64) + 0.5 / _POINTS, sequence
        return self._points[first:last]


class PartNoise(torch.Generator):
    """Noise for some rows of a batch: their part of what one generator draws for the whole batch.

    Processes that share a batch each draw the noise of all of it, from the same seed, and keep that of their rows:
    together they then have the very noise of one process, and their generators stay in step.

    Examples
    --------
    >>> whole, part = torch.Generator().manual_seed(0), PartNoise(torch.device("cpu"))
    >>> _ = part.manual_seed(0)
    >>> part.rows, part.n_rows = slice(4, 6), 6
    >>> like = torch.zeros(())
    >>> torch.equal(normal((5, 6, 2), like, whole)[:, 4:], normal((5, 2, 2), like, part))
    True
    """

    def __new__(cls, device: torch.device) -> "PartNoise":
        """A generator on the device."""
        return super().__new__(cls, device)  # type: ignore[call-arg]

    def __init__(self, device: torch.device) -> None:
        #: The rows that are here, and the number of rows of the whole batch.
        self.rows, self.n_rows = slice(0, 0), 0

    def part(self, draw: Callable[..., Tensor], shape: tuple[int, ...], like: Tensor) -> Tensor:
        """What ``draw`` gives for the whole batch, cut to the rows that are here: shape (..., K, n, p)."""
        *lead, count, width = shape
        assert count == self.rows.stop - self.rows.start, "the rows of an array of draws stand in its axis -2"
        whole = draw((*lead, self.n_rows, width), generator=self, dtype=like.dtype, device=like.device)
        return whole[..., self.rows, :]


def _inside(values: Tensor, like: Tensor) -> Tensor:
    """Uniforms with the dtype and device of ``like``; those that would round to 1 in single precision stay below."""
    return values.to(like.device, like.dtype).clamp(max=1 - torch.finfo(like.dtype).eps / 2)


def uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniforms in (0, 1) that broadcast to ``shape`` (..., K, n, p), with the dtype and device of ``like``."""
    if isinstance(generator, BlockNoise):
        return generator.block(shape, like)
    if isinstance(generator, PartNoise):
        return generator.part(torch.rand, shape, like)
    return torch.rand(shape, generator=generator, dtype=like.dtype, device=like.device)


def normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normals that broadcast to ``shape`` (..., K, n, p), with the dtype and device of ``like``."""
    if isinstance(generator, BlockNoise):
        return torch.special.ndtri(generator.block(shape, like.new_empty((), dtype=torch.float64))).to(like.dtype)
    if isinstance(generator, PartNoise):
        return generator.part(torch.randn, shape, like)
    return torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
