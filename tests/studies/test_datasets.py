"""Data sets: what the loaders give, and what a missing, damaged or unreachable file leads to."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes the import below possible
from sklearn.impute import IterativeImputer

from pyro_mnar.analysis.metrics import imputation_rmse
from pyro_mnar.datasets.amputation import self_mask
from pyro_mnar.errors import ChecksumError, DatasetError, DownloadError, InvalidInputError
from pyro_mnar.studies import sources as datasets
from pyro_mnar.studies.sources import uci
from pyro_mnar.studies.sources.extra import needed
from pyro_mnar.studies.sources.files import SourceFile, download, local_or_downloaded

CONTENT = b"a,b\n1,2\n" * 5_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def _zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


class _Handler(BaseHTTPRequestHandler):
    """Serve the content whole, slowly, altered, cut short, or not at all, as the address says."""

    def do_GET(self) -> None:
        body, declared, status = CONTENT, len(CONTENT), 200
        match self.path.split("/")[1]:
            case "missing":
                body, status = b"not here", 404
                declared = len(body)
            case "altered":
                body = CONTENT[:-1] + b"X"
            case "cut":
                body = CONTENT[: len(CONTENT) // 2]
            case "zip":
                body = _zipped("tiny.csv", CONTENT)
                declared = len(body)
            case "otherzip":
                body = _zipped("other.csv", CONTENT)
                declared = len(body)
            case "cutzip":
                body = _zipped("tiny.csv", CONTENT)[:100]
        self.send_response(status)
        self.send_header("Content-Length", str(declared))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if self.path.startswith("/slow"):
            self.wfile.flush()
            time.sleep(0.5)
        # Before the last bytes: with them the client goes on, and may look at once.
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        self.wfile.write(body[half:])

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def source(server: ThreadingHTTPServer) -> Callable[..., SourceFile]:
    def make(*kinds: str) -> SourceFile:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        addresses = (f"{base}/{k}/tiny.zip" if k.endswith("zip") else f"{base}/{k}/tiny.csv" for k in kinds)
        return SourceFile("tiny.csv", SHA256, tuple(addresses))

    return make


def test_a_download_is_kept(source: Callable[..., SourceFile], server: ThreadingHTTPServer, tmp_path: Path) -> None:
    for _ in range(2):
        path = download(source("whole"), tmp_path / "new" / "cache")
        assert path.read_bytes() == CONTENT
    assert server.seen == ["/whole/tiny.csv"]  # type: ignore[attr-defined]
    assert [p.name for p in path.parent.iterdir()] == ["tiny.csv"]


def test_a_damaged_file_in_the_cache_is_replaced(source: Callable[..., SourceFile], tmp_path: Path) -> None:
    (tmp_path / "tiny.csv").write_bytes(b"damaged")
    assert download(source("whole"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("kinds", [("missing", "whole"), ("altered", "zip"), ("cut", "otherzip", "cutzip", "zip")])
def test_the_next_address_is_tried(source: Callable[..., SourceFile], kinds: tuple[str, ...], tmp_path: Path) -> None:
    assert download(source(*kinds), tmp_path).read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.csv"]


@pytest.mark.parametrize(("kind", "named"), [("altered", "the 40000 bytes received"), ("cut", "ended early")])
def test_wrong_content_names_both_sums(
    source: Callable[..., SourceFile], kind: str, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ChecksumError, match=named) as caught:
        download(source(kind), tmp_path)
    sums = set(re.findall(r"\b[0-9a-f]{64}\b", str(caught.value)))
    assert len(sums) == 2 and SHA256 in sums
    assert "PYRO_MNAR_DATA" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "named"), [("missing", "404"), ("otherzip", "tiny.csv"), ("cutzip", "zip")])
def test_no_content_says_what_to_do(source: Callable[..., SourceFile], kind: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=named) as caught:
        download(source(kind), tmp_path)
    assert "PYRO_MNAR_DATA" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nobody_answers(source: Callable[..., SourceFile], server: ThreadingHTTPServer, tmp_path: Path) -> None:
    unreachable = source("whole")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="by other means"):
        download(unreachable, tmp_path)


def test_an_unusable_cache_says_what_to_do(source: Callable[..., SourceFile], tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(DatasetError, match="cannot be kept in"):
        download(source("whole"), in_the_way / "cache")


def test_two_processes_at_once(source: Callable[..., SourceFile], server: ThreadingHTTPServer, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from pyro_mnar.studies.sources.files import SourceFile, download\n"
        f"print(download({source('slow')!r}, Path({str(tmp_path / 'cache')!r})))"
    )
    command = [sys.executable, "-c", program]
    root = Path(__file__).resolve().parents[2]
    running = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["tiny.csv"]
    assert (tmp_path / "cache" / "tiny.csv").read_bytes() == CONTENT


UNREACHED = SourceFile("tiny.csv", SHA256, ("https://example.invalid/tiny.csv",))


@pytest.mark.parametrize("inner", ["", "uci"])
def test_a_local_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str) -> None:
    (tmp_path / inner).mkdir(exist_ok=True)
    expected = tmp_path / inner / "tiny.csv"
    expected.write_bytes(CONTENT)
    assert local_or_downloaded(UNREACHED, tmp_path) == expected
    monkeypatch.setenv("PYRO_MNAR_DATA", str(tmp_path))
    assert local_or_downloaded(UNREACHED) == expected


def test_a_local_folder_is_checked(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"put https://example.invalid/tiny.csv there"):
        local_or_downloaded(UNREACHED, tmp_path)
    (tmp_path / "tiny.csv").write_bytes(b"other")
    with pytest.raises(ChecksumError, match=hashlib.sha256(b"other").hexdigest() + ", not " + SHA256):
        local_or_downloaded(UNREACHED, tmp_path)


def test_without_a_folder_the_cache_is_used(
    source: Callable[..., SourceFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYRO_MNAR_DATA", "")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    assert local_or_downloaded(source("whole")) == tmp_path / "pyro_mnar" / "tiny.csv"


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
    assert dataset.target is not None
    if target is not None:
        assert dataset.target.value_counts().to_dict() == target
    assert dataset.with_target().shape == (shape[0], shape[1] + 1)
    assert "archive.ics.uci.edu" in dataset.provenance and "CC BY" in dataset.licence and "DOI" in dataset.citation


@pytest.mark.filterwarnings("ignore:.*Early stopping criterion:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("with_target", "published"), [(True, True), (False, False)])
def test_which_concrete_columns_are_the_published_ones(data_folder: Path, with_target: bool, published: bool) -> None:
    dataset = datasets.concrete(data_folder)
    x = (dataset.with_target() if with_target else dataset.data).to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    holed = self_mask(x, columns="first-half")
    observed = ~np.isnan(np.asarray(holed))
    imputed = IterativeImputer(max_iter=10, random_state=0).fit_transform(holed)
    assert (round(imputation_rmse(x, imputed, observed), 2) == 1.70) is published


def test_breast_cancer_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRO_MNAR_DATA", str(tmp_path / "nowhere"))
    dataset = datasets.load("breast_cancer")
    assert dataset.data.shape == (569, 30) and dataset.target is not None and dataset.target.sum() == 357


def test_covertype_sample(data_folder: Path) -> None:
    dataset = datasets.covertype(path=data_folder / "uci" / "covtype-sample.data.gz")
    assert dataset.data.shape == (40_000, 54) and dataset.target is not None
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
    dataset = datasets.covertype(path=path)
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
        datasets.covertype(path=path)


@pytest.mark.parametrize("name", ["banknote", "concrete", "wine_white", "wine_red", "covertype"])
def test_a_missing_original_names_its_address(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=r"put https://.* there"):
        datasets.load(name, tmp_path)


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(InvalidInputError, match=r"'iris'.*'banknote'"):
        datasets.load("iris")


def test_every_original_has_a_checksum_and_two_addresses() -> None:
    sources = [v for v in vars(uci).values() if isinstance(v, SourceFile)]
    assert len(sources) == 5
    for source in sources:
        assert len(bytes.fromhex(source.sha256)) == 32
        assert len(source.addresses) == 2 and all(a.startswith("https://") for a in source.addresses)


@pytest.mark.parametrize("module", ["pooch", "PIL.Image"])
def test_what_the_extra_brings_is_named_where_it_is_missing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    name = module.partition(".")[0]
    with pytest.raises(DatasetError, match=rf"read with {name}, which is not installed: .*pyro-mnar\[studies\]"):
        needed(module)
