"""Loops over saved models that were changed or forged: refused by name, fast and in little memory, or valid."""

from __future__ import annotations

import copy
import json
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.errors import FileFormatError, MNARError, MNARWarning
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.persistence import load, save
from pyro_mnar.persistence.files import CHECKSUM, MANIFEST
from tests.support.estimators import small_classifier, small_images, small_imputer, small_regressor
from tests.support.folders import FRAME, TARGET, mutate, same, sign, sign_text, weights_of
from tests.support.pieces import Pieces

N = 60


def of_all_kinds() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = {
        "visits": rng.poisson(2, N).astype(float),
        "score": np.round(rng.uniform(0, 100, N), 1),
        "city": rng.choice(["Lima", "Oslo", "Rome"], N),
        "spend": np.where(rng.random(N) < 0.5, 0.0, rng.exponential(30.0, N)),
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, N), unit="D"),
        "yes": rng.choice([0.0, 1.0], N),
        "rate": rng.integers(1, 6, N).astype(float),
        "name": [f"id{i}" for i in range(N)],
        "level": pd.Categorical(rng.choice(["lo", "mid", "hi"], N), ["lo", "mid", "hi"], ordered=True),
    }
    return pd.DataFrame(table).mask(rng.random((N, len(table))) < 0.2)


def images() -> Any:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(size=(20, 6, 6))
    pixels[rng.random(pixels.shape) < 0.2] = np.nan
    return pixels


Saved = dict[str, tuple[Path, Any]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Give a model of each estimator, and one of a table of all kinds, with what they can be asked about."""
    tables = {"imputer": FRAME, "kinds": of_all_kinds(), "classifier": FRAME, "regressor": FRAME, "images": images()}
    estimators = {
        "imputer": small_imputer(),
        "kinds": small_imputer(add_indicator=True),
        "classifier": small_classifier(max_iter=2),
        "regressor": small_regressor(max_iter=2),
        "images": small_images(pixel_range=(0.0, 1.0)),
    }
    folder = tmp_path_factory.mktemp("saved")
    for name, estimator in estimators.items():
        save(estimator.fit(tables[name], None if name in ("imputer", "kinds", "images") else TARGET), folder / name)
    return {name: (folder / name, table) for name, table in tables.items()}


def copied(saved: Path, folder: Path) -> None:
    """Put the files of a saved model in place of what is in a folder."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for path in saved.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


def check_mutations(saved: Saved, folder: Path, pieces: Pieces) -> None:
    """Change files of a folder, one at a time; all must be refused by name."""
    place = saved["imputer"][0]
    original = load(place)
    for _, rng in pieces:
        copied(place, folder)
        name = rng.choice(["weights", MANIFEST, MANIFEST, CHECKSUM])
        path = weights_of(folder) if name == "weights" else folder / name
        content = spoiled = path.read_bytes()
        while spoiled == content:
            spoiled = mutate(content, rng)
        path.write_bytes(spoiled)
        with pieces.limit, pytest.raises(FileFormatError) as raised:
            load(folder)
        assert str(folder) in str(raised.value)
        pieces.refused += 1
    assert same(load(place), original)
    pieces.record()


def test_60_mutated_files(saved: Saved, tmp_path: Path) -> None:
    check_mutations(saved, tmp_path / "model", Pieces("saved models, mutated", "", 5000, few=60))


@pytest.mark.slow
@pytest.mark.timeout(30_000)
def test_5000_mutated_files(saved: Saved, tmp_path: Path) -> None:
    pieces = Pieces("saved models, mutated", "refused by name within 1 s and 64 MB", 5000)
    check_mutations(saved, tmp_path / "model", pieces)


#: What a forger may put in the place of a value.
VALUES: list[Any] = [
    *(None, True, 0, -1, 1, 2, 10**9, 2**70, 1.5, -0.5, 1e300, "", "x", "mean", "high", chr(0xD800), [], {}),
    *({"tuple": []}, {"list": []}, {"map": []}, {"number": "nan"}, {"number": "inf"}, {"number": "NA"}),
    *([[1, 2], [3]], {"tuple": [1, 2]}, {"text": ["a"], "object": True}),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*at, key))


def at(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


def forged(manifest: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A manifest with one value changed, left out, or taken from another place."""
    result = copy.deepcopy(manifest)
    section = rng.choice(["parameters", "state", "state", "columns"])
    inside = [(section, *place) for place in places(manifest[section])]
    *parents, last = rng.choice(inside)
    parent, how = at(result, tuple(parents)), rng.random()
    if how < 0.5:
        parent[last] = copy.deepcopy(rng.choice(VALUES))
    elif how < 0.6:
        del parent[last]
    elif how < 0.9:
        parent[last] = copy.deepcopy(at(manifest, rng.choice(inside)))
    elif isinstance(parent, list):
        parent.append(copy.deepcopy(parent[last]))
    else:
        parent["more"] = 1
    return result


def check_forgeries(saved: Saved, folder: Path, pieces: Pieces) -> None:
    """Changes with checksums that fit: a named error, or a model that answers."""
    for _, rng in pieces:
        place, table = saved[rng.choice(list(saved))]
        copied(place, folder)
        how = rng.random()
        if how < 0.3:
            weights_of(folder).write_bytes(mutate(weights_of(place).read_bytes(), rng))
            sign(folder, json.loads((place / MANIFEST).read_text()))
        elif how < 0.6:
            sign_text(folder, mutate((place / MANIFEST).read_bytes(), rng))
        else:
            sign(folder, forged(json.loads((place / MANIFEST).read_text()), rng))
        try:
            with pieces.limit:
                loaded = load(folder)
        except FileFormatError:
            pieces.refused += 1
            continue
        pieces.accepted += 1
        if loaded.n_draws_posterior < 1000:
            check_answers(loaded, table)
    pieces.record()


def check_answers(loaded: JointEstimator, table: Any) -> None:
    """It answers with finite numbers, or says in words of its own why it cannot."""
    names = getattr(loaded, "feature_names_in_", None)
    if names is not None and isinstance(table, pd.DataFrame):
        table = table.set_axis(list(names), axis=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MNARWarning)
            answers = [getattr(loaded, ask)(table) for ask in ("transform", "predict") if hasattr(loaded, ask)]
    except MNARError:
        return
    for answer in answers:
        numbers = pd.DataFrame(np.reshape(answer, (len(answer), -1))).select_dtypes("number")
        assert np.isfinite(numbers).all(axis=None)


def test_60_forged_files(saved: Saved, tmp_path: Path) -> None:
    check_forgeries(saved, tmp_path / "model", Pieces("saved models, forged with fitting checksums", "", 5000, few=60))


@pytest.mark.slow
@pytest.mark.timeout(30_000)
def test_5000_forged_files(saved: Saved, tmp_path: Path) -> None:
    pieces = Pieces("saved models, forged with fitting checksums", "no other error, 1 s and 64 MB", 5000)
    check_forgeries(saved, tmp_path / "model", pieces)
