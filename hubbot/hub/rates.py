"""How often the Hub may be asked: one budget for each kind of request, kept to by all threads together.

The Hub counts requests by kind, in windows of five minutes, and says with every answer how many remain:

    api         /api/…
    resolvers   files of repos: /…/resolve/… and /api/resolve-cache/…
    pages       all else
    strict      commits, comments and whoami, which count as `api` too but have limits that no header tells

A request passes `before` and its answer `after`, as event hooks of both HTTP clients. What other origins
answer, the content servers for instance, is nobody's budget.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from hubbot.errors import RateLimited
from hubbot.hub.addresses import Url, origin
from hubbot.hub.faults import Response, is_refusal_for_now, wait_s

API, RESOLVERS, PAGES, STRICT = KINDS = ("api", "resolvers", "pages", "strict")
WINDOW_S = 300.0
"""Where no `RateLimit-Policy` says otherwise."""
LOW = 0.2
"""When less than this share of a window's requests remains, they are spread over its rest."""
ROUNDING_S = 1.0
"""The Hub tells whole seconds, and does not tell which way it rounds them."""
JITTER_S = 1.0
"""So that those who waited for one moment do not all ask at it."""
SHORTEST_WAIT_S = 1e-6
"""Less than that is what floating point leaves over of a wait, and sleeping it out may never end."""
LONGEST_PAUSE_S = 3600.0
"""No answer, whatever it says, keeps us away for longer; then we ask again."""

_STRICT = re.compile(r"/api/whoami-v2|POST/api/.+/(commit|discussions)(/.*)?")
_TICKETS = "hubbot.tickets"


@dataclass(frozen=True, slots=True)
class Rate:
    """How a budget stands.

    Args:
        remaining: requests of this window; None as long as the Hub has not said.
        reset_in_s: until the next window.
        requests: that we asked for so far.
        refused: of those, that the Hub put off (429, or 503 with `Retry-After`).
        waited_s: that threads were held back before they asked, all together.
    """

    kind: str
    remaining: int | None
    reset_in_s: float | None
    requests: int
    refused: int
    waited_s: float


class Request(Protocol):
    """What both clients' requests have in common."""

    @property
    def method(self) -> str: ...
    @property
    def url(self) -> Any: ...
    @property
    def extensions(self) -> Any: ...


class Clock:
    """Seconds that never go backwards, and that sleeping passes, however the two are counted elsewhere.

    A clock that was set back would keep a thread waiting twice, and so would a sleep that a test plays.
    """

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep, self._clock, self._lock = sleep, clock, threading.Lock()
        self._ahead, self._last = 0.0, clock()

    def now(self) -> float:
        with self._lock:
            return self._read()

    def sleep(self, seconds: float) -> None:
        until = self.now() + seconds
        self._sleep(seconds)
        with self._lock:
            self._go_on_from(until, self._read())

    def _read(self) -> float:
        self._last = self._go_on_from(self._last, self._clock() + self._ahead)
        return self._last

    def _go_on_from(self, least: float, now: float) -> float:
        self._ahead += max(0.0, least - now)
        return max(least, now)


class Rates:
    """The budgets at one endpoint. Safe to share between threads; none holds a lock while it waits.

    Args:
        endpoint: the only origin that is counted.
        clock: what to wait by.
        longest_wait_s: who would have to wait longer gets `RateLimited` instead.
    """

    def __init__(self, endpoint: str, clock: Clock, longest_wait_s: float) -> None:
        self._home, self._clock, self._longest_wait_s = origin(httpx.URL(endpoint)), clock, longest_wait_s
        self._budgets = {kind: _Budget(kind) for kind in KINDS}
        self._lock = threading.Lock()

    def covers(self, url: Url) -> bool:
        return origin(url) == self._home

    def before(self, request: Request) -> None:
        """Wait until this request may be asked.

        Raises:
            RateLimited: that would take too long.
        """
        if self.covers(request.url):
            tickets = {kind: self._enter(self._budgets[kind]) for kind in kinds(request)}
            request.extensions[_TICKETS] = tickets

    def after(self, response: Any) -> None:
        """Learn from the head of an answer; its body need not have come."""
        if not self.covers(response.request.url):
            return
        tickets: Mapping[str, int] = response.request.extensions.get(_TICKETS, {})
        budget, rate = self._budgets[kinds(response.request)[0]], _told(response)
        with self._lock:
            now = self._clock.now()
            if rate:
                counted = self._budgets.get(rate.resource_type, budget)
                counted.learn(rate, tickets.get(counted.kind, counted.granted), now)
            if is_refusal_for_now(response):
                budget.refuse(wait_s(response.headers), now)

    def told(self) -> tuple[Rate, ...]:
        """How the budgets stand that were used so far."""
        with self._lock:
            now = self._clock.now()
            return tuple(budget.told(now) for budget in self._budgets.values() if budget.granted)

    def _enter(self, budget: _Budget) -> int:
        """Stand in line and wait one's turn; anew where the Hub put the whole kind off meanwhile."""
        ticket, at = self._turn(budget)
        while (wait := at - self._clock.now()) > SHORTEST_WAIT_S:
            self._clock.sleep(wait)
            if budget.paused_until > at:
                ticket, at = self._turn(budget)
        return ticket

    def _turn(self, budget: _Budget) -> tuple[int, float]:
        with self._lock:
            now = self._clock.now()
            at = budget.turn(now)
            if at - now > self._longest_wait_s:
                why = f"the Hub's limit for {budget.kind} leaves nothing for {at - now:.0f} s"
                raise RateLimited(why, retry_after_s=at - now)
            budget.waited_s += at - now
            return budget.take(at), at


@dataclass(slots=True)
class _Budget:
    """What is known of one kind; `limit` requests a window, of which the line has taken some already.

    The line may reach into the next windows; what answers then tell of a window before is old news.
    """

    kind: str
    limit: int = 0
    window_s: float = WINDOW_S
    remaining: int | None = None
    reset_at: float = 0.0
    next_at: float = 0.0
    paused_until: float = 0.0
    granted: int = 0
    refused: int = 0
    waited_s: float = 0.0

    def turn(self, now: float) -> float:
        """When the next in line may ask."""
        at = max(now, self.next_at)
        spent = self.remaining is not None and self.remaining <= 0
        barred = max(self.paused_until, self.reset_at if spent else 0.0)
        return at if at >= barred else barred + random.uniform(0.0, min(JITTER_S, barred - at))  # noqa: S311 - spreads requests, keeps no secret

    def take(self, at: float) -> int:
        """A turn is taken; its number."""
        self.granted += 1
        if self.remaining is None:
            return self.granted
        if at >= self.reset_at:
            self.reset_at += self.window_s * (1 + (at - self.reset_at) // self.window_s)
            self.remaining = self.limit
        if self.remaining <= self.limit * LOW:
            self.next_at = at + (self.reset_at - at) / max(1, self.remaining)
        self.remaining -= 1
        return self.granted

    def learn(self, rate: Any, ticket: int, now: float) -> None:
        """What the Hub counted when it answered the request of this ticket."""
        self.window_s = min(max(1.0, float(rate.window_seconds or self.window_s)), LONGEST_PAUSE_S)
        reset_at = now + min(float(rate.reset_in_seconds), LONGEST_PAUSE_S) + ROUNDING_S
        if self.remaining is not None and reset_at < self.reset_at - self.window_s / 2:
            return  # of a window that is over
        self.limit = rate.limit or max(self.limit, rate.remaining)
        self.reset_at = reset_at
        # Whoever took a turn after that one may not have been counted yet.
        self.remaining = rate.remaining - max(0, self.granted - ticket)

    def refuse(self, wait: float | None, now: float) -> None:
        """All of this kind wait, not just the one that was told to."""
        self.refused += 1
        if wait is None:
            return
        self.paused_until = max(self.paused_until, now + min(wait, LONGEST_PAUSE_S))
        if self.remaining is not None and self.remaining <= 0:
            self.reset_at = min(self.reset_at, self.paused_until)

    def told(self, now: float) -> Rate:
        known = self.remaining is not None
        left = max(0, self.remaining or 0) if now < self.reset_at else self.limit
        reset_in_s = max(0.0, self.reset_at - now)
        return Rate(
            self.kind,
            left if known else None,
            reset_in_s if known else None,
            self.granted,
            self.refused,
            self.waited_s,
        )


def kinds(request: Request) -> tuple[str, ...]:
    """The budgets that a request is taken from; its own comes first."""
    path = str(request.url.path)
    if "/resolve/" in path or path.startswith("/api/resolve-cache/"):
        return (RESOLVERS,)
    if not path.startswith("/api/"):
        return (PAGES,)
    asked = path if request.method in ("GET", "HEAD") else f"{request.method}{path}"
    return (STRICT, API) if _STRICT.fullmatch(asked) else (API,)


def _told(response: Response) -> Any:
    """The `RateLimit` of an answer; None where there is none that can be read."""
    try:
        return parse_ratelimit_headers(response.headers)
    except ValueError:  # a number of thousands of digits
        return None
