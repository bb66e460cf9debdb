"""A Hub on loopback, empty for every test, and a door to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from hubbot.hub.client import Hub
from hubbot.localhub.server import Exchange, Server


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.faults.clear()
    for repo in running.repos.all():
        running.repos.delete(repo.id)
    return running


@pytest.fixture
def hub(server: Server) -> Iterator[Hub]:
    with Hub(server.endpoint, token="hf_bot", sleep=lambda _: None) as ours:
        yield ours


class Seen:
    """What the server has answered since the last `clear`.

    An exchange is written down before its last byte leaves; one whose client went away, a moment later.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.clear()

    def __call__(self) -> list[Exchange]:
        """All of it, once the server has been quiet for a moment."""
        before = -1
        while before != len(self._server.log):
            before = len(self._server.log)
            time.sleep(0.03)
        return list(self._server.log)

    def clear(self) -> None:
        self()
        self._server.log.clear()

    def sent(self, expected: int) -> bool:
        """Whether so many bytes of file contents were sent."""
        return self._comes_true(lambda: sum(at.bytes_sent for at in self() if _is_file(at)) == expected)

    def on_cdn(self) -> list[Exchange]:
        return [at for at in self() if self._server.cdn_endpoint.endswith(f":{at.port}")]

    def _comes_true(self, holds: Callable[[], bool]) -> bool:
        until = time.monotonic() + 5
        while not holds() and time.monotonic() < until:
            pass
        return holds()


def _is_file(at: Exchange) -> bool:
    return at.path.startswith("/api/resolve-cache/") or not at.path.startswith("/api/")


@pytest.fixture
def seen(server: Server) -> Seen:
    return Seen(server)
