"""Data sets of the studies: what the loaders give, and what a missing file or another one in its place leads to."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes the import below possible
from sklearn.impute import IterativeImputer

from pyro_mnar.analysis.metrics import imputation_rmse
from pyro_mnar.datasets.amputation import self_mask
from pyro_mnar.errors import DatasetError, InvalidInputError
from pyro_mnar.studies import sources as datasets
from pyro_mnar.studies.sources import uci


@pytest.mark.parametrize(
    ("name", "shape", "first", "last", "target"),
    [
        ("banknote", (1372, 4), "variance", "entropy", {0: 762, 1: 610}),
        ("concrete", (1030, 8), "cement", "age", None),
        ("wine_white", (4898, 11), "fixed_acidity", "alcohol", None),
        ("wine_red", (1599, 11), "fixed_acidity", "alcohol", None),
    ],
)
def test_originals(
    data_folder: Path, name: str, shape: tuple[int, int], first: str, last: str, target: dict[int, int] | None
) -> None:
    dataset = datasets.load(name, data_folder)
    assert dataset.name == name and dataset.data.shape == shape
    assert (dataset.data.columns[0], dataset.data.columns[-1]) == (first, last)
    assert (dataset.data.dtypes == np.float64).all() and not dataset.with_target().isna().any(axis=None)
    if target is not None:
        assert dataset.target.value_counts().to_dict() == target
    assert dataset.with_target().shape == (shape[0], shape[1] + 1)
    assert "archive.ics.uci.edu" in dataset.provenance and "CC BY" in dataset.licence and "DOI" in dataset.citation


@pytest.mark.filterwarnings("ignore:.*Early stopping criterion:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("with_target", "published"), [(True, True), (False, False)])
def test_which_concrete_columns_are_the_published_ones(data_folder: Path, with_target: bool, published: bool) -> None:
    dataset = datasets.load("concrete", data_folder)
    x = (dataset.with_target() if with_target else dataset.data).to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    holed = self_mask(x, columns="first-half")
    observed = ~np.isnan(np.asarray(holed))
    imputed = IterativeImputer(max_iter=10, random_state=0).fit_transform(holed)
    assert (round(imputation_rmse(x, imputed, observed), 2) == 1.70) is published


def test_breast_cancer_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRO_MNAR_DATA", str(tmp_path / "nowhere"))
    dataset = datasets.load("breast_cancer")
    assert dataset.data.shape == (569, 30) and dataset.target.sum() == 357


def test_covertype_sample(data_folder: Path) -> None:
    dataset = datasets.load("covertype", path=data_folder / "uci" / "covtype-sample.data.gz")
    assert dataset.data.shape == (40_000, 54)
    counts = dataset.target.value_counts().sort_index().tolist()
    assert counts == [14541, 19499, 2562, 198, 649, 1190, 1361]
    assert (dataset.data.filter(like="wilderness").sum(axis=1) == 1).all()
    assert (dataset.data.filter(like="soil").sum(axis=1) == 1).all()
    assert (dataset.data["soil_type_15"] == 0).all()
    assert dataset.data["elevation"].between(1859, 3858).all()


def test_covertype_generated_rows(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 2, size=(5, 55))
    path = tmp_path / "rows.data.gz"
    with gzip.open(path, "wt") as file:
        pd.DataFrame(rows).to_csv(file, header=False, index=False)
    dataset = datasets.load("covertype", path=path)
    np.testing.assert_array_equal(dataset.with_target().to_numpy(), rows)
    assert str(path) in dataset.provenance


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "does not exist"), (b"1,2,3\n", "3 columns"), (b"a,b\n", "not a table"), (b"", "not a table")],
)
def test_covertype_bad_path(tmp_path: Path, content: bytes | None, named: str) -> None:
    path = tmp_path / "rows.data"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=named):
        datasets.load("covertype", path=path)


@pytest.mark.parametrize("name", ["banknote", "concrete", "wine_white", "wine_red", "covertype"])
def test_a_missing_original_names_its_address(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=r"put https://.* there"):
        datasets.load(name, tmp_path)


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(InvalidInputError, match=r"'iris'.*'banknote'"):
        datasets.load("iris")


def test_every_original_has_a_checksum_and_two_addresses() -> None:
    sources = [original.file for original in uci.ORIGINALS.values() if original.file is not None]
    assert len(sources) == 5
    for source in sources:
        assert len(bytes.fromhex(source.sha256)) == 32
        assert len(source.addresses) == 2 and all(a.startswith("https://") for a in source.addresses)
