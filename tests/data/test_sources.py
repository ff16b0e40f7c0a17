"""Tables on the disk: every format in blocks, several files as one, what cannot be read by name; samples of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.data.sampling import draw_sample
from pyro_mnar.data.sources import is_source, open_source, to_frame
from pyro_mnar.errors import InvalidInputError

pa = pytest.importorskip("pyarrow")
pq, ds, csv, feather = (pytest.importorskip(f"pyarrow.{part}") for part in ("parquet", "dataset", "csv", "feather"))


def table(n: int = 100) -> Any:
    numbers = np.arange(n) / 8
    return pa.table(
        {
            "number": pa.array(np.where(np.arange(n) % 7, numbers, np.nan), from_pandas=True),
            "whole": pa.array(range(n), pa.int64()),
            "text": pa.array([None if i % 5 == 0 else "ab"[i % 2] for i in range(n)]),
            "day": pa.array(np.arange(n).astype("M8[D]")),
        }
    )


WRITERS: dict[str, Callable[[Any, Path], object]] = {
    "t.parquet": lambda t, path: pq.write_table(t, path, row_group_size=13),
    "t.arrow": lambda t, path: feather.write_feather(t, path, compression="uncompressed", chunksize=13),
    "t.feather": lambda t, path: feather.write_feather(t, path, compression="lz4"),
    "t.csv": csv.write_csv,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_comes_in_blocks_of_any_size(name: str, tmp_path: Path) -> None:
    WRITERS[name](table(), tmp_path / name)
    with open_source(tmp_path / name) as source:
        assert source.count() == 100
        for rows in (1, 12, 13, 99, 100, 1000):
            blocks = list(source.blocks(rows))
            assert [len(block) for block in blocks] == [rows] * (100 // rows) + [100 % rows] * bool(100 % rows)
            assert pa.concat_tables(blocks).equals(table())


def test_datasets_lazy_frames_and_globs_are_sources(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    for i in range(3):
        pq.write_table(table().slice(30 * i, 30 + 10 * (i == 2)), tmp_path / f"part-{i}.parquet", row_group_size=7 + i)
    glob = str(tmp_path / "part-*.parquet")
    dataset = ds.dataset(sorted(map(str, tmp_path.glob("*.parquet"))))
    for given in (glob, Path(glob), dataset, polars.scan_parquet(glob)):
        assert is_source(given)
        with open_source(given) as source:
            found = pa.concat_tables(source.blocks(17))
            assert found.to_pydict() == table().to_pydict() and source.count() == 100
    assert not is_source(table().to_pandas()) and not is_source(polars.DataFrame({"a": [1]}))


def test_what_polars_wrote_for_itself_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    polars = pytest.importorskip("polars")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_source(polars.LazyFrame({"a": [1, 2]})) as source:
        assert any(tmp_path.iterdir()) and source.files == ()
    assert not any(tmp_path.iterdir())


def test_a_name_with_the_signs_of_a_glob_is_a_name(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a[1].parquet")
    with open_source(tmp_path / "a[1].parquet") as source:
        assert source.pattern == "" and source.count() == 100


def test_an_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index(["x", "y"], name="key"))
    frame.to_parquet(tmp_path / "t.parquet")
    with open_source(tmp_path / "t.parquet") as source:
        assert source.columns == ["a"] and source.schema.names == ["a", "key"]


def test_a_column_without_values_in_one_file_has_the_type_of_the_others(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.nulls(2)}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "1.parquet")
    with open_source(tmp_path / "*.parquet") as source:
        assert pa.concat_tables(source.blocks(2)).to_pydict() == {"a": [None, None, "x"]}
    (tmp_path / "0.csv").write_text("a\n1\n")
    (tmp_path / "1.csv").write_text("a\n1.5\nNA\n")
    with open_source(tmp_path / "*.csv") as source:
        assert pa.concat_tables(source.blocks(9)).to_pydict() == {"a": [1.0, 1.5, None]}


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "another type": (
        {"1.parquet": pa.table({"a": ["x"], "b": [1]})},
        "*.parquet",
        "'a' has the type string in .*1.parquet, but int64 in .*0.parquet",
    ),
    "a column less": (
        {"1.parquet": pa.table({"a": [1]})},
        "*.parquet",
        "1.parquet has no column 'b', which .*0.parquet has",
    ),
    "a column more": (
        {"1.parquet": pa.table({"a": [1], "b": [1], "c": [1]})},
        "*.parquet",
        "1.parquet has the column 'c', which .*0.parquet has not",
    ),
    "no file": ({}, "none.parquet", "none.parquet is not there"),
    "no match": ({}, "none*.parquet", "no file matches .*none"),
    "another format": ({"1.xlsx": b""}, "1.xlsx", "must end in one of .parquet"),
    "no parquet": ({"1.parquet": b"junk"}, "1.parquet", "1.parquet cannot be read: "),
    "no arrow": ({"1.arrow": b"junk"}, "1.arrow", "1.arrow cannot be read: "),
    "nothing": ({"1.csv": b""}, "1.csv", "1.csv cannot be read: "),
    "two names": ({"1.csv": b"a,a\n1,2\n"}, "1.csv", "two columns of .*1.csv have the name 'a'"),
    "a line too long": ({"1.csv": b"a,b\n1,2\n1,2,3\n"}, "1.csv", "1.csv cannot be read: .*Expected 2 columns"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_named(case: str, tmp_path: Path) -> None:
    files, asked, message = WRONG[case]
    pq.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "0.parquet")
    for name, content in files.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            pq.write_table(content, tmp_path / name)
    with pytest.raises(InvalidInputError, match=message), open_source(tmp_path / asked) as source:
        list(source.blocks(10))


def test_a_csv_that_changes_its_mind_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "1\n" * 1_000_000 + "x\n")
    with (
        pytest.raises(InvalidInputError, match="from the first megabyte; give its type"),
        open_source(tmp_path / "t.csv") as source,
    ):
        list(source.blocks(10_000))


def test_a_folder_is_told_how_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    with (
        pytest.raises(InvalidInputError, match="is a folder; name its files"),
        open_source(tmp_path / "folder.parquet"),
    ):
        pass


def sample_of(path: Path, size: int, seed: int = 0) -> Any:
    with open_source(path) as source:
        return draw_sample(source, source.columns, size, seed)


def test_a_sample_of_a_small_table_is_the_table(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "t.parquet")
    sample = sample_of(tmp_path / "t.parquet", 100)
    assert sample.rows.equals(to_frame(table())) and sample.known.equals(sample.rows)
    assert (sample.n_rows, sample.numbered, sample.rare) == (100, (), ())


def test_which_rows_are_drawn_depends_on_the_seed_and_not_on_how_files_are_cut(tmp_path: Path) -> None:
    whole = pa.table({"a": pa.array(np.arange(30_000))})
    drawn = []
    for name, rows in (("a.parquet", 30_000), ("b.parquet", 777)):
        pq.write_table(whole, tmp_path / name, row_group_size=rows)
        drawn.append(sample_of(tmp_path / name, 2000).rows)
    other = sample_of(tmp_path / "a.parquet", 2000, seed=1).rows
    assert drawn[0].equals(drawn[1]) and not drawn[0].equals(other)
    values = drawn[0]["a"].to_numpy(dtype=float)
    assert len(set(values)) == 2000 and (np.diff(values) > 0).all()


def test_every_row_is_drawn_as_often(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array(np.arange(200))}), tmp_path / "t.parquet")
    counts = np.zeros(200)
    for seed in range(400):
        counts[sample_of(tmp_path / "t.parquet", 50, seed).rows["a"].to_numpy(dtype=int)] += 1
    # Binomial with mean 100 and sd 8.7 each: of 200, the farthest is within 4 of these.
    assert counts.sum() == 400 * 50 and (np.abs(counts - 100) < 4 * 8.7).all()
    first, second = counts[:100].mean(), counts[100:].mean()
    assert abs(first - second) < 4 * 8.7 / np.sqrt(50)


def test_levels_and_ends_that_a_sample_lacks_are_known(tmp_path: Path) -> None:
    n, rng = 50_000, np.random.default_rng(0)
    numbers, labels, level = rng.normal(size=n), np.array(["a", "b"], object)[rng.integers(2, size=n)], np.ones(n)
    numbers[17], numbers[18], labels[19], level[20] = 99.0, -99.0, "rare", 7.0
    columns = {"number": numbers, "label": labels, "level": level, "id": np.arange(n) + 5, "key": rng.permutation(n)}
    sparse = np.full(n, np.nan)
    sparse[21] = 1.0
    source = pa.table({**columns, "sparse": sparse, "category": pa.array(labels).dictionary_encode()})
    pq.write_table(source, tmp_path / "t.parquet")
    sample = sample_of(tmp_path / "t.parquet", 500)
    assert sample.rows["label"].nunique() == 2 and len(sample.rows) == 500
    known = sample.known
    assert (known["number"].min(), known["number"].max()) == (-99.0, 99.0)
    assert set(known["label"]) == set(known["category"]) == {"a", "b", "rare"} and set(known["level"]) == {1.0, 7.0}
    assert sample.numbered == ("id", "key") and sample.rare == ("sparse",)
    apart = ["category", "sparse"]  # whose categories are more, and whose NaN is none
    assert known[:500].drop(columns=apart).equals(sample.rows.drop(columns=apart))


def test_a_table_without_rows_is_named(tmp_path: Path) -> None:
    pq.write_table(table().slice(0, 0), tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match=r"t.parquet has no rows"):
        sample_of(tmp_path / "t.parquet", 10)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "t.parquet")
    os.chmod(tmp_path / "t.parquet", 0)
    if os.access(tmp_path / "t.parquet", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(InvalidInputError, match=r"t.parquet cannot be read"), open_source(tmp_path / "t.parquet"):
        pass
