"""A server on this machine, for tests of downloads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server(ThreadingHTTPServer):
    """It remembers what it was asked for."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.seen: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Silent; subclasses answer."""

    server: Server

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serving(handler: type[Handler], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve until the block ends, without a proxy between."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
