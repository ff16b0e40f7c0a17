"""The posterior of the missing cells, row by row: what is asked of a fitted pair."""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor

from pyro_mnar.data.arguments import callable_only, chosen_rows, fits_in_memory, probabilities, whole_number
from pyro_mnar.data.columns import ColumnInfo, FloatArray, original, possible
from pyro_mnar.data.rows import Rows, between_limits
from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.inference.posterior.averages import average, average_original, nonlinear, of_draws
from pyro_mnar.inference.posterior.draws import BYTE_BUDGET, GPU_BYTE_BUDGET, Values, WeightedDraws, code_carries_weight
from pyro_mnar.inference.posterior.imputations import codes_by_weight, imputed_by_known_weights, imputed_by_weight
from pyro_mnar.inference.posterior.refine import FOR_MEANS, Refinement, checked
from pyro_mnar.inference.posterior.reliability import MIN_ESS, diagnose, warn_of
from pyro_mnar.inference.posterior.sampler import Sampler
from pyro_mnar.inference.posterior.tails import with_uncertain_tails
from pyro_mnar.inference.resampling import weighted_quantile
from pyro_mnar.inference.weights import pareto_k_limit, psis_smooth
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.numerics.random_streams import BlockNoise


class Posterior:
    r"""p(x_mis | x_obs, s) of each row by self-normalised importance sampling, with a_ik = w_ik / sum_k w_ik.

    Point answers use float64 and one block of noise for all rows, so that the answer for a row depends neither on the
    other rows nor on their order; multiple imputations use independent noise for each row. Everything is computed in
    chunks of rows and draws, and does not depend on how they are cut. The weights' tails are Pareto-smoothed (from 100
    draws on). Where z carries the whole weight (ignorable and collapsed mechanisms, no target), x_mis is averaged
    exactly given z: E[x_mis | x_obs, s] ~ sum_k a_ik E[x_mis | z_ik, s_i].

    Parameters
    ----------
    joint : Joint
        The fitted pair; it is copied.
    batch : Batch
        The rows, standardised. A target in it counts as observed.
    columns : ColumnInfo
        The way back to original units.
    table : ndarray or None
        The rows in original units, shape (n, p), NaN = missing: observed cells are given back bit for bit.
    limits : ndarray or None
        Between which values missing cells are known to lie, shape (n, p, 2), original units.
    n_draws : int
        K.
    seed : int
        Of the noise.
    byte_budget : int or None
        Memory for one chunk, bytes; halved up to six times where it runs out. None is 64 MB, on a GPU 1 GB.
    show : bool or None
        Whether long answers show how far they have come; see :func:`pyro_mnar.inference.progress.progress`.
    single : bool
        Draw and decode in single precision, at half the time: a row's answer then depends on the rows beside it by
        less than 1e-5 of a standard deviation. Weights are added up in float64, and imputations drawn given their code.
    independent : bool
        Use independent noise for each row throughout, so that the weights by which rows are judged serve
        :meth:`sample` too; point answers then depend on where a row stands.
    first_row : int
        Where the rows begin in a table of which they are a part: noise of a row's own is that of its place there.

    Raises
    ------
    InvalidInputError
        ``n_draws`` below 1.

    References
    ----------
    Mattei & Frellsen 2019, section 3; Ipsen, Mattei & Frellsen 2021, section 3.3; Vehtari et al. 2024 (smoothing).
    """

    def __init__(
        self,
        joint: Joint,
        batch: Batch,
        columns: ColumnInfo,
        *,
        table: FloatArray | None = None,
        limits: FloatArray | None = None,
        n_draws: int = 1000,
        seed: int = 0,
        byte_budget: int | None = None,
        show: bool | None = None,
        single: bool = False,
        independent: bool = False,
        first_row: int = 0,
    ) -> None:
        n_draws = whole_number("n_draws", n_draws)
        self.columns = columns
        self._rows = None if table is None else Rows(table, limits)
        # What is kept lies beside the processor, whatever computes.
        self._kept_bytes = BYTE_BUDGET if byte_budget is None else byte_budget
        if byte_budget is None:
            byte_budget = BYTE_BUDGET if batch.x.device.type == "cpu" else GPU_BYTE_BUDGET
        self._sampler = Sampler(joint, batch, n_draws, seed, byte_budget, show, single, independent, first_row)
        # Found row by row: how far the weights can be trusted, and the means, which cost as much again.
        self._known, self._averaged = np.zeros((2, batch.n_rows), dtype=bool)
        self._means = np.zeros(batch.x.shape)
        self._diagnostics = {name: np.zeros(batch.n_rows) for name in ("log_evidence", "ess", "pareto_k", "reliable")}
        self._log_weights: Tensor | None = None
        self._warned = False

    @property
    def joint(self) -> Joint:
        """The pair that is asked: a copy of the fitted one, in float64."""
        return self._sampler.joint

    @property
    def batch(self) -> Batch:
        """The rows, standardised, float64."""
        return self._sampler.batch

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.batch.n_rows

    def mean(self) -> FloatArray:
        """E[x_mis | x_obs, s] in missing cells, shape (n, p), original units: best under squared error."""
        self._examine(means=True)
        self._warn()
        return self._with_observed(self._means)

    def quantile(self, q: float | list[float]) -> FloatArray:
        """Quantiles of each missing cell, shape (n, p), or (Q, n, p) for several levels, original units."""
        levels = torch.as_tensor(probabilities("q", q), dtype=torch.float64)
        self._fits(len(levels), "quantiles")

        def chunk(draws: WeightedDraws) -> Tensor:
            assert draws.x is not None
            x = with_uncertain_tails(draws.x, self.columns, self._sampler.seed, self.batch.limits, draws.rows)
            return weighted_quantile(x, draws.log_weights, levels).movedim(0, 1)

        values = self._original(self._collect(chunk, "draw").movedim(1, 0).numpy())
        self._warn()
        return values if np.ndim(q) else values[0]

    def median(self) -> FloatArray:
        """The median of each missing cell, shape (n, p), original units: best under absolute error."""
        return self.quantile(0.5)

    def sample(self, m: int = 1, seed: int | None = None) -> FloatArray:
        """Multiple imputations by sampling-importance-resampling, shape (m, n, p), original units.

        Noise is independent between rows. They express the uncertainty given the fitted parameters; for that of the
        parameters too, refit on bootstrapped rows.

        Parameters
        ----------
        m : int
            Number of completed tables.
        seed : int or None
            None uses the posterior's own: the same tables on every call.

        References
        ----------
        Rubin 1987 (SIR).
        """
        m, seed = whole_number("m", m), seed if seed is None else whole_number("seed", seed, 0, 2**63)
        self._fits(m, "completed tables")
        noise = self._sampler.imputation_noise(seed)
        alone = code_carries_weight(self.joint, self.batch)
        if alone and seed is None and self._sampler.independent:
            result = imputed_by_known_weights(self._sampler, self.log_weights, m, noise)
        else:
            imputed = functools.partial(imputed_by_weight, self.joint, self.batch, m=m, noise=noise)
            result = self._collect(imputed, "none" if alone else "draw", noise=noise)
        self._warn()
        seed = self._sampler.seed if seed is None else seed
        tables = with_uncertain_tails(result.movedim(1, 0), self.columns, seed, self.batch.limits)
        return self._original(tables.numpy())

    def expectation(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """E[f(x) | x_obs, s] of the completed rows, shape (n, ...).

        Parameters
        ----------
        function : callable
            From completed rows (K, r, p), original units, float64, to values (K, r, ...).
        """
        callable_only("function", function, "a function of completed rows")

        def chunk(draws: WeightedDraws) -> Tensor:
            return average(draws.log_weights, of_draws(function(self._unstandardised(draws)), draws))

        result = self._collect(chunk, "draw")
        self._warn()
        return result

    def predictive(self, function: Callable[[TorchDistribution], Tensor] | None = None) -> Tensor:
        """Average of p(y|x), or of a statistic of it, over the completed rows, with weights WITHOUT y; shape (n, ...).

        p(y | x_obs, s) ~ sum_k a_ik p(y | x_obs, x_mis_ik).

        Parameters
        ----------
        function : callable or None
            From the head's distribution, batch (K, r), to values (K, r, ...); None takes the probabilities of the
            classes of a categorical head, (n, C), and the mean of other heads, (n,), on the target's model scale.

        Raises
        ------
        UnsupportedModelError
            The pair has no head.
        """
        head = self.joint.head
        if function is not None:
            callable_only("function", function, "None, or a function of the head's distribution")
        if head is None:
            raise UnsupportedModelError("predictive() needs a model of y: the pair has no head")

        def chunk(draws: WeightedDraws) -> Tensor:
            assert draws.x is not None and head is not None
            distribution = head(draws.x)
            if function is not None:
                return average(draws.log_weights, of_draws(function(distribution), draws))
            probabilities = isinstance(distribution, Categorical)
            return average(draws.log_weights, distribution.probs if probabilities else distribution.mean)

        result = self._collect(chunk, "draw", batch=self.batch.without_target())
        self._warn("raise n_draws_posterior")
        return result

    def draws(self) -> Iterator[WeightedDraws]:
        """The weighted draws themselves, one chunk of rows after the other; x is standardised."""
        for draws in self._sampler.chunks("draw", self.batch, self._sampler.point_noise()):
            yield draws._replace(log_weights=psis_smooth(draws.log_weights))

    def codes(self, m: int, generator: torch.Generator) -> Tensor:
        """Codes z that count equally, by sampling-importance-resampling from :meth:`draws`, shape (m, n, L)."""
        return codes_by_weight(self._sampler, self.log_weights, whole_number("m", m), generator)

    @property
    def log_weights(self) -> Tensor:
        """Log weights, shape (K, n), nats; rows with fewer draws than others end in zero weights (-inf)."""
        self._examine()
        n_draws = int(self.n_draws.max())
        if self._log_weights is not None:
            return self._log_weights[:n_draws].clone()
        result = torch.full((n_draws, self.n_rows), -math.inf, dtype=torch.float64)
        for draws in self._sampler.chunks("none", self.batch, self._sampler.point_noise()):
            result[: len(draws.log_weights), draws.rows.cpu()] = draws.log_weights.cpu()
        return result

    @property
    def log_evidence(self) -> FloatArray:
        """Log 1/K sum_k w_ik, which estimates log p(x_obs_i, s_i) of each row (a lower bound on average), nats."""
        return self._diagnosed("log_evidence")

    @property
    def ess(self) -> FloatArray:
        """Effective number of draws 1 / sum_k a_ik^2 of each row, shape (n,)."""
        return self._diagnosed("ess")

    @property
    def pareto_k(self) -> FloatArray:
        """Pareto k-hat of each row's weights, shape (n,); NaN below 100 draws."""
        return self._diagnosed("pareto_k")

    @property
    def reliable(self) -> np.ndarray:
        """Which rows can be trusted, bool, shape (n,).

        Those with 100 effective draws and k-hat below its limit min(1 - 1/log10 K, 0.7). Where half of the draws are
        effective k-hat is not asked: weights so even have no tail to speak of, and its estimate is noise.
        """
        return self._diagnosed("reliable").astype(bool)

    @property
    def n_draws(self) -> np.ndarray:
        """Number of draws K of each row, shape (n,)."""
        return self._sampler.n_draws

    def more_draws(self, n_draws: int, rows: np.ndarray | None = None) -> "Posterior":
        """Give some rows ``n_draws`` draws, by default the unreliable ones; the other rows keep theirs.

        Parameters
        ----------
        n_draws : int
            Number of draws of these rows from now on.
        rows : ndarray or None
            Indices, or bool of shape (n,).

        Returns
        -------
        Posterior
            This object.
        """
        n_draws = whole_number("n_draws", n_draws)
        self._sampler.check_draws(n_draws)
        chosen = ~self.reliable if rows is None else chosen_rows(rows, self.n_rows)
        self._sampler.give_draws(chosen, n_draws)
        return self._changed(chosen)

    def refine(self, rows: np.ndarray | None = None, settings: Refinement | None = None) -> "Posterior":
        """Give some rows a proposal of their own, by default those whose plain weights are too uneven.

        A Laplace approximation adapted by importance sampling (:mod:`pyro_mnar.inference.posterior.refine`). The draws
        that answers are made of are fresh ones, and each row is judged by them; a row that fails is tried once more
        with twice the effort and other draws. With fewer than 100 draws nothing can be judged, and no row is chosen.

        Parameters
        ----------
        rows : ndarray or None
            Indices, or bool of shape (n,). None tries ``settings.pilot`` plain draws first, and then what the rows that
            passed make of all their draws.
        settings : Refinement or None
            How much to spend.

        Returns
        -------
        Posterior
            This object.
        """
        settings = checked(settings)
        if rows is not None:
            return self._refine(chosen_rows(rows, self.n_rows), settings)
        if math.isnan(pareto_k_limit(int(self.n_draws.min()))):
            return self
        return self._refine_uneven(settings, settings.doubled())

    def refine_means(self) -> "Posterior":
        """:meth:`refine` with a third of the effort, which means need, and with all of it for rows that still fail.

        Rows whose weights are even keep their draws; with fewer than 200 draws all rows do.

        Returns
        -------
        Posterior
            This object.
        """
        if self.n_draws.min() < 2 * MIN_ESS:
            return self
        return self._refine_uneven(FOR_MEANS, Refinement(), means=True)

    def _refine_uneven(self, first: Refinement, second: Refinement, means: bool = False) -> "Posterior":
        """Refine rows of which a pilot promises too little, then those that fail by their own draws, at most twice."""
        uneven = ~self._pilot_passes(first)
        self._refine(uneven, first)
        self._examine(means)
        self._refine(~uneven & ~self.reliable, first)
        self._examine(means)
        return self._refine(~self.reliable, second)

    def _fits(self, count: int, what: str) -> None:
        n_rows, p = self.batch.x.shape
        n_bytes = 4.0 * 8 * count * n_rows * p
        fits_in_memory(n_bytes, f"{count:,} {what} of {n_rows:,} x {p}", "ask for fewer, or for fewer rows at a time")

    def _refine(self, chosen: np.ndarray, settings: Refinement) -> "Posterior":
        self._sampler.refine(chosen, settings)
        return self._changed(chosen)

    def _pilot_passes(self, settings: Refinement) -> np.ndarray:
        """Rows whose plain weights promise to suffice, from a few draws."""
        passes, wanted = np.zeros(self.n_rows, dtype=bool), settings.promise * settings.pilot / self.n_draws
        for draws in self._sampler.pilot(settings.pilot):
            found, rows = diagnose(draws.log_weights), draws.rows.cpu().numpy()
            # A pilot of fewer than 100 draws has no k-hat: NaN, which is not above the limit.
            passes[rows] = ~(found["pareto_k"] >= pareto_k_limit(settings.pilot)) & (found["ess"] >= wanted[rows])
        return passes

    def _changed(self, chosen: np.ndarray) -> "Posterior":
        self._known &= ~chosen
        self._averaged &= ~chosen
        self._warned = False
        return self

    @torch.no_grad()
    def _examine(self, means: bool = False) -> None:
        noise = self._sampler.point_noise()
        kept = self._room_for_weights()
        values: Values = "none"
        if means:
            values = "mean and draw" if nonlinear(self.columns) else "mean"
        for draws in self._sampler.chunks(values, self.batch, noise, ~(self._averaged if means else self._known)):
            rows = draws.rows.cpu().numpy()
            if kept is not None:
                kept[:, rows] = -math.inf
                kept[: len(draws.log_weights), rows] = draws.log_weights.cpu()
            for name, value in diagnose(draws.log_weights).items():
                self._diagnostics[name][rows] = value
            self._known[rows] = True
            if means:
                smooth = draws._replace(log_weights=psis_smooth(draws.log_weights))
                self._means[rows] = average_original(smooth, self.columns, ~self.batch.observed[draws.rows])
                self._averaged[rows] = True

    def _room_for_weights(self) -> Tensor | None:
        """A place for all log weights, which keeps those that are known; None where they would not fit in memory."""
        n_draws = int(self.n_draws.max())
        before = self._log_weights
        if 8 * n_draws * self.n_rows > self._kept_bytes or (before is None and self._known.any()):
            self._log_weights = None
        elif before is None or len(before) < n_draws:
            self._log_weights = torch.full((n_draws, self.n_rows), -math.inf, dtype=torch.float64)
            if before is not None:
                self._log_weights[: len(before)] = before
        return self._log_weights

    @torch.no_grad()
    def _collect(
        self,
        function: Callable[[WeightedDraws], Tensor],
        values: Values,
        batch: Batch | None = None,
        noise: BlockNoise | None = None,
    ) -> Tensor:
        """``function`` of each chunk, (r, ...), put together in the order of the rows, on the CPU."""
        result: Tensor | None = None
        for raw in self._sampler.chunks(values, batch or self.batch, noise or self._sampler.point_noise()):
            part = function(raw._replace(log_weights=psis_smooth(raw.log_weights))).cpu()
            if result is None:
                result = part.new_zeros((self.n_rows, *part.shape[1:]))
            result[raw.rows.cpu()] = part
        assert result is not None
        return result

    def _diagnosed(self, name: str) -> FloatArray:
        self._examine()
        return self._diagnostics[name].copy()

    def _warn(self, remedy: str = "") -> None:
        """Tell once how many rows cannot be trusted; nothing is known below 100 draws."""
        if not self._warned and not math.isnan(pareto_k_limit(int(self.n_draws.min()))):
            self._warned = warn_of(~self.reliable, self._sampler.refined, remedy)

    def _unstandardised(self, draws: WeightedDraws) -> Tensor:
        assert draws.x is not None
        x = with_uncertain_tails(draws.x, self.columns, self._sampler.seed, self.batch.limits, draws.rows)
        values = torch.as_tensor(original(x.cpu().numpy(), self.columns))
        if self._rows is None:
            return values
        table = torch.as_tensor(self._rows.values)[draws.rows.cpu()]
        return torch.where(table.isnan(), values, table)

    def _original(self, values: FloatArray) -> FloatArray:
        return self._with_observed(possible(original(values, self.columns), self.columns))

    def _with_observed(self, values: FloatArray) -> FloatArray:
        if self._rows is None:
            return values.copy()
        table = self._rows.values
        return np.where(np.isnan(table), between_limits(values, self._rows, self.columns), table)
