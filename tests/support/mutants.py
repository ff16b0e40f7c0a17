"""Faults to be put into formulas: file, what stands there, what takes its place, and the tests that must see it."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One fault.

    Attributes
    ----------
    file : str
        Under ``pyro_mnar``.
    old, new : str
        ``old`` stands there once.
    tests : str
        Files that cover it, under ``tests``.
    """

    file: str
    old: str
    new: str
    tests: str


_IMPORTANCE, _WEIGHTS = "inference/importance.py", "inference/weights.py"
_RESAMPLING, _POOLING = "inference/resampling.py", "analysis/pooling.py"
_AVERAGES, _PROBIT = "inference/posterior/averages.py", "numerics/probit.py"
_GAUSSIAN, _IMPUTER = "model/likelihoods/gaussian.py", "estimators/completion.py"
_IMPORTANCE_TESTS, _CHOICES_TESTS = "inference/test_importance.py", "inference/test_choices.py"
_DIAGNOSTICS_TESTS, _RESAMPLING_TESTS = "inference/test_diagnostics.py", "inference/test_resampling.py"
_POOLING_TESTS, _TILTED_TESTS = "analysis/test_pooling.py", "numerics/test_tilted.py"

MUTANTS = {
    "the bound divides by K + 1": Mutant(
        _IMPORTANCE, "- math.log(log_w.shape[0])", "- math.log(log_w.shape[0] + 1)", _IMPORTANCE_TESTS
    ),
    "the proposal's density is added": Mutant(
        _IMPORTANCE, "total = total - _site_log_prob", "total = total + _site_log_prob", _IMPORTANCE_TESTS
    ),
    "inner draws do not count by the target": Mutant(
        _IMPORTANCE, 'if "y" in nodes:\n        total', "if False:\n        total", "inference/test_inner_draws.py"
    ),
    "dreg weighs once": Mutant(
        _IMPORTANCE, "grad * normalised.unsqueeze(-1)", "grad * normalised.unsqueeze(-1) ** 0", _IMPORTANCE_TESTS
    ),
    "the score function has another sign": Mutant(
        _IMPORTANCE,
        "return loss if choices is None else loss - ",
        "return loss if choices is None else loss + ",
        _CHOICES_TESTS,
    ),
    "the score function compares with nothing": Mutant(
        _IMPORTANCE, "signal = signal - others", "signal = signal - 0 * others", _CHOICES_TESTS
    ),
    "effective draws without the square": Mutant(
        _WEIGHTS,
        "weights.sum(0).square() / weights.square().sum(0)",
        "weights.sum(0) / weights.square().sum(0)",
        _DIAGNOSTICS_TESTS,
    ),
    "the limit of k-hat": Mutant(_WEIGHTS, "min(1 - 1 / math.log10(n_draws), 0.7)", "0.7", _DIAGNOSTICS_TESTS),
    "the tail's length": Mutant(_WEIGHTS, "min(0.2 * n_draws, 3 *", "min(0.3 * n_draws, 2 *", _DIAGNOSTICS_TESTS),
    "the places of the tail": Mutant(_WEIGHTS, "tail.device) + 0.5)", "tail.device) + 0.9)", _DIAGNOSTICS_TESTS),
    "the prior of the shape": Mutant(
        _WEIGHTS, "+ 10 * 0.5) / (count + 10)", "+ 10 * 0.3) / (count + 10)", _DIAGNOSTICS_TESTS
    ),
    "normalised over rows": Mutant(
        _WEIGHTS, "torch.softmax(log_weights, 0)", "torch.softmax(log_weights, -1)", _DIAGNOSTICS_TESTS
    ),
    "quantiles without weights": Mutant(
        _RESAMPLING, "spread = weights.T", "spread = (0 * weights + 1).T", _RESAMPLING_TESTS
    ),
    "quantiles one draw on": Mutant(
        _RESAMPLING, ".clamp(max=n_draws - 1)", ".add(1).clamp(max=n_draws - 1)", _RESAMPLING_TESTS
    ),
    "systematic points shifted": Mutant(
        _RESAMPLING,
        "points = (steps + uniforms(n, 1)) / n_samples",
        "points = (steps + 0.5 * uniforms(n, 1)) / n_samples",
        _RESAMPLING_TESTS,
    ),
    "averages with equal weights": Mutant(
        _AVERAGES,
        "share = normalised(log_weights)\n",
        "share = normalised(0 * log_weights)\n",
        "inference/test_exact.py",
    ),
    "control variate of another sign": Mutant(
        _AVERAGES,
        "average_back - slope * average_moved",
        "average_back + slope * average_moved",
        "inference/test_averages.py",
    ),
    "the mask term without its width": Mutant(
        _PROBIT,
        "inverse = spread.square().add_(1).rsqrt_()",
        "inverse = spread.square().mul_(0).add_(1).rsqrt_()",
        _TILTED_TESTS,
    ),
    "the mask term's gradient by the scale": Mutant(
        _PROBIT,
        "by_scale = by_distance * t.mul_(spread).mul_(inverse).neg_()",
        "by_scale = by_distance * t.mul_(spread).mul_(inverse)",
        _TILTED_TESTS,
    ),
    "the mask term's gradient by the slope": Mutant(
        _PROBIT,
        "by_slope = (hazard * distance).mul_(inverse).mul_(inverse)",
        "by_slope = (hazard * distance).mul_(inverse)",
        _TILTED_TESTS,
    ),
    "the mean given the mask moves by the scale": Mutant(
        _GAUSSIAN,
        "cells, m.detach() + scale**2 * by_loc)",
        "cells, m.detach() + scale * by_loc)",
        "inference/test_exact.py",
    ),
    "draws ignore the mask": Mutant(
        _GAUSSIAN,
        "return plain.flatten(-2).index_copy(-1, cells, drawn).reshape(plain.shape)",
        "return plain",
        "inference/test_exact.py",
    ),
    "the variance between divides by m": Mutant(_POOLING, "** 2).sum(0) / (m - 1)", "** 2).sum(0) / m", _POOLING_TESTS),
    "the total without 1/m": Mutant(_POOLING, "added = (1 + 1 / m) * between", "added = between", _POOLING_TESTS),
    "degrees of freedom with m": Mutant(
        _POOLING, "inverse = share**2 / (m - 1)", "inverse = share**2 / m", _POOLING_TESTS
    ),
    "Barnard and Rubin's factor": Mutant(
        _POOLING, "(dof_complete + 1) / (dof_complete + 3)", "(dof_complete + 3) / (dof_complete + 1)", _POOLING_TESTS
    ),
    "an interval of one side": Mutant(
        _POOLING, "stats.t.ppf((1 + level) / 2, dof)", "stats.t.ppf(level, dof)", _POOLING_TESTS
    ),
    "observed cells move in multiple imputation": Mutant(
        _IMPUTER,
        "complete = [self._completed(table, self._tidied(rows, draw)) for draw in draws]",
        "complete = [self._completed(table, self._tidied(rows, draw) + 1e-9) for draw in draws]",
        "estimators/test_imputer.py",
    ),
}
