r"""The model/guide pair, and the only place with ``pyro.sample``.

    model:  z ~ p(z)    x_obs ~ p(x_obs|z)    x_mis ~ p(x_mis|z)    s ~ p(s|x)    y ~ p(y|x)
    guide:  z ~ q(z|x_obs)                    x_mis ~ p(x_mis|z)

Every site lies in the plate ``rows`` and has a log density of shape (K, n): the bound is per row. The guide draws x_mis
from the model's own distribution, so its density cancels in the weight. Where the mask term has a closed form, ``s`` is
drawn from its marginal p(s|z, x_obs) and x_mis (needed by y alone) from p(x_mis|z, s, x_obs): the same joint density.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyro
import torch
from pyro.distributions import Bernoulli, Categorical, MixtureSameFamily, TorchDistribution
from pyro.poutine.indep_messenger import IndepMessenger
from torch import Tensor, nn
from torch.distributions import constraints

from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import Encoder
from pyro_mnar.model.heads import Head
from pyro_mnar.model.likelihoods import Likelihood, LimitEvidence, MaskedRows, RowDistribution, within_limits
from pyro_mnar.model.mechanisms import Ignorable, Mechanism
from pyro_mnar.model.networks import in_slices
from pyro_mnar.numerics.distributions import StandardNormal, Unchecked, WithChoices


class GivenCode(NamedTuple):
    """What follows from one set of codes z: p(x|z), and the distribution of x_mis where the model draws it."""

    z: Tensor
    rows: RowDistribution
    x_mis: TorchDistribution | None


class Joint(nn.Module):
    r"""p(z) p(x|z) p(s|x) p(y|x) with its proposal q(z|x_obs) p(x_mis|z): a Pyro model and guide.

    ``joint.model`` and ``joint.guide`` take a :class:`~pyro_mnar.model.batch.Batch` and work with Pyro's own tools
    (``RenyiELBO(alpha=0, vectorize_particles=True)``, ``Predictive``, ``Importance``). Nothing enters Pyro's parameter
    store: the parameters are those of this ``nn.Module``.

    Parameters
    ----------
    encoder : Encoder
        q(z|x_obs).
    decoder : nn.Module
        From z, shape (K, n, L), to the hidden units that the likelihood reads.
    likelihood : Likelihood
        p(x|z).
    mechanism : Mechanism
        p(s|x); ``Ignorable()`` leaves the site ``s`` out.
    latent_dim : int
        L.
    active : Tensor
        bool, shape (p,): the columns that have a mask term (those with a hole in training).
    head : Head or None
        p(y|x); the site ``y`` is there when the batch has a target.
    collapse : {"auto", True, False}
        Integrate x_mis out of the mask term where possible, always (an error where it is not), or never.
    n_inner : int
        Draws M of x_mis per z when x_mis is sampled: p(s|z) is then their average, which costs only the mechanism.
        The site ``x_mis`` has the event shape (p,), or (M, p) for M > 1.
    one_cell_groups : sequence of sequence of int
        Groups of one-hot columns that stand for one cell of the table: they are missing together, and the first column
        carries the group's one mask term.

    Raises
    ------
    UnsupportedModelError
        ``collapse=True`` for parts without a closed form.

    References
    ----------
    Mattei & Frellsen 2019, arXiv:1812.02633; Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, and 2022 (supMIWAE).
    """

    active: Tensor

    def __init__(
        self,
        encoder: Encoder,
        decoder: nn.Module,
        likelihood: Likelihood,
        mechanism: Mechanism,
        latent_dim: int,
        active: Tensor,
        head: Head | None = None,
        collapse: bool | str = "auto",
        n_inner: int = 1,
        one_cell_groups: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.mechanism = mechanism
        self.head = head
        self.latent_dim = latent_dim
        self.n_inner = n_inner
        self.generator: torch.Generator | None = None
        self.one_cell_groups = [list(group) for group in one_cell_groups]
        for _, *others in self.one_cell_groups:
            active = active.clone()
            active[others] = False
        masked = mechanism.masked()
        active = active if masked is None else active & masked.to(active.device)
        self.register_buffer("active", active)
        self.has_mask_term = not isinstance(mechanism, Ignorable) and bool(active.any())
        self.collapsed = self.has_mask_term and collapse is not False and self._has_closed_form()
        if collapse is True and self.has_mask_term and not self.collapsed:
            raise UnsupportedModelError(
                f"collapse=True, but {type(mechanism).__name__} with {type(likelihood).__name__} has no closed form; "
                "use collapse='auto'"
            )
        self._last: GivenCode | None = None

    def model(self, batch: Batch) -> None:
        """The generative side, for observed rows: sites z, x_obs, s, and where needed limits, x_mis and y."""
        with RowPlate(batch.n_rows):
            z = pyro.sample("z", self.prior(batch.x))
            given = self.given_code(z, batch)
            pyro.sample("x_obs", given.rows.observed_part(batch.observed), obs=batch.x)
            if batch.limits is not None and batch.censored is not None:
                pyro.sample("limits", LimitEvidence(given.rows, batch.censored), obs=batch.limits)
            if self.collapsed:
                mask = given.rows.mask_term(self._masked(z, batch))
                pyro.sample("s", mask, obs=batch.observed)
            if given.x_mis is not None:
                x = self.completed(pyro.sample("x_mis", given.x_mis), batch)
                log_inner = None
                if self.has_mask_term and not self.collapsed:
                    s = self.mask_given_row(x, z, batch)
                    pyro.sample("s", s, obs=batch.observed)
                    if self._uses_target(batch) and self.n_inner > 1:
                        log_inner = s.log_prob_inner(batch.observed)
                if self._uses_target(batch):
                    assert self.head is not None
                    pyro.sample("y", averaged(self.head(x, self.generator), log_inner, self.n_inner, x), obs=batch.y)
        self._last = None

    def guide(self, batch: Batch, proposal: TorchDistribution | None = None) -> None:
        """The proposal: sites z, and x_mis where the model has it.

        ``proposal``, batch (n,) and event (L,), takes the encoder's place as q(z|x_obs) when it is given.
        """
        with RowPlate(batch.n_rows):
            q = self.encoder.for_rows(batch) if proposal is None else proposal
            q.generator = self.generator
            z = pyro.sample("z", q)
            given = self.given_code(z, batch)
            if given.x_mis is not None:
                pyro.sample("x_mis", given.x_mis)

    def generate(self, n_rows: int, beside: Tensor | None = None) -> None:
        """New complete rows from the prior: sites z, x (n, p), s and y, for prior predictive checks.

        ``beside`` is as in a batch, shape (n, 2 q), for a mechanism that reads columns beside the model.
        """
        like = next(self.parameters())
        with RowPlate(n_rows):
            z = pyro.sample("z", self.prior(like))
            x = pyro.sample("x", self.rows_given_code(z))
            if self.has_mask_term:
                self._generate_mask(x, z, beside)
            if self.head is not None:
                pyro.sample("y", self.head(x, self.generator))

    @property
    def last_code(self) -> GivenCode | None:
        """What the latest call of the guide decoded: p(x|z) beside its trace. The model drops it."""
        return self._last

    def prior(self, like: Tensor) -> StandardNormal:
        """p(z) = N(0, I), event (L,), with the dtype and device of ``like``."""
        return StandardNormal(like, self.latent_dim, generator=self.generator)

    def rows_given_code(self, z: Tensor) -> RowDistribution:
        """p(x|z) for codes z (..., L)."""
        return self.likelihood.rows(*in_slices(lambda part: self.likelihood.numbers(self.decoder(part)), z))

    def given_code(self, z: Tensor, batch: Batch) -> GivenCode:
        """p(x|z) and the distribution of x_mis, for codes z (K, n, L).

        Guide and model of one pass share the tensor z: the second call returns what the first made, so that no decoder
        pass is done twice.
        """
        last = self._last
        if last is None or last.z is not z:
            rows = self.rows_given_code(z)
            last = self._last = GivenCode(z, rows, self._missing_part(z, rows, batch))
        return last

    def _generate_mask(self, x: Tensor, z: Tensor, beside: Tensor | None) -> None:
        rows = Batch(x, torch.ones_like(x, dtype=torch.bool), beside=beside)
        mask = self.mask_given_row(x, z, rows, n_inner=1)
        if not self.mechanism.parents:
            pyro.sample("s", mask)
            return
        # Masks that others depend on come first: with the same noise, each round settles those of one step more.
        noise, settled = torch.rand_like(x), False
        while not settled:
            before = rows.observed
            rows = rows._replace(observed=mask.from_noise(noise))
            mask, settled = self.mask_given_row(x, z, rows, n_inner=1), bool((rows.observed == before).all())
        pyro.sample("s", mask, obs=rows.observed)

    def mask_given_row(self, x: Tensor, z: Tensor, rows: Batch, n_inner: int | None = None) -> "MaskGivenRow":
        """p(s | x, z) for completed rows x of shape (K, n, p), or (K, n, M, p) for ``n_inner`` = M > 1.

        ``rows``, shape (n, p), says what of them is observed, and what is beside the model: masks may depend on both.
        """
        s = self.mechanism.given_row(x, z, rows)
        if self.mechanism.freedom() is not None:
            moved = self.mechanism.curve_of_rows(rows, z)
            assert moved is not None
            s = self.rows_given_code(z).mask_given_values(s, moved, x)
        if self.one_cell_groups and self.mechanism.by_own_value:
            # A group that is one cell of the table has the curve of the category that is present, at 1; where the
            # category does not matter, that of its first column.
            logits, curve = s.logits.clone(), self.mechanism.curve()
            flat = None if curve is None else curve.flat
            for group in self.one_cell_groups:
                if flat is None or not bool(flat[group].all()):
                    logits[..., group[0]] = (x[..., group] * s.logits[..., group]).sum(-1)
            s = Bernoulli(logits=logits, validate_args=False)
        return MaskGivenRow(s, self.active, self.n_inner if n_inner is None else n_inner, x.dtype, self.one_cell_groups)

    def forget(self) -> None:
        """Drop what belongs to a pass, which may have been broken off: its generator and its codes."""
        self.generator = None
        self._last = None

    def completed(self, x_mis: Tensor, batch: Batch) -> Tensor:
        """Rows with the observed cells as they are and ``x_mis`` elsewhere, shape of ``x_mis``."""
        x, observed = (batch.x, batch.observed) if self.n_inner == 1 else (batch.x[:, None], batch.observed[:, None])
        # Missing cells of x hold 0; a product costs a third of torch.where.
        return torch.addcmul(x, x_mis, (~observed).to(x.dtype))

    def _missing_part(self, z: Tensor, rows: RowDistribution, batch: Batch) -> TorchDistribution | None:
        if self.collapsed and not self._uses_target(batch):
            return None
        if not self.has_mask_term and not self._uses_target(batch):
            return None
        return self.missing_given_code(z, rows, batch, self.n_inner)

    def missing_given_code(self, z: Tensor, rows: RowDistribution, batch: Batch, n_inner: int = 1) -> TorchDistribution:
        """p(x_mis | z, x_obs), conditioned on s too where that has a closed form; event (p,), or (M, p) for M > 1."""
        limits, censored = batch.limits, batch.censored
        if censored is not None:
            # Its own part follows below; for the others, a censored cell is no missing one.
            batch = batch._replace(observed=batch.observed | censored)
        if self.collapsed:
            part = rows.missing_given_mask(self._masked(z, batch), self.generator)
        else:
            part = rows.missing_part(batch.x, batch.observed, self.generator)
        if limits is not None and censored is not None:
            part = within_limits(rows, part, limits, censored, self.generator)
        return part if n_inner == 1 else InnerDraws(part, n_inner)

    def _uses_target(self, batch: Batch) -> bool:
        return self.head is not None and batch.y is not None

    def _has_closed_form(self) -> bool:
        like = next(self.parameters())
        with torch.no_grad():
            z = like.new_zeros(1, 1, self.latent_dim)
            return self.mechanism.curve(z) is not None and self.rows_given_code(z).has_mask_term

    def _masked(self, z: Tensor, batch: Batch) -> MaskedRows:
        curve = self.mechanism.curve_of_rows(batch, z)
        assert curve is not None
        return MaskedRows(curve, batch.x, batch.observed, self.active)


class RowPlate(IndepMessenger):
    """``pyro.plate("rows", n, dim=-1)`` without the site that draws subsamples, which costs as much as a density."""

    def __init__(self, n_rows: int) -> None:
        super().__init__("rows", n_rows, dim=-1)

    def _process_message(self, msg: Any) -> None:
        super()._process_message(msg)
        if msg["type"] == "sample":
            shape = msg["fn"].batch_shape
            if shape[-1:] != (self.size,):
                msg["fn"] = msg["fn"].expand(torch.Size((*shape[:-1], self.size)))


class MaskGivenRow(Unchecked):
    """p(s | x) of the active columns, averaged over the inner draws of x_mis: event (p,), batch (K, n).

    ``bernoulli`` is p(s_j | x), shape (K, n, p), or (K, n, M, p) for M > 1; ``active`` is bool, shape (p,); ``dtype``
    is that of the log densities, and the columns of a group in ``one_cell_groups`` are missing together with its first.
    """

    support = constraints.independent(constraints.boolean, 1)

    def __init__(
        self,
        bernoulli: Bernoulli,
        active: Tensor,
        n_inner: int,
        dtype: torch.dtype,
        one_cell_groups: Sequence[Sequence[int]] = (),
    ) -> None:
        self.bernoulli, self.active, self.n_inner, self.dtype = bernoulli, active, n_inner, dtype
        self.one_cell_groups = one_cell_groups
        shape = bernoulli.batch_shape
        super().__init__(shape[: -1 if n_inner == 1 else -2], shape[-1:], validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> "MaskGivenRow":
        """Itself: x has all draws and rows already."""
        return self

    def log_prob_inner(self, value: Tensor) -> Tensor:
        """Log p(s | x) for each inner draw, shape (K, n), or (K, n, M) for M > 1."""
        s = (value if self.n_inner == 1 else value.unsqueeze(-2)).to(self.dtype)
        # A matrix product: torch.where over an array this wide costs as much as the densities.
        return self.bernoulli.log_prob(s) @ self.active.to(self.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log (1/M sum_m p(s | x_m)), shape (K, n), in nats."""
        inner = self.log_prob_inner(value)
        return inner if self.n_inner == 1 else _log_mean(inner)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Masks, bool, True = observed; inactive columns are always observed."""
        draw = self.bernoulli.sample(sample_shape).bool()
        return self._possible(draw if self.n_inner == 1 else draw[..., 0, :])

    def from_noise(self, noise: Tensor) -> Tensor:
        """Masks from uniform numbers of the rows' shape, for one inner draw; as :meth:`sample`."""
        return self._possible(noise < self.bernoulli.probs)

    def _possible(self, draw: Tensor) -> Tensor:
        draw = draw | ~self.active
        for first, *others in self.one_cell_groups:
            draw[..., others] = draw[..., first, None]
        return draw


class InnerDraws(WithChoices):
    """M independent copies of a row distribution as one event of shape (M, p)."""

    support = constraints.real

    def __init__(self, base: TorchDistribution, n_inner: int) -> None:
        self.base, self.n_inner = base, n_inner
        super().__init__(base.batch_shape, torch.Size((n_inner, *base.event_shape)), validate_args=False)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, M, p)."""
        return self.base.rsample(torch.Size((*sample_shape, self.n_inner))).movedim(len(sample_shape), -2)

    def log_prob(self, value: Tensor) -> Tensor:
        """Sum over the copies, shape (K, n)."""
        return self.base.log_prob(value.movedim(-2, 0)).sum(0)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        if isinstance(self.base, WithChoices):
            return self.base.choice_log_prob(value.movedim(-2, 0)).sum(0)
        return value.new_zeros(self.batch_shape)


def averaged(head: TorchDistribution, log_inner: Tensor | None, n_inner: int, like: Tensor) -> TorchDistribution:
    """p(y | s, x_1 .. x_M): the inner draws' mixture, each with the weight that its mask probability gives it."""
    if n_inner == 1:
        return head
    logits = like.new_zeros(head.batch_shape) if log_inner is None else log_inner
    return MixtureSameFamily(Categorical(logits=logits, validate_args=False), head, validate_args=False)


def _log_mean(values: Tensor) -> Tensor:
    return values.logsumexp(-1) - torch.log(torch.tensor(float(values.shape[-1]), dtype=values.dtype))
