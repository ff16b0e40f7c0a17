"""Image data: patches of the photographs, and CelebA from a tiny folder or zip made here (no face in it)."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyro_mnar.errors import DatasetError, InvalidInputError
from pyro_mnar.studies.sources.celeba import celeba
from pyro_mnar.studies.sources.images import grey_values, photo_patches

NAMES = [f"{k:06d}.jpg" for k in range(1, 7)]
PARTS = [0, 0, 0, 1, 2, 2]


def picture(k: int) -> bytes:
    """A plain picture 20 wide and 30 high: the middle square of one grey value, bars of another above and below."""
    pixels = np.full((30, 20, 3), 250, dtype=np.uint8)
    pixels[5:25] = 30 * (k + 1)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "celeba"
    folder.mkdir()
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for k, name in enumerate(NAMES):
            archive.writestr(f"img_align_celeba/{name}", picture(k))
    lines = [f"{name} {part}" for name, part in zip(NAMES, PARTS, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_zip_is_cut_reduced_and_split(copy: Path, tmp_path: Path) -> None:
    data = celeba(copy, size=4, cache=tmp_path / "cache")
    assert (data.train.shape, data.validation.shape, data.test.shape) == ((3, 4, 4), (1, 4, 4), (2, 4, 4))
    assert [image.min() for image in data.train] == [image.max() for image in data.train] == [30, 60, 90]
    assert data.test[1].max() == 180
    assert data.scaled("test").max() == 180 / 255
    assert "non-commercial" in data.licence


def test_folder_gives_the_same(copy: Path, tmp_path: Path) -> None:
    zipped = celeba(copy.parent, size=8, cache=tmp_path / "one")
    with zipfile.ZipFile(copy / "img_align_celeba.zip") as archive:
        archive.extractall(copy)
    (copy / "img_align_celeba.zip").unlink()
    unpacked = celeba(copy, size=8, cache=tmp_path / "two")
    assert np.array_equal(zipped.train, unpacked.train) and np.array_equal(zipped.test, unpacked.test)


def test_cache_is_used_renewed_and_replaced_when_damaged(copy: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = celeba(copy, size=4, cache=cache)
    (kept,) = cache.iterdir()
    written = kept.stat().st_mtime_ns
    assert np.array_equal(celeba(copy, size=4, cache=cache).train, first.train)
    assert kept.stat().st_mtime_ns == written
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(celeba(copy, size=4, cache=cache).train, first.train)
    assert kept.stat().st_size > 100
    celeba(copy, size=8, cache=cache)
    assert len(list(cache.iterdir())) == 2


def test_message_says_where_to_get_it_and_that_the_terms_are_the_users(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"not downloaded for you.*non-commercial.*yours to accept.*mmlab"):
        celeba(tmp_path)


def test_no_folder_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYRO_MNAR_DATA", raising=False)
    with pytest.raises(DatasetError, match="no folder with CelebA was named"):
        celeba()


def test_split_without_images(copy: Path, tmp_path: Path) -> None:
    (copy / "img_align_celeba.zip").unlink()
    with pytest.raises(DatasetError, match=r"neither img_align_celeba\.zip nor a folder"):
        celeba(copy, cache=tmp_path)


@pytest.mark.parametrize("damage", ["cut", "text", "flipped"])
def test_damaged_zip(copy: Path, tmp_path: Path, damage: str) -> None:
    file = copy / "img_align_celeba.zip"
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[60] ^= 255
    file.write_bytes({"cut": bytes(content[:200]), "text": b"not a zip", "flipped": bytes(content)}[damage])
    with pytest.raises(DatasetError, match="damaged"):
        celeba(copy, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_missing_and_unreadable_images(copy: Path, tmp_path: Path) -> None:
    (copy / "img_align_celeba.zip").unlink()
    folder = copy / "img_align_celeba"
    folder.mkdir()
    for k, name in enumerate(NAMES[:-1]):
        (folder / name).write_bytes(picture(k))
    with pytest.raises(DatasetError, match=r"1 of the 6 images .* 000006.jpg among them"):
        celeba(copy, cache=tmp_path)
    (folder / NAMES[-1]).write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"000006.jpg is not an image"):
        celeba(copy, cache=tmp_path)


@pytest.mark.parametrize(("line", "message"), [("000001.jpg 3", "line 1 is '000001.jpg 3'"), ("", "is empty")])
def test_split_in_another_form(copy: Path, tmp_path: Path, line: str, message: str) -> None:
    (copy / "list_eval_partition.txt").write_text(line)
    with pytest.raises(DatasetError, match=message):
        celeba(copy, cache=tmp_path)


def test_cache_that_cannot_be_written(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="give another folder in cache"):
        celeba(copy, cache=tmp_path / "file" / "cache")


def test_size(copy: Path) -> None:
    with pytest.raises(InvalidInputError, match="size is 0"):
        celeba(copy, size=0)


def test_patches_of_the_parts_share_no_pixel() -> None:
    data = photo_patches(size=32, stride=16)
    assert data.train.shape[1:] == (32, 32) and min(map(len, (data.train, data.validation, data.test))) >= 400
    flat = {part: {p.tobytes() for p in getattr(data, part)} for part in ("train", "test")}
    # Equal patches can only be plain ones.
    common = flat["train"] & flat["test"]
    assert all(np.ptp(np.frombuffer(p, dtype=np.uint8)) < 3 for p in common)
    with pytest.raises(InvalidInputError, match="there is no part 'all'"):
        data.scaled("all")
    with pytest.raises(InvalidInputError, match="size is 65"):
        photo_patches(size=65)
    assert photo_patches(size=16, stride=8, zoom=1).train.shape == photo_patches(size=32, stride=16).train.shape[:1] + (
        16,
        16,
    )


def test_grey_is_what_pillow_gives() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(colour).convert("L")).astype(int)
    assert np.abs(grey_values(colour).astype(int) - pillow).max() <= 1
