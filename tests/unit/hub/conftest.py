"""A Hub on loopback and a door to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hubbot.hub.client import Hub
from hubbot.localhub.server import Exchange, Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def hub(server: Server) -> Iterator[Hub]:
    with Hub(server.endpoint, token="hf_bot", sleep=lambda _: None) as ours:
        yield ours


class Seen:
    """What the server has answered, asked for only when it has written everything down.

    An exchange is logged after its last byte was sent, so a quick client looks too early. The marker is
    answered by the same loop after all that came before it.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(self) -> list[Exchange]:
        httpx.get(self._server.endpoint + "/marker")
        while not any(exchange.path == "/marker" for exchange in list(self._server.log)):
            time.sleep(0.001)
        kept = [exchange for exchange in list(self._server.log) if exchange.path != "/marker"]
        self._server.log.clear()
        self._server.log.extend(kept)
        return kept

    def clear(self) -> None:
        self()
        self._server.log.clear()

    def body_bytes(self) -> int:
        """Bytes of file contents that were sent."""
        return sum(exchange.bytes_sent for exchange in self() if not exchange.path.startswith("/api/"))

    def on_cdn(self) -> list[Exchange]:
        return [exchange for exchange in self() if self._server.cdn_endpoint.endswith(f":{exchange.port}")]


@pytest.fixture
def seen(server: Server) -> Seen:
    return Seen(server)
