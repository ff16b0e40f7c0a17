"""Masks that depend on what is observed: the curve of each row, its circles, and its mask term, against the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.stats import norm

from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.masks import check_order
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.likelihoods import GaussianRows, MaskedRows
from pyro_mnar.model.mechanisms import Mechanism, Nested, SelfMasking, by_name
from pyro_mnar.model.observed import columns_of
from tests.model.test_kinds_of_rows import K, N, atom_rows, level_rows, normals
from tests.support.pairs import info

#: Of x2, which depends on x0 and x1 in the model and on w beside it: values, then where they are missing.
B, E, G, H = (0.8, -0.5), (0.3, 1.1), 1.7, -0.9
OBSERVED = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]]) == 1
X = normals(N, 3, seed=2) * OBSERVED
BESIDE = torch.tensor([[0.4, 0.0], [-1.2, 0.0], [0.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
ROWS = Batch(X, OBSERVED, beside=BESIDE)


def columns(p: int = 3) -> object:
    return info(p)._replace(beside=info(1)._replace(names=("w",)))


def set_up(mechanism: Mechanism) -> Mechanism:
    mechanism.setup(columns())  # type: ignore[arg-type]
    mechanism.setup_code(2)
    for part in mechanism.modules():
        if isinstance(part, SelfMasking) and part.observed is not None:
            with torch.no_grad():
                part.observed.weight.normal_(generator=torch.Generator().manual_seed(0))
                part.observed.weight[2] = torch.tensor([*B, 9.0, G, *E, 9.0, H])
    return mechanism.double().requires_grad_(False)


def moved_by(i: int) -> float:
    """What is added to the intercept of x2 in a row, by the formula."""
    total = sum(B[k] * float(X[i, k]) if OBSERVED[i, k] else E[k] for k in range(2))
    return total + (H if BESIDE[i, 1] else G * float(BESIDE[i, 0]))


DEPENDING = [
    SelfMasking("high", depends_on={"x2": ["x0", "x1"]}, mechanism_features={"x2": ["w"]}),
    Nested({"x2": "high"}, depends_on={"x2": ["x0", "x1"]}, mechanism_features={"x2": ["w"]}),
    by_name({"x2": SelfMasking("low", depends_on=["x0", "x1"], mechanism_features=["w"]), "default": "ignorable"}),
    SelfMasking(shape="two-sided", depends_on={"x2": ["x0", "x1"]}, mechanism_features={"x2": ["w"]}),
]


@pytest.mark.parametrize("mechanism", DEPENDING, ids=["self", "nested", "by column", "two-sided"])
def test_curve_mask_term_and_mean_against_quadrature(mechanism: Mechanism) -> None:
    mechanism = set_up(mechanism)
    z = normals(K, N, 2, seed=4)
    curve, plain = mechanism.curve_of_rows(ROWS, z), mechanism.curve(z)
    assert curve is not None and plain is not None
    at = plain.intercept.expand(K, N, 3)
    expected = torch.tensor([moved_by(i) for i in range(N)], dtype=torch.float64)
    torch.testing.assert_close(curve.intercept.expand(K, N, 3)[..., 2], at[..., 2] + expected)
    rows = GaussianRows(normals(K, N, 3, seed=5), 0.2 + normals(K, N, 3, seed=6).exp())
    masked = MaskedRows(curve, X, OBSERVED, torch.tensor([False, False, True]))
    term, mean = rows.mask_term(masked).log_prob(OBSERVED), rows.missing_given_mask(masked).mean
    for k in range(K):
        for i in range(N):
            w, c, gap = float(curve.slope[2]), float(at[k, i, 2]) + moved_by(i), curve.gap

            def missing(x: Any, w: float = w, c: float = c, gap: torch.Tensor | None = gap) -> Any:
                inside = norm.cdf(w * x + c) - (0.0 if gap is None else norm.cdf(w * x + c - float(gap[2])))
                return inside if gap is None else 1 - inside

            if OBSERVED[i, 2]:
                assert term[k, i].item() == pytest.approx(np.log1p(-missing(float(X[i, 2]))), rel=1e-6)
                continue
            m, s = float(rows.loc[k, i, 2]), float(rows.scale[k, i, 2])
            x = np.linspace(m - 9 * s, m + 9 * s, 20_001)
            weight = norm.pdf(x, m, s) * missing(x)
            total, first = trapezoid(weight, x), trapezoid(x * weight, x)
            assert term[k, i].item() == pytest.approx(np.log(total), rel=1e-6, abs=1e-6)
            assert mean[k, i, 2].item() == pytest.approx(first / total, abs=1e-5)


@pytest.mark.parametrize("rows", [level_rows(), atom_rows()], ids=["levels", "atoms"])
def test_other_kinds_of_columns_take_an_intercept_for_each_row(rows: object) -> None:
    mechanism = SelfMasking("high", depends_on={"x1": ["x0"]})
    mechanism.setup(info(2))
    assert mechanism.observed is not None
    with torch.no_grad():
        mechanism.observed.weight.fill_(1.5)
    x = torch.where(OBSERVED[:, :2], torch.tensor([-1.0, 0.4], dtype=torch.float64), 0.0)
    curve = mechanism.double().requires_grad_(False).curve_of_rows(Batch(x, OBSERVED[:, :2]))
    assert curve.intercept.shape == (N, 2)
    # An intercept for each code and row is held against enumeration and quadrature elsewhere.
    wide = curve._replace(intercept=curve.intercept.expand(K, N, 2))
    both = [MaskedRows(c, x, OBSERVED[:, :2], torch.tensor([True, True])) for c in (curve, wide)]
    terms = [rows.mask_term(masked).log_prob(OBSERVED[:, :2]) for masked in both]  # type: ignore[attr-defined]
    means = [rows.missing_given_mask(masked).mean for masked in both]  # type: ignore[attr-defined]
    torch.testing.assert_close(*terms)
    torch.testing.assert_close(*means)


def test_a_completed_row_has_the_same_curve_with_several_draws_of_what_is_missing() -> None:
    mechanism, z = set_up(DEPENDING[1]), normals(K, N, 2, seed=4)
    x = normals(K, N, 5, 3, seed=8)
    curve = mechanism.curve_of_rows(ROWS, z)
    assert curve is not None
    chance = mechanism.given_row(x, z, ROWS).probs
    for m in range(5):
        torch.testing.assert_close(chance[:, :, m], 1 - curve.log_missing(x[:, :, m]).exp())


def test_levels_of_one_nominal_column_are_moved_together() -> None:
    mechanism = SelfMasking(depends_on={"soil": ["x0"]})
    mechanism.setup(info(4)._replace(names=("x0", "soil=clay", "soil=sand", "x3")))
    assert mechanism.observed is not None
    with torch.no_grad():
        mechanism.observed.weight.normal_(generator=torch.Generator().manual_seed(0))
    moved = mechanism.observed(Batch(torch.randn(5, 4), torch.ones(5, 4, dtype=torch.bool)))
    torch.testing.assert_close(moved[:, 1], moved[:, 2])
    assert not moved[:, 1].eq(0).any() and moved[:, [0, 3]].eq(0).all()
    assert columns_of("soil", ("x0", "soil=clay", "soil=sand")) == [1, 2]


def test_what_cannot_be_is_said_by_name() -> None:
    with pytest.raises(InvalidInputError, match="'depends_on' names the column 'shoe', which the model does not have"):
        set_up(SelfMasking(depends_on=["shoe"]))
    with pytest.raises(InvalidInputError, match="'mechanism' names the column 'shoe'"):
        set_up(SelfMasking(depends_on={"shoe": ["x0"]}))
    with pytest.raises(InvalidInputError, match="'x1' depends on itself"):
        set_up(SelfMasking(depends_on={"x1": ["x0", "x1"]}))
    with pytest.raises(InvalidInputError, match="depends_on is 'x0'; give a list of names"):
        SelfMasking(depends_on="x0")
    with pytest.raises(InvalidInputError, match="mechanism_features is"):
        Nested(mechanism_features={"x0": [3]})  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match="shared=True has one curve for all columns"):
        SelfMasking(shared=True, depends_on=["x0"])
    with pytest.raises(InvalidInputError, match=r"beside the model .* which these rows lack"):
        set_up(DEPENDING[0]).curve_of_rows(ROWS._replace(beside=None))


def test_masks_that_depend_on_each_other_are_refused() -> None:
    mechanism = set_up(SelfMasking(depends_on={"x0": ["x1"], "x1": ["x2"]}))
    check_order(mechanism.parents, ["x0", "x1", "x2"])
    circle = set_up(SelfMasking(depends_on={"x0": ["x1"], "x1": ["x2"], "x2": ["x0"]}))
    with pytest.raises(InvalidInputError, match="in a circle, 'x0' on 'x1' on 'x2' on 'x0'"):
        check_order(circle.parents, ["x0", "x1", "x2"])
    # A list says it of all columns, and a part of a mapping only of its own.
    with pytest.raises(InvalidInputError, match="circle"):
        check_order(set_up(SelfMasking(depends_on=["x0", "x1"])).parents, ["x0", "x1", "x2"])
    part = set_up(by_name({"x2": SelfMasking(depends_on=["x0", "x1"]), "default": "self-masking"}))
    assert part.parents == {2: [0, 1]}
