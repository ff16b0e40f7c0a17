"""The study of selection: the textbook's likelihoods, a row from end to end, bias and cover, table and picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import gamma, norm
from torch.special import log_ndtr

from pyro_mnar.studies.mechanisms import MECHANISMS
from pyro_mnar.studies.records import read_records
from pyro_mnar.studies.selection import textbook
from pyro_mnar.studies.selection.report import markdown, summary, write_tables
from pyro_mnar.studies.selection.study import METHODS, TRUTH, SelectionRow
from pyro_mnar.studies.selection.textbook import log_likelihood, simulate, standard_errors
from pyro_mnar.studies.study import Record, row_settings


@pytest.mark.parametrize("nu", [3.0, 5.0])
def test_the_likelihood_of_t_errors_is_that_of_normal_ones_over_the_scale(nu: float) -> None:
    """A t is a normal with errors over the root of g, and g ~ Gamma(nu / 2, nu / 2) is integrated by quadrature."""
    parameters, X = np.array(TRUTH), simulate(6, 0, np.array([*TRUTH, np.log(nu)]))
    b, d, r, g = parameters[:2], np.exp(parameters[2]), np.tanh(parameters[3]), parameters[4:]
    scale = gamma(nu / 2, scale=2 / nu)
    for row in X:
        v, y, w = row
        index = g[0] + g[1] * v + g[2] * w

        def given(log_h: float, v: float = v, y: float = y, index: float = index) -> float:
            root, h = np.exp(log_h / 2), np.exp(log_h)
            if np.isnan(y):
                of_row = norm.cdf(-root * index)
            else:
                e = (y - b[0] - b[1] * v) / d
                of_row = root * norm.pdf(root * e) / d * norm.cdf(root * (index + r * e) / np.sqrt(1 - r**2))
            return float(of_row * scale.pdf(h) * h)

        exact = np.log(quad(given, -25, 6, limit=300)[0])
        assert log_likelihood(parameters, row[None], nu) == pytest.approx(exact, abs=1e-7)
        learned = np.append(parameters, np.log(nu))
        assert log_likelihood(learned, row[None]) == pytest.approx(exact, abs=1e-7)


def test_many_degrees_of_freedom_are_the_normal_and_errors_are_those_of_the_exact_second_derivatives() -> None:
    X, at = simulate(400, 1, np.array(TRUTH)), np.array([*TRUTH]) + 0.05
    assert log_likelihood(at, X, 1e7) == pytest.approx(log_likelihood(at, X), abs=1e-3)
    v, y, w = torch.tensor(X).T
    seen = ~y.isnan()

    def likelihood(q: torch.Tensor) -> torch.Tensor:
        d, r, index = q[2].exp(), q[3].tanh(), q[4] + q[5] * v + q[6] * w
        e = (y[seen] - q[0] - q[1] * v[seen]) / d
        chance = log_ndtr((index[seen] + r * e) / torch.sqrt(1 - r**2))
        return (chance - e.square() / 2 - q[2]).sum() + log_ndtr(-index[~seen]).sum()

    information = -torch.autograd.functional.hessian(likelihood, torch.tensor(at))
    wanted = information.inverse().diagonal().sqrt()
    np.testing.assert_allclose(standard_errors(at, X), wanted, rtol=1e-4)
    np.testing.assert_allclose(standard_errors(at, X, 1e7), wanted, rtol=1e-2)
    # A point where the likelihood curves upwards has no standard error, and says so.
    assert np.isnan(standard_errors(np.array([9.0, 0.8, 0.0, 2.0, -0.5, 0.5, 1.0]), X)).any()


def records(off: dict[str, float]) -> list[Record]:
    """Sets in which a method is off by so much, give or take 0.1, and says 0.1."""
    found = []
    for seed in range(4):
        for method, bias in off.items():
            at = {name: TRUTH[i] + bias + (0.1 if seed % 2 else -0.1) for i, name in enumerate(textbook.NAMES[:2])}
            error = None if method == "student-t" and seed == 0 else 0.1
            result = {"hidden": 0.5, "estimates": at, "errors": dict.fromkeys(at, error)}
            spec = row_settings(SelectionRow("t3 errors", method, seed))
            found.append(Record(spec, result, 1.0, 1.0, [], {}))
    return found


def test_bias_and_cover_are_counted_and_a_set_without_an_interval_counts_against_it(tmp_path: Path) -> None:
    given = records({"normal": 0.3, "student-t": 0.0})
    found = summary(given).set_index(["method", "quantity"])
    normal, heavy = found.loc[("normal", "mean")], found.loc[("student-t", "slope")]
    assert normal["bias"] == pytest.approx(0.3) and normal["cover"] == 0.0
    assert normal["bias_se"] == pytest.approx(0.1 * np.sqrt(4 / 3) / 2) and normal["length"] == pytest.approx(0.392)
    # Wilson's interval of none of four: 0 to z^2 / (n + z^2).
    assert normal["cover_low"] == 0.0 and normal["cover_high"] == pytest.approx(1.96**2 / (4 + 1.96**2), abs=1e-3)
    assert heavy["cover"] == 0.75 and heavy["without_interval"] == 1 and heavy["rmse"] == pytest.approx(0.1)
    assert "| t3 errors | this package, t errors | 4 | +0.000" in markdown(summary(given))
    assert "+0.200 (-) | 0.200" in markdown(summary(given[:1]))
    written = write_tables(given, tmp_path)
    assert [path.name for path in written] == ["selection.csv", "selection.md", "selection.png"]
    assert all(path.stat().st_size > 0 for path in written)


def test_a_quick_study_runs_to_its_tables_and_goes_on_where_it_was(tmp_path: Path) -> None:
    for methods in (["likelihood", "normal"], ["normal", "student-t held"]):
        part = {"cases": ["t3 errors"], "methods": methods}
        written = MECHANISMS.reproduce(tmp_path, part, seeds=[0], quick=True, workers=1)
    assert [path.name for path in written] == ["selection.csv", "selection.md", "selection.png"]
    done = read_records(tmp_path / "rows.jsonl")
    assert [record.spec["method"] for record in done] == ["likelihood", "normal", "student-t held"]
    assert all(set(record.result["estimates"]) == set(textbook.NAMES[:7]) for record in done[1:])


def test_a_part_of_both_studies_is_chosen_by_name() -> None:
    assert {row.method for row in MECHANISMS.rows({"cases": ["t5 errors"]}, seeds=[0])} == set(METHODS)
    assert {row.case for row in MECHANISMS.rows({"methods": ["ros"]})} >= {"cement", "airfoil"}
    with pytest.raises(ValueError, match="'t4 errors'"):
        MECHANISMS.rows({"cases": ["t4 errors"]})
