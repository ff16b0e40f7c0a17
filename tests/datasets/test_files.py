"""Files of public data: what a local folder, a download, and a missing, damaged or unreachable file lead to."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyro_mnar.datasets.extra import needed
from pyro_mnar.datasets.files import SourceFile, download, local_or_downloaded
from pyro_mnar.errors import ChecksumError, DatasetError, DownloadError
from tests.support.server import Handler, Server, serving

CONTENT = b"a,b\n1,2\n" * 5_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def _zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


class _Handler(Handler):
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
            case "folderzip":
                body = _zipped("inside/tiny.csv", CONTENT)
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
        self.server.seen.append(self.path)
        self.wfile.write(body[half:])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(_Handler, monkeypatch) as server:
        yield server


@pytest.fixture
def source(server: Server) -> Callable[..., SourceFile]:
    def make(*kinds: str) -> SourceFile:
        addresses = (f"{server.address}/{k}/tiny.{'zip' if k.endswith('zip') else 'csv'}" for k in kinds)
        return SourceFile("tiny.csv", SHA256, tuple(addresses))

    return make


def test_a_download_is_kept(source: Callable[..., SourceFile], server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        path = download(source("whole"), tmp_path / "new" / "cache")
        assert path.read_bytes() == CONTENT
    assert server.seen == ["/whole/tiny.csv"]
    assert [p.name for p in path.parent.iterdir()] == ["tiny.csv"]


def test_a_damaged_file_in_the_cache_is_replaced(source: Callable[..., SourceFile], tmp_path: Path) -> None:
    (tmp_path / "tiny.csv").write_bytes(b"damaged")
    assert download(source("whole"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "kinds", [("missing", "whole"), ("altered", "zip"), ("missing", "folderzip"), ("cut", "otherzip", "cutzip", "zip")]
)
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


def test_nobody_answers(source: Callable[..., SourceFile], server: Server, tmp_path: Path) -> None:
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


def test_two_processes_at_once(source: Callable[..., SourceFile], server: Server, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from pyro_mnar.datasets.files import SourceFile, download\n"
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


@pytest.mark.parametrize("module", ["pooch", "PIL.Image"])
def test_what_the_extra_brings_is_named_where_it_is_missing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    name = module.partition(".")[0]
    with pytest.raises(DatasetError, match=rf"read with {name}, which is not installed: .*pyro-mnar\[studies\]"):
        needed(module)
