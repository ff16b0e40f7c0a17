"""Folders that were changed or forged: refused by name, fast and in little memory, or valid."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pyro_mnar import MNARImputer
from pyro_mnar.errors import FileFormatError, InvalidInputError
from pyro_mnar.persistence import load, save
from pyro_mnar.persistence.files import CHECKSUM, MANIFEST, VERSION
from tests.support.estimators import small_imputer
from tests.support.folders import FRAME, sign, sign_text, weights_of
from tests.support.limits import Limit


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save(small_imputer().fit(FRAME), folder)
    return folder


@pytest.fixture
def changed(saved: Path, tmp_path: Path) -> Path:
    """Give a copy to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def edited(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set one place of the manifest."""

    def edit(manifest: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place = manifest
        for key in parents:
            place = place[int(key) if isinstance(place, list) else key]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return edit


HUGE = 10**9
MORE = "a model of more tensors or numbers than the weights hold"
EDITS = {
    "newer format": (
        edited("version", VERSION + 1),
        f"format version {VERSION + 1}; this version of pyro_mnar reads up to {VERSION}: up",
    ),
    "version 0": (edited("version", 0), "format version 0"),
    "version true": (edited("version", True), "format version True"),
    "another format": (edited("format", "other"), "not of the format"),
    "unknown key": (edited("code", "print(1)"), r"unknown keys \['code'\]"),
    "missing key": (edited("state", ...), r"lacks \['state'\]"),
    "unknown class": (edited("class", "os.system"), "the class 'os.system'; it must be MNARImputer"),
    "class of a wrong type": (edited("class", ["MNARImputer"]), "the class"),
    "absolute path": (edited("files", {"/etc/passwd": {"bytes": 1, "sha256": ""}}), r"\['/etc/passwd'\]; it must"),
    "path outside": (edited("files", {"../weights.safetensors": {}}), "it must name its weights"),
    "no files": (edited("files", []), "it must name its weights"),
    "unknown parameter": (edited("parameters/colour", 1), "not those of MNARImputer"),
    "parameters that are none": (edited("parameters", [1]), "not those of MNARImputer"),
    "parameter out of range": (edited("parameters/max_iter", 0), "'max_iter' .*Got 0"),
    "parameter of a wrong type": (edited("parameters/max_iter", {"tuple": [1]}), "'max_iter'"),
    "setting out of range": (edited("parameters/training/fields/n_draws", 0), "'n_draws' .*Got 0"),
    "unknown setting": (edited("parameters/training/fields/colour", 1), "TrainingSettings in the manifest has"),
    "settings of a wrong type": (edited("parameters/training", [1]), "'training' parameter of MNARImputer"),
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
    "unknown tag": (edited("parameters/max_iter", {"pickle": "gASV"}), "no value of this format"),
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
    "state that its answers need": (edited("state/_schema", ...), r"lacks \['_schema'\]"),
    "state of a wrong type": (edited("state/n_iter_", "2"), "n_iter_ in the manifest is '2'"),
    "wrong number of columns": (edited("state/n_features_in_", 5), "number of columns"),
    "other names": (edited("columns", ["a", "b", "c", "z"]), "differ in number"),
    "an array that is not there": (
        edited("state/columns_/fields/scale", {"array": "nothing"}),
        "no value of this format",
    ),
    "an array that is not named": (
        edited("state/columns_/fields/center", {"array": "state.columns_.scale"}),
        r"\['state.columns_.center'\], which the manif",
    ),
    "wider layers": (edited("parameters/hidden_units", {"tuple": [5]}), "do not fit the model"),
    "enormous layers": (
        edited("parameters/hidden_units", {"tuple": [HUGE]}),
        MORE,
    ),
    "layers enormous together": (
        edited("parameters/hidden_units", {"tuple": [900, 900]}),
        MORE,
    ),
    "enormous code": (edited("parameters/latent_dim", HUGE), MORE),
    "very many layers": (edited("parameters/hidden_units", {"tuple": [1] * 5000}), "5000 entries"),
    "other decoder": (edited("parameters/decoder", "linear"), "do not fit the model"),
    "other mechanism": (edited("parameters/mechanism", "linear"), "do not fit the model"),
    "400 layers of 600": (edited("parameters/hidden_units", {"tuple": [600] * 400}), "400 entries for"),
    "20 layers of 600": (edited("parameters/hidden_units", {"tuple": [600] * 20}), MORE),
    "200,000 layers": (edited("parameters/hidden_units", {"tuple": [1] * 200_000}), "200000 entries"),
    "layers of a mechanism": (
        edited(
            "parameters/mechanism",
            {"mechanism": "Nonlinear", "parameters": {"map": [["hidden_units", {"tuple": [1] * 200_000}]]}},
        ),
        MORE,
    ),
    "very many values": (edited("state/_schema/fields/columns", {"tuple": [0] * 600_000}), "values; more than 500000"),
    "a million features": (edited("state/n_features_in_", HUGE), "number of columns"),
    "an indicator of very many columns": (
        edited("state/indicator_", {"indicator": [{"array": "state.columns_.center"}, HUGE]}),
        "that of 1000000000 columns",
    ),
    "an enormous seed": (edited("state/_seed", 10**30), "_seed in the manifest is 1000"),
    "an output of another kind": (edited("state/_sklearn_output_config", {"map": [["transform", "x"]]}), "container"),
    "an output of no name": (edited("state/_sklearn_output_config", {"map": [["predict", "pandas"]]}), "container"),
    "keys that cannot be looked up": (edited("parameters/types", {"map": [[[1], 2]]}), "unhashable"),
    "no history": (edited("state/n_iter_", 7), "its history"),
    "a kind of no name": (edited("state/_schema/fields/columns/tuple/0/fields/kind", "x"), "holds 'x' in kind"),
    "no kinds": (edited("state/_schema/fields/columns", {"tuple": []}), "number of columns"),
    "a group beyond the table": (edited("state/_schema/fields/groups", {"tuple": [{"tuple": [9]}]}), "one-hot groups"),
    "a text in the place of a number": (
        edited("state/columns_/fields/supports/tuple/0/fields/highest", "x"),
        "Support in the manifest holds 'x' in highest, which is of another type",
    ),
    "a number that is none": (
        edited("state/columns_/fields/supports/tuple/0/fields/lowest", {"number": "nan"}),
        "Support in the manifest holds nan in lowest",
    ),
    "a whole number beyond all others": (
        edited("state/columns_/fields/supports/tuple/0/fields/lowest", 2**1100),
        "in lowest, which is of another type",
    ),
    "levels and scores of other numbers": (
        edited(
            "state/columns_/fields/transforms",
            {
                "tuple": [{"record": "Tabulated", "fields": {"values": {"tuple": [0, 1]}, "scores": {"tuple": [1.0]}}}]
                * 4
            },
        ),
        "describes no model that can be built: .*not of the same length",
    ),
    "half a character": (edited("state/_schema/fields/columns/tuple/0/fields/why", chr(0xD800)), "is no text"),
    "labels that are none": (
        edited("state/_schema/fields/columns/tuple/0/fields/pooled", {"tuple": [[1]]}),
        "the labels of the table's columns",
    ),
    "a support without numbers": (
        edited("state/columns_/fields/supports/tuple/0/fields/lowest", {"number": "inf"}),
        "the supports of its columns",
    ),
    "findings that are none": (
        edited("state/findings_", {"tuple": [1, 2, 3, 4]}),
        r"findings_ in the manifest is \(1, 2, 3, 4\)",
    ),
    "kinds that overlap": (
        edited(
            "state/layout_/fields",
            {"continuous": {"tuple": [0, 1, 2, 2]}, "binary": {"tuple": []}, "groups": {"tuple": []}},
        ),
        "the kinds of its columns",
    ),
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS)
def test_a_signed_lie_in_the_manifest(edit: Callable[[dict[str, Any]], None], message: str, changed: Path) -> None:
    manifest = json.loads((changed / MANIFEST).read_text())
    edit(manifest)
    sign(changed, manifest)
    with Limit(), pytest.raises(FileFormatError, match=message):
        load(changed)


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
    ],
)
def test_signed_weights_of_another_model(change: Callable[[Any], Any], message: str, changed: Path) -> None:
    tensors = load_file(weights_of(changed))
    change(tensors)
    save_file(tensors, weights_of(changed))
    sign(changed, json.loads((changed / MANIFEST).read_text()))
    with pytest.raises(FileFormatError, match=message):
        load(changed)


def test_answers_that_are_not_finite(tmp_path: Path) -> None:
    save(small_imputer(mechanism="self-masking").fit(FRAME), tmp_path / "model")
    path = weights_of(tmp_path / "model")
    tensors = load_file(path)
    tensors["state.columns_.scale"].fill_(1e308)
    tensors["joint.likelihood.loc.bias"].fill_(9.0)
    save_file(tensors, path)
    sign(tmp_path / "model", json.loads((tmp_path / "model" / MANIFEST).read_text()))
    with pytest.raises(FileFormatError, match="answers with numbers that are not finite"):
        load(tmp_path / "model")


class Bomb:
    """Pickled, it makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def part(folder: Path, name: str) -> Path:
    """One of the three files."""
    return weights_of(folder) if name == "weights" else folder / name


PARTS = ["weights", MANIFEST, CHECKSUM]


@pytest.mark.parametrize("name", PARTS)
def test_nothing_is_unpickled(name: str, changed: Path, tmp_path: Path) -> None:
    fired = tmp_path / "fired"
    pickle.loads(pickle.dumps(Bomb(fired)))
    fired.unlink()
    manifest = json.loads((changed / MANIFEST).read_text())
    path = part(changed, name)
    torch.save(Bomb(fired), path) if name == "weights" else path.write_bytes(pickle.dumps(Bomb(fired)))
    if name == "weights":
        sign(changed, manifest)
    with pytest.raises(FileFormatError):
        load(changed)
    assert not fired.exists()


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "missing", "empty"])
def test_files_that_are_none(name: str, kind: str, changed: Path, tmp_path: Path) -> None:
    path = part(changed, name)
    path.rename(tmp_path / "original")
    if kind == "link":
        path.symlink_to(tmp_path / "original")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "empty":
        path.touch()
    with pytest.raises(FileFormatError, match=path.name.replace(".", r"\.")):
        load(changed)


def test_manifests_that_are_no_json(changed: Path) -> None:
    for text in ("[" * 100_000, '{"format": NaN}', '{"a": 1, "a": 2}', "[]", "\ufeff{}"):
        sign_text(changed, text.encode())
        with pytest.raises(FileFormatError):
            load(changed)


def test_where_it_was_fitted_is_neither_kept_nor_followed(changed: Path, tmp_path: Path) -> None:
    there = tmp_path / "checkpoints"
    fitted = small_imputer(checkpoint_dir=there).fit(FRAME)
    save(fitted, tmp_path / "of a machine")
    assert "checkpoints" not in (tmp_path / "of a machine" / MANIFEST).read_text()
    for path, value in (
        ("parameters/device", "meta"),
        ("parameters/device", "cuda:99"),
        ("parameters/training/fields/checkpoint_dir", "/etc/of-another"),
    ):
        manifest = json.loads((changed / MANIFEST).read_text())
        edited(path, value)(manifest)
        sign(changed, manifest)
        found = load(changed)
        assert (found.device, found.training.checkpoint_dir) == ("cpu", None)
        assert all(value.device.type == "cpu" for value in found.joint_.state_dict().values())
    for device in ("meta", "cuda:99", "nowhere"):
        with pytest.raises(InvalidInputError, match=f"device is '{device}', which cannot be used here"):
            load(changed, device=device)
