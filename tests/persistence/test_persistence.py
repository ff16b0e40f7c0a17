"""Saved estimators: the same answers after loading."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytest
import torch
from pyro_mnar.kinds import Bounded, Count, OneHot, Ordinal
from torch import nn
from typing_extensions import TypeAliasType

from pyro_mnar import MNARImputer
from pyro_mnar.errors import FileFormatError
from pyro_mnar.model.mechanisms import Fixed, Ignorable, Linear, Mechanism, Nonlinear, SelfMasking
from pyro_mnar.persistence import load, save
from pyro_mnar.persistence.files import MANIFEST, VERSION
from pyro_mnar.persistence.typed import holds
from pyro_mnar.persistence.upgrade import upgraded
from tests.support.estimators import MAKERS, small_images, small_imputer, table
from tests.support.folders import FRAME, TARGET, same, sign

GOLDEN = Path(__file__).parent / "golden"


class Detector(Mechanism):
    """A mechanism of a user's own."""

    def __init__(self, steepness: float = 4.0) -> None:
        super().__init__()
        self.steepness = steepness
        self.range = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> Any:
        from pyro.distributions import Bernoulli

        return Bernoulli(logits=self.steepness * (self.range - x), validate_args=False)


MECHANISMS: list[Any] = [
    "self-masking",
    "ignorable",
    SelfMasking(direction={"a": "high", "c": "low"}),
    SelfMasking(direction=["high", None, "low", None], link="logistic"),
    SelfMasking(shared=True),
    Linear(),
    Nonlinear(hidden_units=(3,)),
    Ignorable(),
    Fixed(slope=2.0, threshold=[1.0, 0.5, 0.25, 0.125], link="probit"),
]


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
class TestRoundTrip:
    @pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: str(mechanism).split("(")[0])
    def test_a_loaded_estimator_answers_bit_for_bit(self, make: Any, mechanism: Any, tmp_path: Path) -> None:
        fitted = make(mechanism=mechanism).fit(FRAME, TARGET)
        save(fitted, tmp_path / "model")
        loaded = load(tmp_path / "model")
        assert type(loaded) is type(fitted)
        assert same(fitted, loaded)
        pd.testing.assert_frame_equal(loaded.mechanism_report(), fitted.mechanism_report())
        assert loaded.history_ == fitted.history_
        assert set(vars(loaded)) == set(vars(fitted))
        for name, value in fitted.get_params(deep=False).items():
            again = getattr(loaded, name)
            assert type(again) is type(value)
            if name == "training":
                assert again.get_params() == value.get_params()
            else:
                assert name in ("mechanism", "missing_values") or again == value

    def test_the_global_generators_are_left_alone(
        self, make: Any, tmp_path: Path, untouched_generators: Callable[[], Any]
    ) -> None:
        fitted = make().fit(FRAME, TARGET)
        with untouched_generators():
            save(fitted, tmp_path / "model")
            load(tmp_path / "model")

    @pytest.mark.slow
    def test_in_a_new_process(self, make: Any, tmp_path: Path) -> None:
        fitted = make().fit(FRAME, TARGET)
        save(fitted, tmp_path / "model")
        FRAME.to_pickle(tmp_path / "table")
        method = "transform" if hasattr(fitted, "transform") else "predict"
        code = (
            "import sys, numpy, pandas, torch; torch.set_num_threads(1)\n"
            "from pyro_mnar.persistence import load\n"
            f"answer = load(sys.argv[1]).{method}(pandas.read_pickle(sys.argv[2]))\n"
            "sys.stdout.write(numpy.asarray(answer, dtype=float).tobytes().hex())"
        )
        command = [sys.executable, "-c", code, tmp_path / "model", tmp_path / "table"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
        found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            assert found == np.asarray(getattr(fitted, method)(FRAME), dtype=float).tobytes().hex()
        finally:
            torch.set_num_threads(threads)


def test_binary_columns_and_groups(tmp_path: Path) -> None:
    frame = FRAME.assign(e=[0.0, 1.0] * 20, u=[1.0, 0.0, 0.0, 0.0] * 10, v=[0.0, 1.0, 1.0, 1.0] * 10)
    frame.loc[3:9, "e"] = np.nan
    frame.loc[5:8, ["u", "v"]] = np.nan
    fitted = small_imputer(types={"uv": OneHot(["u", "v"])}, discrete_output="probability").fit(frame)
    save(fitted, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.layout_ == fitted.layout_
    pd.testing.assert_frame_equal(loaded.transform(frame), fitted.transform(frame), check_exact=True)


def test_labels_logarithms_and_a_start(tmp_path: Path) -> None:
    frame = FRAME.assign(city=pd.Categorical(["Oslo", "Lima", None, "Oslo"] * 10), pay=np.exp(FRAME["a"]))
    fitted = small_imputer(log_columns=["pay"], start="cliff").fit(frame)
    save(fitted, tmp_path / "model")
    loaded = load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.transform(frame), fitted.transform(frame), check_exact=True)
    pd.testing.assert_frame_equal(loaded.mechanism_report(), fitted.mechanism_report(), check_exact=True)


def test_every_kind_of_column(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "spend": np.where(np.arange(120) % 3 == 0, 0.0, np.exp(generator.normal(size=120))),
            "children": generator.poisson(1.0, 120),
            "answer": generator.integers(1, 6, 120),
            "share": generator.beta(2, 2, 120),
            "skewed": np.sinh(2 + generator.normal(size=120)),
            "city": generator.choice(["Oslo", "Lima", "Rome"], 120),
            "code": generator.choice([1, 2], 120),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 99, 120), "D"),
            "hour": generator.integers(0, 18, 120),
            "name": [f"person {i}" for i in range(120)],
        }
    )
    frame = frame.mask(generator.random(frame.shape) < 0.2)
    types = {"share": Bounded(0, 1), "answer": Ordinal([1, 2, 3, 4, 5]), "spend": "semicontinuous", "hour": Count(23)}
    fitted = small_imputer(types=types, mechanism="ignorable").fit(frame)
    save(fitted, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.types == types and loaded.layout_ == fitted.layout_
    pd.testing.assert_frame_equal(loaded.schema_, fitted.schema_)
    pd.testing.assert_frame_equal(loaded.transform(frame), fitted.transform(frame), check_exact=True)


def test_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(size=(20, 8, 8))
    images[images > 0.8] = np.nan
    mechanism = SelfMasking(direction="high", shared=True)
    fitted = small_images(mechanism=mechanism, hidden_units=(4, 4)).fit(images)
    save(fitted, tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").transform(images), fitted.transform(images))


def test_further_parameters_and_attributes(tmp_path: Path) -> None:
    frame = FRAME.assign(e=np.nan, f=pd.array(range(40), "Int64"))
    imputer = small_imputer(
        missing_values=pd.NA,
        add_indicator=True,
        keep_empty_features=True,
        latent_dim=np.int64(2),
        random_state=np.random.RandomState(3),
        validation_fraction=0.2,
    ).set_output(transform="pandas")
    with pytest.warns(UserWarning, match="left out of the model"):
        imputer.fit(frame)
    save(imputer, tmp_path / "model")
    loaded = load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.transform(frame), imputer.transform(frame))
    assert list(loaded.get_feature_names_out()) == list(imputer.get_feature_names_out())
    assert loaded.missing_values is pd.NA
    assert loaded.history_ == imputer.history_
    X = table()
    save(small_imputer(missing_values=-1.0).fit(np.nan_to_num(X, nan=-1.0)), tmp_path / "of an array")
    assert not hasattr(load(tmp_path / "of an array"), "feature_names_in_")


class TestOwnMechanism:
    def test_it_must_be_given(self, tmp_path: Path) -> None:
        fitted = small_imputer(mechanism=Detector(2.0)).fit(FRAME)
        save(fitted, tmp_path / "model")
        with pytest.raises(FileFormatError, match=r"has the mechanism Detector, .*load\(folder, mechanism=Detector"):
            load(tmp_path / "model")
        with pytest.raises(FileFormatError, match="mechanism is a Linear, but the model was saved with Detector"):
            load(tmp_path / "model", mechanism=Linear())
        mechanism = Detector(2.0)
        assert same(load(tmp_path / "model", mechanism=mechanism), fitted)
        assert mechanism.range.item() == 1.0

    def test_a_function_too(self, tmp_path: Path) -> None:
        mechanism = Fixed(probability=lambda x: torch.sigmoid(1 - x))
        fitted = small_imputer(mechanism=mechanism).fit(FRAME)
        save(fitted, tmp_path / "model")
        with pytest.raises(FileFormatError, match="holds a function"):
            load(tmp_path / "model")
        assert same(load(tmp_path / "model", mechanism=mechanism), fitted)


def golden_folders() -> list[Path]:
    return sorted(path for path in GOLDEN.iterdir() if path.is_dir())


def test_there_is_a_golden_folder_for_each_format_version() -> None:
    versions = {json.loads((path / "model" / MANIFEST).read_text())["version"] for path in golden_folders()}
    assert versions == set(range(1, VERSION + 1))


def test_the_logarithms_of_the_first_format_are_read(tmp_path: Path) -> None:
    frame = FRAME.assign(pay=np.exp(FRAME["a"]))
    fitted = small_imputer(log_columns=["pay"]).fit(frame)
    save(fitted, tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / MANIFEST).read_text())
    fields = manifest["state"]["columns_"]["fields"]
    del fields["transforms"], fields["supports"]
    fields["logged"] = {"tuple": [4]}
    sign(tmp_path / "model", manifest)
    assert load(tmp_path / "model").columns_.logged == fitted.columns_.logged == (4,)


@pytest.mark.parametrize("folder", golden_folders(), ids=lambda path: path.name)
def test_golden_folder(folder: Path) -> None:
    estimator = load(folder / "model")
    frame = pd.read_csv(folder / "table.csv")
    rows = frame if hasattr(estimator, "feature_names_in_") else frame.to_numpy()
    # The mechanism is a function of the weights alone; how imputations are drawn may change between versions.
    report = pd.read_csv(folder / "report.csv", keep_default_na=False, na_values=[""]).fillna({"direction": ""})
    pd.testing.assert_frame_equal(estimator.mechanism_report(), report, rtol=1e-6)
    method = "transform" if hasattr(estimator, "transform") else "predict"
    assert np.isfinite(np.asarray(getattr(estimator, method)(rows), dtype=float)).all()


def test_what_only_an_older_version_has_is_named() -> None:
    manifest = {"version": 1, "class": "MNARImputer"}
    with pytest.raises(FileFormatError, match=r"likelihood='truncated', which only version 0\.1"):
        upgraded({**manifest, "parameters": {"decoder": "conv", "likelihood": "truncated"}})
    # Codes had as many dimensions as there are labels, and a file has its weights.
    for names, size in ((18, 17), (17, None)):
        of_labels = upgraded({**manifest, "columns": ["x"] * names, "parameters": {"latent_dim": None}})
        assert of_labels["parameters"]["latent_dim"] == size
    assert (
        upgraded({**manifest, "columns": ["x"] * 40, "parameters": {"latent_dim": 3}})["parameters"]["latent_dim"] == 3
    )
    unscaled = upgraded({**manifest, "parameters": {"start": "unscaled"}})["parameters"]
    assert unscaled["training"]["fields"] == {"start": "neutral"}


def test_arrays_are_known_by_an_alias_of_their_type() -> None:
    """On Python 3.12 numpy 2.5 writes ``NDArray`` as a ``type`` statement."""
    scalar = TypeVar("scalar", bound=np.generic)
    alias = TypeAliasType("alias", np.ndarray[Any, np.dtype[scalar]], type_params=(scalar,))[np.float64]
    assert holds(np.zeros(2), alias) and holds(None, alias | None)
    assert not holds(np.zeros(2, dtype=int), alias) and not holds([0.0], alias)
    assert holds(1.0, TypeAliasType("number", float)) and not holds("1", TypeAliasType("number", float))


def test_many_columns_of_many_labels_are_saved_and_loaded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.choice([f"{name}{k}" for k in range(12)], 200) for name in "abcde"})
    table["size"] = rng.normal(size=200)
    table = table.mask(rng.random(table.shape) < 0.1)
    imputer = MNARImputer(hidden_units=(4,), latent_dim=2, max_iter=1, n_draws_posterior=50, random_state=0).fit(table)
    save(imputer, tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").transform(table), imputer.transform(table))
