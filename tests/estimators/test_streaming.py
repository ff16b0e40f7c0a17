"""Tables on the disk: fitted and completed as in memory, whatever they are and however they are cut."""

from __future__ import annotations

import decimal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyro_mnar import MNARImputer
from pyro_mnar.datasets import make_household_survey
from pyro_mnar.errors import DataWarning, FileFormatError, InvalidInputError, UnreliableWeightsWarning
from pyro_mnar.estimators import streaming
from tests.support.estimators import small_imputer

pa = pytest.importorskip("pyarrow")
pq, ds = (pytest.importorskip(f"pyarrow.{part}") for part in ("parquet", "dataset"))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 40 rows."""
    monkeypatch.setattr(streaming, "MOST", 40)
    monkeypatch.setattr(streaming, "FEWEST", 40)


@pytest.fixture(scope="module")
def survey() -> pd.DataFrame:
    """Of every kind of column: names, labels, numbers, counts, piles, percentages, and a few types of their own."""
    frame, _ = make_household_survey(150)
    lost = np.random.default_rng(0).random((len(frame), 3)) < 0.2
    frame["member"] = pd.array(np.where(lost[:, 0], None, frame["age"] > 40), dtype="boolean")
    day = pd.Series(pd.date_range("2024-01-01", periods=len(frame), tz="Europe/Oslo"))
    frame["day"] = day.sample(frac=1, random_state=0, ignore_index=True).mask(lost[:, 1])
    size = pd.Categorical(np.where(lost[:, 2], None, frame["region"]), ordered=True)
    frame["size"] = size
    return frame


def written(frame: pd.DataFrame, folder: Path, parts: int = 1) -> str:
    """The frame in some files of its rows; the glob that finds them."""
    for part in range(parts):
        rows = frame.iloc[part * len(frame) // parts : (part + 1) * len(frame) // parts]
        table = pa.Table.from_pandas(rows, preserve_index=False)
        pq.write_table(table, folder / f"in-{part}.parquet", row_group_size=11 + part)
    return str(folder / "in-*.parquet")


def same_weights(a: MNARImputer, b: MNARImputer) -> bool:
    pairs = zip(a.joint_.state_dict().items(), b.joint_.state_dict().items(), strict=True)
    return all(key == other and bool((x == y).all()) for (key, x), (other, y) in pairs)


def assert_alike(found: pd.DataFrame, wanted: pd.DataFrame, given: pd.DataFrame) -> None:
    """Equal to 1e-5, observed cells bit for bit."""
    assert list(found) == list(wanted) and len(found) == len(wanted)
    for name in wanted:
        assert found[name].dtype == wanted[name].dtype, name
        seen = given[name].notna()
        assert found[name][seen].equals(given[name][seen].astype(found[name].dtype)), name
        gone = found[name][~seen]
        if pd.api.types.is_float_dtype(gone.dtype):
            np.testing.assert_allclose(gone, wanted[name][~seen], rtol=1e-5)
        elif pd.api.types.is_datetime64_any_dtype(gone.dtype):
            assert ((gone - wanted[name][~seen]).abs() < pd.Timedelta(seconds=60)).all()
        else:
            assert gone.equals(wanted[name][~seen])


@pytest.mark.parametrize("strategy", ["mean", "median", "sample"])
def test_a_table_on_the_disk_is_fitted_and_completed_as_in_memory(
    survey: pd.DataFrame, strategy: str, tmp_path: Path, small_blocks: None
) -> None:
    here = small_imputer(strategy=strategy).fit(survey)
    there = small_imputer(strategy=strategy).fit(written(survey, tmp_path, parts=3))
    assert same_weights(here, there) and here.schema_.equals(there.schema_)
    out = tmp_path / "out.parquet"
    assert there.transform(tmp_path / "in-*.parquet", out=out) == out
    assert_alike(pd.read_parquet(out), here.transform(survey), survey)
    assert not (tmp_path / "out.parquet.parts").exists()


def test_datasets_and_lazy_frames_are_completed_too(survey: pd.DataFrame, tmp_path: Path, small_blocks: None) -> None:
    polars = pytest.importorskip("polars")
    imputer, glob = small_imputer().fit(survey), written(survey, tmp_path, parts=2)
    wanted = imputer.transform(survey)
    for given in (ds.dataset(sorted(map(str, tmp_path.glob("in*.parquet")))), polars.scan_parquet(glob)):
        out = imputer.transform(given, out=tmp_path / "out.parquet", overwrite=True)
        # polars does not keep pandas' notes on types.
        found = pd.read_parquet(out).astype(dict(zip(wanted, wanted.dtypes, strict=True)))
        assert_alike(found, wanted, survey)


def test_two_processes_complete_what_one_does(survey: pd.DataFrame, tmp_path: Path, small_blocks: None) -> None:
    imputer, glob = small_imputer().fit(survey), written(survey, tmp_path)
    one, two = (imputer.transform(glob, out=tmp_path / f"out{n}.parquet", n_jobs=n) for n in (1, 2))
    assert_alike(pd.read_parquet(two), pd.read_parquet(one), survey)


@pytest.mark.parametrize("ending", ["csv", "feather"])
def test_other_formats_in_and_out(ending: str, survey: pd.DataFrame, tmp_path: Path, small_blocks: None) -> None:
    frame = survey[["region", "age", "income", "doctor_visits"]]
    given, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    read = pd.read_csv if ending == "csv" else pd.read_feather
    frame.to_csv(given, index=False) if ending == "csv" else frame.to_feather(given)
    imputer = small_imputer().fit(given)
    found, wanted = read(imputer.transform(given, out=out)), imputer.transform(frame)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, rtol=1e-5)


def test_every_type_of_column_comes_back_as_it_was(tmp_path: Path, small_blocks: None) -> None:
    n, rng = 120, np.random.default_rng(0)
    lost = np.arange(n) % 6 == 0
    number = rng.normal(size=n)
    columns = {
        "float32": pa.array(number.astype("f4"), mask=lost),
        "nan": pa.array(np.where(lost, np.nan, number)),
        "int8": pa.array((number * 30).astype("i1"), mask=lost),
        "uint16": pa.array(rng.poisson(200, n).astype("u2"), mask=lost),
        "int64": pa.array(rng.poisson(3, n), mask=lost),
        "decimal": pa.array([decimal.Decimal(f"{x:.2f}") for x in number], pa.decimal128(9, 2), mask=lost),
        "bool": pa.array(number > 0, mask=lost),
        "large": pa.array(rng.choice(["a", "b", "c"], n), pa.large_string(), mask=lost),
        "levels": pa.array(rng.choice(["x", "y", "z"], n), mask=lost).dictionary_encode(),
        "date": pa.array(rng.integers(0, 9000, n).astype("M8[D]"), pa.date32(), mask=lost),
        "time": pa.array(rng.integers(0, 10**9, n).astype("M8[s]"), pa.timestamp("ms", "UTC"), mask=lost),
        "duration": pa.array(rng.integers(0, 10**9, n).astype("m8[us]"), mask=lost),
        "id": pa.array([2**60 + i for i in range(n)]),
        "note": pa.array([None if gone else f"note {i}" for i, gone in enumerate(lost)]),
    }
    table = pa.table(columns).replace_schema_metadata({"origin": "test"})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=17)
    imputer = small_imputer().fit(tmp_path / "in.parquet")
    found = pq.read_table(imputer.transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet"))
    assert found.schema.metadata[b"origin"] == b"test"
    for name in columns:
        kind, before, after = table.schema.field(name).type, table[name], found[name]
        assert found.schema.field(name).type.equals(kind) or name == "levels", name
        assert pa.types.is_dictionary(found.schema.field("levels").type)
        seen = pa.array(~lost)
        assert after.filter(seen).to_pylist() == before.filter(seen).to_pylist(), name
        assert after.null_count == (lost.sum() if name == "note" else 0), name
    assert not np.isnan(found["nan"].to_numpy()).any()


def test_whole_numbers_that_are_declared_continuous_become_floats_in_the_whole_file(
    tmp_path: Path, small_blocks: None
) -> None:
    rng, n = np.random.default_rng(0), 120
    # Holes in the last block alone: types must agree all the same.
    whole = pa.array(rng.integers(0, 9, n), mask=np.arange(n) > 100)
    pq.write_table(pa.table({"a": whole, "b": rng.normal(size=n)}), tmp_path / "in.parquet")
    imputer = small_imputer(types={"a": "continuous"}).fit(tmp_path / "in.parquet")
    found = pq.read_table(imputer.transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet"))
    assert found["a"].type == pa.float64() and found["a"][:100].to_pylist() == whole[:100].to_pylist()


def test_limits_as_text_are_read_and_come_back_as_numbers(tmp_path: Path, small_blocks: None) -> None:
    rng, n = np.random.default_rng(0), 120
    frame = pd.DataFrame({"b": rng.normal(size=n)})
    values = np.exp(frame["b"] + 0.3 * rng.normal(size=n))
    frame["lead"] = [("<0.7" if x < 0.7 else f"{x:.3f}") if i < 90 else "1.5" for i, x in enumerate(values)]
    frame.to_parquet(tmp_path / "in.parquet")
    imputer = small_imputer(mechanism={"lead": "censored"}).fit(tmp_path / "in.parquet")
    found = pd.read_parquet(imputer.transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet"))
    pd.testing.assert_frame_equal(found, imputer.transform(frame), rtol=1e-5)
    assert found["lead"].dtype == float and (found["lead"][frame["lead"] == "<0.7"] <= 0.7).all()


def test_a_large_table_is_fitted_to_a_sample_of_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LEAST_ROWS", 300)
    monkeypatch.setattr(MNARImputer, "_steps", 1)
    n, rng = 5000, np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(n) + 9, "a": rng.normal(size=n), "label": rng.choice(["p", "q", "r"], n)})
    frame["b"] = frame["a"].mask(rng.random(n) < 0.3)
    frame.loc[3, "label"] = "rare"
    frame["sparse"] = np.nan
    frame.loc[4:5, "sparse"] = [1.0, 2.0]
    frame.to_parquet(tmp_path / "in.parquet")
    with pytest.warns(DataWarning, match=r"\['sparse'\] have values in 5,000 rows, but none in the 300"):
        imputer = small_imputer().fit(tmp_path / "in.parquet")
    kinds = imputer.schema_.set_index("column")
    assert kinds["kind"].to_dict() == {
        "id": "identifier",
        "a": "continuous",
        "label": "nominal",
        "b": "continuous",
        "sparse": "identifier",
    }
    assert "rare" in kinds.loc["label", "support"]
    assert imputer.n_features_in_ == 5
    rate = float(imputer.columns_.missing_rate[list(imputer.columns_.names).index("b")])
    assert rate == pytest.approx(0.3, abs=0.1) and rate * 300 == pytest.approx(round(rate * 300))
    found = pd.read_parquet(imputer.transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet"))
    assert found["b"].notna().all() and found["sparse"].equals(frame["sparse"]) and found["id"].equals(frame["id"])
    # What was known for this fit alone is forgotten.
    assert imputer.fit(frame[["a", "b"]]).n_features_in_ == 2


def test_columns_that_the_model_does_not_have_are_copied(tmp_path: Path, small_blocks: None) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(90, 3)), columns=list("abc"))
    frame.loc[::4, "a"] = np.nan
    imputer = small_imputer(add_indicator=True).fit(frame[["b", "a"]])
    frame.assign(nested=[[1]] * 90).to_parquet(tmp_path / "in.parquet")
    found = pd.read_parquet(imputer.transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet"))
    assert list(found) == ["a", "b", "c", "nested", "missingindicator_a"]
    assert found["c"].equals(frame["c"]) and found["nested"].map(list).tolist() == [[1]] * 90
    wanted = imputer.transform(frame[["b", "a"]])
    np.testing.assert_allclose(found["a"], wanted["a"], rtol=1e-5)
    assert (found["missingindicator_a"] == frame["a"].isna()).all()


def test_what_is_asked_wrongly_is_named_before_anything_is_done(survey: pd.DataFrame, tmp_path: Path) -> None:
    glob, out = written(survey, tmp_path, parts=2), tmp_path / "out.parquet"
    imputer, other = small_imputer().fit(survey), small_imputer().fit(survey.assign(more=1.0).iloc[:, [4, 5, -1]])
    nameless = small_imputer().fit(np.random.default_rng(0).normal(size=(30, 2)))
    cases = {
        "out is None": lambda: imputer.transform(glob),
        "in memory: write what": lambda: imputer.transform(survey, out=out),
        "'out.xlsx' must end": lambda: imputer.transform(glob, out="out.xlsx"),
        "in-0.parquet is, or is in, .*which is read": lambda: imputer.transform(glob, out=tmp_path / "in-0.parquet"),
        "would match next time": lambda: imputer.transform(glob, out=tmp_path / "in-9.parquet"),
        "is not a folder; make it first": lambda: imputer.transform(glob, out=tmp_path / "none" / "out.parquet"),
        "has no column 'more'": lambda: other.transform(glob, out=out),
        "without column names": lambda: nameless.transform(glob, out=out),
        "n_jobs is 0": lambda: imputer.transform(glob, out=out, n_jobs=0),
        "set it back to transform='default'": lambda: (
            small_imputer().set_output(transform="pandas").fit(survey).transform(glob, out=out)
        ),
    }
    for message, call in cases.items():
        with pytest.raises(InvalidInputError, match=message):
            call()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in-0.parquet", "in-1.parquet"]
    out.write_text("mine")
    with pytest.raises(InvalidInputError, match=r"out.parquet exists"):
        imputer.transform(glob, out=out)
    assert out.read_text() == "mine"
    assert imputer.transform(glob, out=out, overwrite=True) == out and len(pd.read_parquet(out)) == len(survey)
    (tmp_path / "link.parquet").symlink_to(tmp_path / "in-1.parquet")
    with pytest.raises(InvalidInputError, match="which is read"):
        imputer.transform(tmp_path / "in-1.parquet", out=tmp_path / "link.parquet", overwrite=True)


def test_a_cell_that_breaks_a_rule_is_named_with_its_rows(tmp_path: Path, small_blocks: None) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=list("ab"))
    imputer = small_imputer().fit(frame)
    frame.loc[50, "a"] = np.inf
    frame.to_parquet(tmp_path / "in.parquet")
    with pytest.raises(InvalidInputError, match=r"in rows 40 to 79 of .*in.parquet, counted from there: .*row 10"):
        imputer.transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_an_empty_table_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=list("ab"))
    frame[:0].to_parquet(tmp_path / "in.parquet")
    with pytest.raises(InvalidInputError, match="has no rows"):
        small_imputer().fit(tmp_path / "in.parquet")
    with pytest.raises(InvalidInputError, match="has no rows"):
        small_imputer().fit(frame).transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_warnings_of_many_blocks_are_given_once(tmp_path: Path, small_blocks: None) -> None:
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=120), "c": ["x", "y", "z"] * 40})
    frame.loc[::5, "a"] = np.nan
    imputer = small_imputer().fit(frame)
    changed = frame["c"].where(frame.index % 50 > 0, "new").where(frame.index % 50 != 1, None)
    frame.assign(c=changed).to_parquet(tmp_path / "in.parquet")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        imputer.transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet")
    messages = [str(w.message) for w in caught if issubclass(w.category, DataWarning)]
    assert len(messages) == 2 and all("in 3 of 3 blocks of rows" in message for message in messages), messages
    assert not any(issubclass(w.category, UnreliableWeightsWarning) for w in caught)


def test_finished_parts_are_kept_if_they_are_whole_and_from_the_same_rows_and_model(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=list("abc"))
    frame.loc[::3, "a"] = np.nan
    frame.to_parquet(tmp_path / "in.parquet")
    imputer, other = (small_imputer(random_state=seed).fit(frame) for seed in (0, 1))
    whole = imputer.transform(tmp_path / "in.parquet", out=tmp_path / "whole.parquet").read_bytes()
    made: list[int] = []
    complete = streaming.complete_part

    def counted(model: Any, names: Any, parts: Any, task: Any, name: str) -> Any:
        if task.number == stop[0]:
            raise KeyboardInterrupt
        made.append(task.number)
        return complete(model, names, parts, task, name)

    monkeypatch.setattr(streaming, "complete_part", counted)
    stop, out, parts = [3], tmp_path / "out.parquet", tmp_path / "out.parquet.parts"
    with pytest.raises(KeyboardInterrupt):
        imputer.transform(tmp_path / "in.parquet", out=out)
    assert made == [0, 1, 2] and len(list(parts.iterdir())) == 3 and not out.exists()
    damaged = sorted(parts.iterdir())[1]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    (parts / "mine.txt").write_text("not a part")
    made.clear()
    stop[0] = -1
    imputer.transform(tmp_path / "in.parquet", out=out)
    assert made == [1, 3, 4] and out.read_bytes() == whole
    assert [path.name for path in parts.iterdir()] == ["mine.txt"]
    # Another model, or other rows, and the parts of before are of no use.
    stop[0] = 3
    with pytest.raises(KeyboardInterrupt):
        imputer.transform(tmp_path / "in.parquet", out=out, overwrite=True)
    stop[0] = -1
    for model, changed in ((other, frame), (imputer, frame.assign(b=0.5))):
        changed.to_parquet(tmp_path / "other.parquet")
        made.clear()
        model.transform(tmp_path / "other.parquet", out=out, overwrite=True)
        assert made == [0, 1, 2, 3, 4]


def test_a_part_that_is_changed_while_the_file_is_made_is_found(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=list("ab"))
    frame.to_parquet(tmp_path / "in.parquet")
    join = streaming.Parts.join

    def late(self: Any, paths: Any, *others: Any) -> Any:
        content = bytearray(paths[1].read_bytes())
        content[len(content) // 2] ^= 1
        paths[1].write_bytes(content)
        return join(self, paths, *others)

    monkeypatch.setattr(streaming.Parts, "join", late)
    with pytest.raises(FileFormatError, match="was changed meanwhile"):
        small_imputer().fit(frame).transform(tmp_path / "in.parquet", out=tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
