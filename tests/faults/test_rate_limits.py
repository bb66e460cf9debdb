"""Many threads and a Hub that counts: served without a refusal, and patient together after one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub.utils import get_session

from hubbot.errors import RateLimited
from hubbot.hub import pulls, snapshots, texts
from hubbot.hub.client import Hub
from hubbot.hub.uploads import one
from hubbot.localhub.limits import Limits
from hubbot.localhub.server import Server

THREADS = 6


LIMITS = {"api": (15, 3.0), "resolvers": (20, 3.0)}


@pytest.fixture
def counting(tmp_path: Path) -> Server:
    server = Server(tmp_path / "hub", limits=LIMITS)
    server.repos.create("o/m")
    server.repos.commit("o/m", {"README.md": b"# A model"})
    return server


def at_once(ask: Callable[[int], object], times: int) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(ask, range(times)))


def of_kind(hub: Hub, kind: str) -> tuple[int, int, bool]:
    rate = next(rate for rate in hub.rates() if rate.kind == kind)
    return rate.requests, rate.refused, rate.waited_s > 0


class Played:
    """Time that passes only while everybody sleeps: how busy the machine is makes no difference."""

    def __init__(self, people: int) -> None:
        self._now, self._awake, self._alarms = 1000.0, people, list[float]()
        self._changed = threading.Condition()

    def now(self) -> float:
        with self._changed:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._changed:
            alarm = self._now + seconds
            self._alarms.append(alarm)
            self._rest()
            self._changed.wait_for(lambda: self._now >= alarm)

    def leave(self) -> None:
        """Somebody goes home, and is waited for no more."""
        with self._changed:
            self._rest()

    def _rest(self) -> None:
        self._awake -= 1
        if not self._awake and self._alarms:
            self._now = min(self._alarms)
            self._awake = self._alarms.count(self._now)
            self._alarms = [alarm for alarm in self._alarms if alarm > self._now]
            self._changed.notify_all()


def test_a_budget_that_suffices_is_never_overdrawn(counting: Server) -> None:
    """Three windows' worth, by both clients, files counted apart."""
    played, numbers = Played(THREADS), iter(range(40))
    counting.limits = Limits(LIMITS, played.now)

    def person(_: int) -> None:
        try:
            for number in numbers:
                ask(number)
        finally:
            played.leave()

    def ask(number: int) -> None:
        if number % 3 == 0:
            assert pulls.earlier(hub, "o/m", "nobody") == []  # through huggingface_hub
        else:
            assert one(hub, "o/m").repo == "o/m"
        if number % 2 == 0:
            assert texts.read(hub, "o/m", "main", "README.md", 100)

    with counting, Hub(counting.endpoint, sleep=played.sleep, clock=played.now) as hub:
        at_once(person, THREADS)
        assert played.now() >= 1006, "the third window has begun"
        statuses = [entry.status for entry in counting.log]
        assert 429 not in statuses
        assert of_kind(hub, "api") == (40, 0, True)
        assert sum(rate.requests for rate in hub.rates()) == len(statuses)


class Strict:
    """A Hub that puts its first asker off, and writes down when it was asked."""

    def __init__(self, wait_s: int, status: int) -> None:
        self.asked: list[float] = []
        strict = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                strict.asked.append(time.monotonic())
                first = len(strict.asked) == 1
                self.send_response(status if first else 404)
                if first:
                    self.send_header("Retry-After", str(wait_s))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> Strict:
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("by_library", [False, True])
def test_after_one_refusal_nobody_asks_before_its_time(status: int, by_library: bool) -> None:
    """Only the first thread hears it; the others come while it waits, by the one client or the other."""
    heard = threading.Event()

    def sleep(seconds: float) -> None:
        heard.set()
        time.sleep(seconds)

    def ask(_: int) -> None:
        with pytest.raises(Exception, match="no such repo"):
            hub.reading(lambda: hub.api.model_info("o/m"), repo="o/m") if by_library else one(hub, "o/m")

    with Strict(1, status) as server, Hub(server.endpoint, sleep=sleep) as hub:
        first = threading.Thread(target=ask, args=(0,))
        first.start()
        assert heard.wait(10)
        by_library = not by_library
        at_once(ask, THREADS)
        first.join()
        assert len(server.asked) == THREADS + 2
        assert min(server.asked[1:]) - server.asked[0] >= 1
        assert of_kind(hub, "api") == (THREADS + 2, 1, True)


def test_the_library_does_not_sleep_a_limit_out_by_itself(counting: Server, tmp_path: Path) -> None:
    """Left alone, its downloads wait as long as they are told to, whatever our patience."""
    counting.faults.add("rate-limit", path="*/resolve/*", seconds=250)
    began = time.monotonic()
    with counting, Hub(counting.endpoint) as hub:
        with pytest.raises(RateLimited, match="o/m"):
            snapshots.snapshot(hub, "o/m", ["README.md"], tmp_path / "cache")
        assert of_kind(hub, "resolvers") == (1, 1, False)
    assert time.monotonic() - began < 10


def test_a_hub_that_is_closed_hands_the_librarys_client_back(counting: Server) -> None:
    with counting, Hub(counting.endpoint) as outer:
        with Hub(counting.endpoint) as inner:
            pulls.earlier(inner, "o/m", "nobody")
            assert (of_kind(inner, "api")[0], outer.rates()) == (1, ())
        pulls.earlier(outer, "o/m", "nobody")
        assert of_kind(outer, "api")[0] == 1
        hooks = [hook.__module__ for hook in get_session().event_hooks["request"]]
        assert hooks[0].startswith("huggingface_hub"), "the library's own is there still"
        assert hooks[1:] == ["hubbot.hub.client"] * 2
