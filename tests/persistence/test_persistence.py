"""Saved estimators: the same answers after loading, and no file that was changed is believed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.exceptions import NotFittedError
from torch import nn

from pyro_mnar import MNARImputer
from pyro_mnar.errors import FileFormatError, InvalidInputError
from pyro_mnar.model.mechanisms import Fixed, Ignorable, Linear, Mechanism, Nonlinear, SelfMasking
from pyro_mnar.persistence import load, save
from pyro_mnar.persistence.files import CHECKSUM, MANIFEST, VERSION, WEIGHTS
from tests.support.estimators import MAKERS, SMALL, small_imputer, table
from tests.support.validation import record

GOLDEN = Path(__file__).parent / "golden"
FRAME = pd.DataFrame(table(), columns=list("abcd"))
TARGET = np.arange(40) % 2


class Detector(Mechanism):
    """A mechanism of a user's own."""

    def __init__(self, steepness: float = 4.0) -> None:
        super().__init__()
        self.steepness = steepness
        self.range = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> Any:
        from pyro.distributions import Bernoulli

        return Bernoulli(logits=self.steepness * (self.range - x), validate_args=False)


def answers(estimator: Any) -> list[np.ndarray]:
    """Everything that can be asked."""
    found = [np.asarray(estimator.score(FRAME, TARGET))]
    for method in ("transform", "predict", "predict_proba"):
        if hasattr(estimator, method):
            found.append(np.asarray(getattr(estimator, method)(FRAME)))
    return found


def same(a: Any, b: Any) -> bool:
    """Whether two answers are equal bit for bit."""
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(answers(a), answers(b), strict=True))


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
    fitted = small_imputer(categorical=[["u", "v"]], discrete_output="probability").fit(frame)
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


def test_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(size=(20, 8, 8))
    images[images > 0.8] = np.nan
    mechanism = SelfMasking(direction="high", shared=True)
    fitted = small_imputer(mechanism=mechanism, decoder="conv", latent_dim=3, hidden_units=(4, 4)).fit(images)
    save(fitted, tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").transform(images), fitted.transform(images))


def test_further_parameters_and_attributes(tmp_path: Path) -> None:
    frame = FRAME.assign(e=np.nan, f=pd.array(range(40), "Int64"))
    imputer = small_imputer(
        missing_values=pd.NA,
        add_indicator=True,
        keep_empty_features=True,
        round_integers=True,
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


class TestPlaces:
    def test_what_cannot_be_saved(self, tmp_path: Path) -> None:
        with pytest.raises(NotFittedError):
            save(small_imputer(), tmp_path / "model")
        imputer = small_imputer().fit(FRAME)
        imputer.note = "mine"
        with pytest.raises(InvalidInputError, match=r"\['note'\]"):
            save(imputer, tmp_path / "model")

        class Other(MNARImputer):
            pass

        with pytest.raises(InvalidInputError, match="Other cannot be saved"):
            save(Other(**SMALL).fit(FRAME), tmp_path / "model")
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_overwritten_by_accident(self, tmp_path: Path) -> None:
        imputer, other = small_imputer().fit(FRAME), small_imputer(random_state=1).fit(FRAME)
        save(imputer, tmp_path / "model")
        with pytest.raises(InvalidInputError, match="exists; give another place, or overwrite=True"):
            save(other, tmp_path / "model")
        assert same(load(tmp_path / "model"), imputer)
        save(other, tmp_path / "model", overwrite=True)
        assert same(load(tmp_path / "model"), other)
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter").write_text("years of work")
        with pytest.raises(InvalidInputError, match="is not a saved estimator, so it is not replaced"):
            save(other, tmp_path / "thesis", overwrite=True)
        with pytest.raises(InvalidInputError, match="is not a folder; make it first"):
            save(other, tmp_path / "no" / "model")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "thesis"]

    def test_the_checksum_is_one_that_standard_tools_read(self, tmp_path: Path) -> None:
        save(small_imputer().fit(FRAME), tmp_path / "model")
        subprocess.run(["sha256sum", "--strict", "-c", CHECKSUM], cwd=tmp_path / "model", check=True)


def golden_folders() -> list[Path]:
    return sorted(path for path in GOLDEN.iterdir() if path.is_dir())


def test_there_is_a_golden_folder_for_each_format_version() -> None:
    versions = {json.loads((path / "model" / MANIFEST).read_text())["version"] for path in golden_folders()}
    assert versions == set(range(1, VERSION + 1))


@pytest.mark.parametrize("folder", golden_folders(), ids=lambda path: path.name)
def test_golden_folder(folder: Path) -> None:
    estimator = load(folder / "model")
    frame = pd.read_csv(folder / "table.csv")
    # The mechanism is a function of the weights alone; how imputations are drawn may change between versions.
    report = pd.read_csv(folder / "report.csv", keep_default_na=False, na_values=[""]).fillna({"direction": ""})
    pd.testing.assert_frame_equal(estimator.mechanism_report(), report, rtol=1e-6)
    method = "transform" if hasattr(estimator, "transform") else "predict"
    assert np.isfinite(np.asarray(getattr(estimator, method)(frame), dtype=float)).all()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save(small_imputer().fit(FRAME), folder)
    return folder


@pytest.fixture
def changed(saved: Path, tmp_path: Path) -> Path:
    """Give a copy to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def sign(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest with checksums that fit, as an attacker would."""
    weights = (folder / WEIGHTS).read_bytes()
    if set(manifest.get("files", ())) == {WEIGHTS}:
        manifest["files"][WEIGHTS] = {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    text = json.dumps(manifest, indent=1)
    (folder / MANIFEST).write_text(text)
    (folder / CHECKSUM).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {MANIFEST}\n")


def edited(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set one place of the manifest."""

    def edit(manifest: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place = manifest
        for key in parents:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return edit


HUGE = 10**9
EDITS = {
    "newer format": (edited("version", VERSION + 1), "format version 2; this version of pyro_mnar reads up to 1: up"),
    "version 0": (edited("version", 0), "format version 0"),
    "version true": (edited("version", True), "format version True"),
    "another format": (edited("format", "other"), "not of the format"),
    "unknown key": (edited("code", "print(1)"), r"unknown keys \['code'\]"),
    "missing key": (edited("state", ...), r"lacks \['state'\]"),
    "unknown class": (edited("class", "os.system"), "the class 'os.system'; it must be MNARImputer"),
    "class of a wrong type": (edited("class", ["MNARImputer"]), "the class"),
    "absolute path": (edited("files", {"/etc/passwd": {"bytes": 1, "sha256": ""}}), r"\['/etc/passwd'\]; it must"),
    "path outside": (edited("files", {"../weights.safetensors": {}}), "it must name 'weights.safetensors'"),
    "no files": (edited("files", []), "it must name 'weights.safetensors'"),
    "unknown parameter": (edited("parameters/colour", 1), "not those of MNARImputer"),
    "parameters that are none": (edited("parameters", [1]), "not those of MNARImputer"),
    "parameter out of range": (edited("parameters/n_draws", 0), "'n_draws' .*Got 0"),
    "parameter of a wrong type": (edited("parameters/n_draws", {"tuple": [1]}), "'n_draws'"),
    "unknown mechanism": (edited("parameters/mechanism", {"mechanism": "Evil", "parameters": {"map": []}}), "'Evil'"),
    "unknown mechanism's name": (edited("parameters/mechanism", "evil"), "'evil'; give one of"),
    "mechanism with other arguments": (
        edited("parameters/mechanism", {"mechanism": "SelfMasking", "parameters": {"map": [["x", 1]]}}),
        "the parameters of SelfMasking",
    ),
    "mechanism with a bad argument": (
        edited(
            "parameters/mechanism",
            {
                "mechanism": "SelfMasking",
                "parameters": {"map": [["direction", None], ["link", "x"], ["shared", False], ["slope", None]]},
            },
        ),
        "link is 'x'",
    ),
    "unknown tag": (edited("parameters/n_draws", {"pickle": "gASV"}), "no value of this format"),
    "unknown record": (edited("state/columns_", {"record": "Popen", "fields": {}}), "no value of this format"),
    "record with other fields": (
        edited("state/columns_", {"record": "ColumnInfo", "fields": {"names": 1, "code": 2}}),
        r"ColumnInfo in the manifest has the fields \['names', 'code'\]",
    ),
    "record with too few fields": (
        edited("state/columns_", {"record": "ColumnInfo", "fields": {"names": 1}}),
        "describes no model that can be built: .*missing 3 required",
    ),
    "unknown state": (edited("state/transform", 1), r"unknown keys \['transform'\]"),
    "missing state": (edited("state/columns_", ...), r"lacks \['columns_'\]"),
    "state of a wrong type": (edited("state/n_iter_", "2"), "n_iter_ in the manifest is a str"),
    "wrong number of columns": (edited("state/n_features_in_", 5), "number of columns"),
    "other names": (edited("columns", ["a", "b", "c", "z"]), "differ in number"),
    "an array that is not there": (edited("state/_has_values", {"array": "nothing"}), "no value of this format"),
    "an array that is not named": (
        edited("state/_whole", ...),
        r"\['state._whole'\], which the manif",
    ),
    "wider layers": (edited("parameters/hidden_units", {"tuple": [5]}), "do not fit the model"),
    "enormous layers": (edited("parameters/hidden_units", {"tuple": [HUGE]}), "asks for a tensor of"),
    "layers enormous together": (edited("parameters/hidden_units", {"tuple": [900, 900]}), "asks for a tensor of"),
    "enormous code": (edited("parameters/latent_dim", HUGE), "asks for a tensor of"),
    "very many layers": (edited("parameters/hidden_units", {"tuple": [1] * 5000}), "5000 entries"),
    "other decoder": (edited("parameters/decoder", "linear"), "do not fit the model"),
    "other mechanism": (edited("parameters/mechanism", "linear"), "do not fit the model"),
    "a device that is not there": (edited("parameters/device", "cuda:99"), "'cuda:99', which cannot be used"),
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS)
def test_a_signed_lie_in_the_manifest(edit: Callable[[dict[str, Any]], None], message: str, changed: Path) -> None:
    manifest = json.loads((changed / MANIFEST).read_text())
    edit(manifest)
    sign(changed, manifest)
    start = time.process_time()
    with pytest.raises(FileFormatError, match=message):
        load(changed)
    assert time.process_time() - start < 1.0


def test_the_signature_of_these_tests_is_right(changed: Path) -> None:
    sign(changed, json.loads((changed / MANIFEST).read_text()))
    assert isinstance(load(changed), MNARImputer)


def test_a_parameter_that_is_newer_than_the_file_has_its_default(changed: Path) -> None:
    manifest = json.loads((changed / MANIFEST).read_text())
    del manifest["parameters"]["keep_empty_features"]
    sign(changed, manifest)
    assert load(changed).get_params()["keep_empty_features"] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update({"joint.likelihood.loc.weight": torch.zeros(5, 4)}), "loc.weight.* do not fit the model"),
        (lambda t: t.update({"joint.likelihood.loc.weight": torch.zeros(4, 4).double()}), "do not fit the model"),
        (lambda t: t.pop("joint.likelihood.loc.weight"), "do not fit the model"),
        (lambda t: t.update({"joint.more": torch.zeros(1)}), "do not fit the model"),
        (lambda t: t.update({"more": torch.zeros(1)}), r"\['more'\], which the manifest does not name"),
        (lambda t: t["joint.likelihood.loc.weight"].fill_(torch.nan), "not finite"),
        (lambda t: t.update({"joint.likelihood.loc.weight": torch.zeros(4, 4).bfloat16()}), "BF16, which is not used"),
        (lambda t: t.pop("joint.active"), "joint.active"),
        (lambda t: t.update({"state.columns_.center": torch.zeros(3).double()}), "differ in number"),
        (lambda t: t.update({"state._has_values": torch.zeros(4)}), "number of columns"),
    ],
)
def test_signed_weights_of_another_model(change: Callable[[Any], Any], message: str, changed: Path) -> None:
    tensors = load_file(changed / WEIGHTS)
    change(tensors)
    save_file(tensors, changed / WEIGHTS)
    sign(changed, json.loads((changed / MANIFEST).read_text()))
    with pytest.raises(FileFormatError, match=message):
        load(changed)


class Bomb:
    """Pickled, it makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST, CHECKSUM])
def test_nothing_is_unpickled(name: str, changed: Path, tmp_path: Path) -> None:
    fired = tmp_path / "fired"
    pickle.loads(pickle.dumps(Bomb(fired)))
    fired.unlink()
    manifest = json.loads((changed / MANIFEST).read_text())
    torch.save(Bomb(fired), changed / name) if name == WEIGHTS else (changed / name).write_bytes(
        pickle.dumps(Bomb(fired))
    )
    if name == WEIGHTS:
        sign(changed, manifest)
    with pytest.raises(FileFormatError):
        load(changed)
    assert not fired.exists()


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST, CHECKSUM])
@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "missing", "empty"])
def test_files_that_are_none(name: str, kind: str, changed: Path, tmp_path: Path) -> None:
    path = changed / name
    path.rename(tmp_path / "original")
    if kind == "link":
        path.symlink_to(tmp_path / "original")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    with pytest.raises(FileFormatError, match=name.replace(".", r"\.")):
        load(changed)


def test_manifests_that_are_no_json(changed: Path) -> None:
    for text in ("[" * 100_000, '{"format": NaN}', '{"a": 1, "a": 2}', "[]", "\ufeff{}"):
        (changed / MANIFEST).write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        (changed / CHECKSUM).write_text(f"{digest}  {MANIFEST}\n")
        with pytest.raises(FileFormatError):
            load(changed)


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Change a file in one of the ways in which files break."""
    at = rng.randrange(len(content))
    kind = rng.choice(["bit", "byte", "cut", "grow", "insert", "zeros", "swap", "digit"])
    raw = bytearray(content)
    if kind == "bit":
        raw[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        raw[at] = (raw[at] + rng.randrange(1, 256)) % 256
    elif kind == "cut":
        del raw[at:]
    elif kind == "grow":
        raw += rng.randbytes(rng.randrange(1, 50))
    elif kind == "insert":
        raw[at:at] = rng.randbytes(rng.randrange(1, 50))
    elif kind == "zeros":
        raw[at : at + 64] = bytes(len(raw[at : at + 64]))
    elif kind == "swap":
        raw = raw[at:] + raw[:at]
    else:
        digits = [i for i, byte in enumerate(raw) if 48 <= byte <= 57]
        if digits:
            i = rng.choice(digits)
            raw[i] = 48 + (raw[i] - 48 + rng.randrange(1, 10)) % 10
    return bytes(raw)


def check_mutations(saved: Path, folder: Path, count: int) -> int:
    """Count the files that were changed; all must be refused."""
    original = load(saved)
    rng = random.Random(1)
    rejected = 0
    while rejected < count:
        name = rng.choice([WEIGHTS, MANIFEST, MANIFEST, CHECKSUM])
        content = (saved / name).read_bytes()
        spoiled = mutate(content, rng)
        if spoiled == content:
            continue
        for other in (WEIGHTS, MANIFEST, CHECKSUM):
            (folder / other).write_bytes(spoiled if other == name else (saved / other).read_bytes())
        with pytest.raises(FileFormatError) as raised:
            load(folder)
        assert str(folder) in str(raised.value)
        rejected += 1
    assert same(load(saved), original)
    return rejected


def test_60_mutated_files(saved: Path, changed: Path) -> None:
    assert check_mutations(saved, changed, 60) == 60


@pytest.mark.slow
def test_1000_mutated_files(saved: Path, changed: Path) -> None:
    rejected = check_mutations(saved, changed, 1000)
    record("saved estimators with a mutated file", f"{rejected} files changed, all refused by name", "1,000", True)


def check_signed_mutations(saved: Path, folder: Path, count: int) -> int:
    """Mutations with checksums that fit: a named error, or a model that works."""
    rng = random.Random(2)
    refused = 0
    for _ in range(count):
        for other in (WEIGHTS, MANIFEST, CHECKSUM):
            (folder / other).write_bytes((saved / other).read_bytes())
        if rng.random() < 0.5:
            (folder / WEIGHTS).write_bytes(mutate((saved / WEIGHTS).read_bytes(), rng))
            sign(folder, json.loads((saved / MANIFEST).read_text()))
        else:
            text = mutate((saved / MANIFEST).read_bytes(), rng)
            (folder / MANIFEST).write_bytes(text)
            (folder / CHECKSUM).write_text(f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n")
        try:
            loaded = load(folder)
        except FileFormatError:
            refused += 1
            continue
        assert isinstance(loaded, MNARImputer)
    return refused


def test_60_signed_mutations(saved: Path, changed: Path) -> None:
    check_signed_mutations(saved, changed, 60)


@pytest.mark.slow
def test_1000_signed_mutations(saved: Path, changed: Path) -> None:
    refused = check_signed_mutations(saved, changed, 1000)
    figure = f"{refused} of 1,000 refused by name, the others load as other models"
    record("saved estimators with a mutated file and forged checksums", figure, "no other error", True)
