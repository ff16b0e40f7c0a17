"""Every figure on README, docs/benchmarks.md and docs/verified.md is the recorded one, every promise has its tests."""

from __future__ import annotations

import re
from functools import cache

import pandas as pd
import pytest

from pyro_mnar import __version__
from tests.support.pages import ROOT

RESULTS = ROOT / "results"


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def table(name: str, begin: str) -> list[list[str]]:
    """The lines of a page's table, without its head; ``begin`` marks it."""
    marked = re.search(rf"<!-- {begin}:begin -->\n(.*?)<!-- {begin}:end -->", text(name), re.DOTALL)
    assert marked is not None
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in marked[1].strip().splitlines()]
    return lines[2:]


@pytest.mark.parametrize("page", ["README.md", "docs/benchmarks.md"])
def test_the_demos_table(page: str) -> None:
    summary = pd.read_csv(RESULTS / "demo" / "summary.csv")
    assert table(page, "demo") == [
        [row.method, f"{row.rmse:.2f}", f"{row.seconds:.0f}"] for row in summary.itertuples()
    ]


def test_the_uci_table() -> None:
    summary = pd.read_csv(RESULTS / "uci" / "summary.csv")
    means = summary.pivot(index="method", columns="dataset", values="rmse_mean")
    errors = summary.pivot(index="method", columns="dataset", values="rmse_se")
    names = {
        "mean": "mean",
        "MICE": "mice",
        "missForest": "missforest",
        "MIWAE": "miwae",
        "**`MNARImputer()`**": "default",
    }
    lines = {line[0]: line[1:] for line in table("docs/benchmarks.md", "uci")}
    for shown, method in names.items():
        for place, dataset in enumerate(["banknote", "concrete", "wine_red", "wine_white", "breast_cancer"]):
            figure, _, error = lines[shown][place].partition(" ± ")
            assert float(figure) == pytest.approx(means.loc[method, dataset], abs=6e-4)
            if error:
                assert float(error) == pytest.approx(errors.loc[method, dataset], abs=6e-4)


def test_the_field_studys_figures() -> None:
    recorded = {}
    for line in text("results/field/table.md").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 7 and cells[0] not in ("mask", "---"):
            recorded.setdefault(cells[0], []).append(cells[-1])
    page = " ".join(text("docs/benchmarks.md").split())
    masks = ["mcar", "mar", "hard-high-mean", "soft-high", "mixture-soft"]
    assert all(recorded[mask][0] in page for mask in masks)
    covers = [recorded[mask][1] for mask in masks]
    assert "cover " + ", ".join(covers[:-1]) + " and " + covers[-1] in page


def test_the_mixed_table() -> None:
    recorded: dict[str, list[str]] = {}
    for part in text("results/mixed/table.md").split("\n## ")[1:]:
        for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines()):
            if len(cells) == 10:
                recorded.setdefault(cells[0], []).extend([cells[1], cells[4], cells[6]])
    names = {"mean": "mean, most frequent level", "knn": "KNN", "mice": "MICE", "missforest": "missForest"}
    names |= {"ignorable": "MIWAE (`ignorable`)", "self-masking": "`self-masking`", "auto": "**`MNARImputer()`**"}
    shown = {line[0]: [cell for cell in line[1:] if cell] for line in table("docs/benchmarks.md", "mixed")}
    kept = {names.get(method, method): cells for method, cells in recorded.items() if method not in ("method", "---")}
    assert shown == kept


def test_the_supervised_table() -> None:
    summary = pd.read_csv(RESULTS / "supervised" / "summary.csv").set_index(["task", "method"])
    parts = [("covertype", ""), ("covertype", "second_"), ("wine_red", ""), ("wine_white", "")]
    lines = table("docs/benchmarks.md", "supervised")
    assert len(lines) > 10
    for method, *cells in lines:
        rows = [(summary.loc[(task, method)], part) for task, part in parts]
        assert cells == [f"{row[f'{part}mean']:.3f} ± {row[f'{part}se']:.3f}" for row, part in rows], method


def test_the_images_errors() -> None:
    lines = table("docs/benchmarks.md", "images")
    for column, folder in ((1, "celeba"), (4, "images")):
        summary = pd.read_csv(RESULTS / folder / "summary.csv")
        recorded = {row.method: f"{row.rmse_mean:.4f}" for row in summary.itertuples()}
        assert {line[0]: line[column] for line in lines if line[column]} == recorded


def test_the_speed_table() -> None:
    summary = pd.read_csv(RESULTS / "speed" / "summary.csv")
    steps = summary[summary["measure"].str.startswith("training step")]
    recorded = [f"{ratio:.2f}" for ratio in steps["ratio"]]
    section = text("docs/benchmarks.md").split("## Speed")[1]
    shown = re.findall(r"^\| [a-z].*?\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", section, re.MULTILINE)
    assert sorted(figure for line in shown for figure in line) == sorted(recorded)


def test_the_table_of_files_larger_than_memory() -> None:
    recorded = pd.read_csv(RESULTS / "speed" / "large.csv")
    figures = ("processor_minutes", "seconds", "peak_megabytes", "rmse")
    assert table("docs/how-to/larger-than-memory.md", "large") == [
        [row.table, str(row.n_draws), *(f"{getattr(row, figure):.3g}" for figure in figures)]
        for row in recorded.itertuples()
    ]


def test_what_a_billion_rows_cost() -> None:
    expected = []
    for row in pd.read_csv(RESULTS / "speed" / "large.csv").itertuples():
        seconds = row.processor_seconds * 1e6 / int(row.table.split()[0])
        hours = seconds * 1000 / 3600
        expected.append([row.table, str(row.n_draws), *(f"{value:.3g}" for value in (seconds, hours, hours / 64))])
    assert table("docs/how-to/billion-rows.md", "billion") == expected


def test_the_tables_of_a_gpu() -> None:
    recorded = pd.read_csv(RESULTS / "speed" / "gpu.csv")
    rates = recorded[recorded["unit"] == "rows per second"].pivot(index="measure", columns="device", values="value")
    sides = ["NVIDIA H200", *(f"{threads} of the processor beside it" for threads in ("1 thread", "16 threads"))]
    expected = [[measure, *(f"{rates.loc[measure, side]:,.0f}" for side in sides)] for measure in rates.dropna().index]
    assert sorted(table("docs/how-to/billion-rows.md", "gpu")) == sorted(expected)
    figures = ("fit_seconds", "transform_seconds")
    assert table("docs/how-to/billion-rows.md", "gpu_large") == [
        [
            *(row.table, row.device, str(row.processes), *(f"{getattr(row, figure):.3g}" for figure in figures)),
            *("" if pd.isna(value) else f"{value:.0f}" for value in (row.peak_megabytes, row.gpu_megabytes)),
        ]
        for row in pd.read_csv(RESULTS / "speed" / "gpu_large.csv").itertuples()
    ]


def test_the_table_of_what_is_verified() -> None:
    recorded = pd.read_csv(RESULTS / "validation" / "summary.csv", keep_default_na=False)
    shown = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) ?\|$", text("docs/verified.md"), re.MULTILINE)
    now = [(row.check, row.figure, row.threshold) for row in recorded.itertuples()]
    assert [tuple(cell.strip() for cell in line) for line in shown[1:]] == now, "run docs/site/verified.py"


def test_each_promise_names_tests_that_exist() -> None:
    promises = text("docs/promises.md").split("## Not promised")[0]
    bullets = re.split(r"^\* ", promises, flags=re.MULTILINE)[1:]
    assert len(bullets) >= 20
    for bullet in bullets:
        tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", bullet)
        # What follows from another promise is said beside it.
        assert tests or "is the exception" in bullet, bullet
        for file, function in tests:
            assert f"def {function}(" in text(file) if function else (ROOT / file).is_file(), (file, function)


def test_the_version_to_cite() -> None:
    assert f"version: {__version__}\n" in text("CITATION.cff")
    assert f"version = {{{__version__}}}" in text("docs/citation.md")
    assert text("CHANGELOG.md").index(f"## [{__version__}]") < 400
