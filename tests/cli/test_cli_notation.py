"""Numbers as people write them, and what is said of columns that stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pyro_mnar.cli import app
from pyro_mnar.cli.options import TextOptions
from pyro_mnar.cli.tables import read_table
from pyro_mnar.data.notation import Notation, checked_notation
from pyro_mnar.errors import InvalidInputError

QUICK = ("--max-iter", "2", "--n-draws", "30")


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.output


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_a_continental_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    share = rng.integers(1, 99, 80)
    pay = 2_000 + 30 * share + rng.normal(0, 100, 80)
    style = Notation(",", ".")
    shown = ["" if i % 7 == 0 else style.write(round(float(x), 2)) for i, x in enumerate(pay)]
    rows = [f"{s}%;{p};€{k}" for s, p, k in zip(share, shown, rng.integers(1, 9, 80), strict=True)]
    data = write(tmp_path / "a.csv", "share;pay;fee", rows)
    table = read_table(data, TextOptions(sep=";", decimal=",", thousands=".")).frame()
    assert table.dtypes.map(str).tolist() == ["float64"] * 3
    np.testing.assert_allclose(table["pay"].dropna(), np.round(pay, 2)[np.arange(80) % 7 != 0])
    options = ("--sep", ";", "--decimal", ",", "--thousands", ".")
    code, said = run("impute", data, "--out", tmp_path / "o.csv", *options, *QUICK)
    assert code == 0, said
    before, after = (path.read_text(encoding="utf-8").splitlines() for path in (data, tmp_path / "o.csv"))
    for old, new in zip(before, after, strict=True):
        cells = new.split(";")
        assert old.split(";")[::2] == cells[::2]
        assert old.split(";")[1] in ("", cells[1])
    imputed = [style.read(line.split(";")[1]) for line in after[1::7]]
    assert np.isfinite(imputed).all() and np.abs(np.array(imputed) - pay[::7]).max() < 2_000
    assert any("." in line.split(";")[1] for line in after[1::7]), "thousands are written as the column has them"


@pytest.mark.parametrize(
    ("cell", "words"),
    [("1,{:03d}", "--thousands ',' if it separates thousands"), ("{},5", "--decimal ',' if ',' separates decimals")],
)
def test_numbers_in_another_notation_are_no_text(tmp_path: Path, cell: str, words: str) -> None:
    data = write(tmp_path / "a.csv", "a;b", [f"{cell.format(i)};{'' if i % 5 else i}" for i in range(60)])
    code, said = run("impute", data, "--out", tmp_path / "o.csv", "--sep", ";")
    assert code == 1 and "column 'a' holds numbers written as" in said and words in said
    assert "--censored" not in said and not (tmp_path / "o.csv").exists()


def test_codes_with_leading_zeros_are_text(tmp_path: Path) -> None:
    data = write(tmp_path / "a.csv", "zip,b", [f"{i % 7:05d},{i}" for i in range(30)])
    assert read_table(data).frame()["zip"].tolist()[:2] == ["00000", "00001"]


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_what_stays_missing_and_what_may_mean_missing_is_said(tmp_path: Path) -> None:
    rows = [f"{f'p{i}' if i % 9 else ''},{('yes', 'no', '?')[i % 3]},{i if i % 4 else ''}" for i in range(60)]
    data = write(tmp_path / "a.csv", "person,answer,b", rows)
    code, said = run("impute", data, "--out", tmp_path / "o.csv", *QUICK)
    assert code == 0, said
    assert "Note: 'person' has 7 cells missing that stay so: text, each once" in said
    assert "Note: 'answer' has the level '?' in 20 cells" in said and "give --na-values" in said


@pytest.mark.parametrize(("decimal", "thousands"), [(",", ","), ("", ""), ("x", ""), (".", "ab"), ("-", "")])
def test_signs_that_cannot_be(decimal: str, thousands: str) -> None:
    with pytest.raises(InvalidInputError, match=r"--(decimal|thousands) is"):
        checked_notation(decimal, thousands)


@pytest.mark.parametrize("value", [0.0, -0.5, 1234.5, -1234567.0, 1e300, 1e-7, 12.0])
@pytest.mark.parametrize("style", [Notation(), Notation(","), Notation(",", "."), Notation(thousands=" ", suffix="%")])
def test_what_is_written_is_read_again(value: float, style: Notation) -> None:
    assert style.read(style.write(value)) == pytest.approx(value, rel=1e-9)
