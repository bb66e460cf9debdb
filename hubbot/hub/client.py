"""One Hub: its API through huggingface_hub, and our own reading of listings and ranges."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import httpx
from huggingface_hub import HfApi, set_client_factory
from huggingface_hub.utils import httpx as hub_httpx  # type: ignore[attr-defined]
from huggingface_hub.utils._http import default_client_factory

from hubbot.errors import UnsafeRedirect
from hubbot.hub.addresses import Watch, is_watched, origin, refusal
from hubbot.hub.faults import from_response, is_refusal_for_now, shown, translated
from hubbot.hub.patience import LONGEST_ASKED_WAIT_S, Patience
from hubbot.hub.rates import Clock, Rate, Rates
from hubbot.hub.wire import Wire
from hubbot.version import VERSION

T = TypeVar("T")
CACHED_BYTES = 80_000_000
"""Of memory, as whoever puts something in reckons it, rather too much than too little."""


class Cache:
    """What was read last, up to so many bytes in all, for many threads."""

    def __init__(self, budget: int) -> None:
        self._left, self._lock = budget, threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """None where it is not, or no longer, known."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Hashable, value: Any, cost: int) -> None:
        with self._lock:
            self._left += self._kept.pop(key, (None, 0))[1] - cost
            self._kept[key] = value, cost
            while self._left < 0:
                self._left += self._kept.popitem(last=False)[1][1]


class Hub:
    """A Hub at an endpoint, with whoever the token says we are. Safe to share between threads.

    Args:
        endpoint: e.g. `https://huggingface.co`.
        token: empty for a stranger; the token that a person has saved on this machine is never used.
        timeout_s: patience with one piece of an answer.
        retries: further tries of a read after a passing fault; a write is never tried again.
        max_header_bytes: a longer safetensors header is refused.
        max_tensor_bytes: a larger tensor is refused, as stored.
        sleep: how to wait between tries, and for one's turn where the Hub's limits are near.
        clock: seconds, by which windows of the Hub's limits begin and end.
        longest_wait_s: what the Hub may ask us to wait before that is an error.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        token: str = "",
        timeout_s: float = 30.0,
        retries: int = 3,
        max_header_bytes: int = 25_000_000,
        max_tensor_bytes: int = 1_000_000_000,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        longest_wait_s: float = LONGEST_ASKED_WAIT_S,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.max_header_bytes, self.max_tensor_bytes = max_header_bytes, max_tensor_bytes
        time_passes = Clock(sleep, clock)
        self.patience = Patience(retries, time_passes.sleep, longest_wait_s)
        self._rates = Rates(self.endpoint, time_passes, longest_wait_s)
        self.wire = Wire(
            self.endpoint,
            token=token,
            user_agent=f"hubbot/{VERSION}",
            timeout_s=timeout_s,
            rates=self._rates,
        )
        self.http = self.wire.http
        self.cache = Cache(CACHED_BYTES)
        _homes[origin(httpx.URL(self.endpoint))] = httpx.URL(self.endpoint)
        _steer_client(timeout_s)
        _open.append(self._rates)
        self.api = HfApi(self.endpoint, token=token or False, library_name="hubbot", library_version=VERSION)

    def reading(self, call: Callable[[], T], *, repo: str | None = None) -> T:
        """A read through `api`: errors in hubbot's words, tried again after a passing fault."""

        def once() -> T:
            with translated(repo=repo):
                return call()

        return self.patience.with_reads(once)

    def json(self, path: str, *, repo: str | None = None, **asked: Any) -> tuple[Any, str | None]:
        """A JSON answer and the next page's address, see `Wire.json`; tried again after a passing fault."""
        return self.patience.with_reads(lambda: self.wire.json(path, repo=repo, **asked))

    def rates(self) -> tuple[Rate, ...]:
        """How the budgets stand that the Hub gives us, kind by kind; for whoever shows them."""
        return self._rates.told()

    def close(self) -> None:
        self.http.close()
        if self._rates in _open:
            _open.remove(self._rates)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_homes: dict[tuple[str, str, int | None], httpx.URL] = {}
"""The endpoints of this process; a bot has one."""


def _stay_near_home(request: Any) -> None:
    """What `Wire` does itself: the client asks this before each request, those after a redirect among them.

    The client is one for the whole process: what others ask through it is theirs.

    Raises:
        UnsafeRedirect: none of the endpoints may send us there.
    """
    url = httpx.URL(str(request.url))
    ours = request.headers.get("User-Agent", "").startswith("hubbot/")
    if not ours or origin(url) in _homes:
        return
    # It goes along when the library follows a redirect by hand to what it takes for another host of the Hub.
    request.headers.pop("Authorization", None)
    reasons = [refusal(home, url, home=home) for home in _homes.values()]
    if all(reasons):
        raise UnsafeRedirect(f"{reasons[0]}: {shown(str(url))}")
    if all(is_watched(url, home) for home in _homes.values()):
        request.extensions = {**request.extensions, "trace": Watch(url.host)}


_timeout_in_force_s: float | None = None
_timeout_lock = threading.Lock()
_open: list[Rates] = []
"""Of the Hubs that are open. The library's client is one for them all, and knows a Hub by its address."""


def _steer_client(timeout_s: float) -> None:
    """Give huggingface_hub's client, one for the whole process, the manners that it does not have.

    These are a timeout, our budgets, care with redirects, and no retries of its own, for which it would sleep
    in our thread for minutes.
    """
    global _timeout_in_force_s
    with _timeout_lock:
        if _timeout_in_force_s == timeout_s:
            return  # a new factory would close the client that other threads are using

        def factory() -> Any:
            client = default_client_factory()  # the library's own, for its event hooks
            client.timeout = hub_httpx.Timeout(timeout_s)
            hooks = client.event_hooks
            client.event_hooks = {
                "request": [*hooks["request"], _stay_near_home, _before],
                "response": [*hooks["response"], _after],
            }
            return client

        set_client_factory(factory)
        _timeout_in_force_s = timeout_s


def _before(request: Any) -> None:
    if rates := _rates_of(request):
        rates.before(request)


def _after(response: Any) -> None:
    if rates := _rates_of(response.request):
        rates.after(response)
        if is_refusal_for_now(response):
            raise from_response(response)


def _rates_of(request: Any) -> Rates | None:
    """Of the Hub at that address; of several, the one that was opened last."""
    return next((rates for rates in reversed(_open[:]) if rates.covers(request.url)), None)
