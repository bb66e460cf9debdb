"""What can go wrong on the way, switched on while the server runs.

    server.faults.add("rate-limit", path="/api/models*", times=2, seconds=1)

The faults stand in front of the routes, so that clients meet them exactly as they would on the Hub.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hubbot.localhub.refused import Refused

Kind = Literal["latency", "rate-limit", "error", "cut", "ignore-range"]


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong.

    Args:
        kind: `latency` waits `seconds` first; `rate-limit` answers 429 and says when to come back, in
            `seconds`; `error` answers 500; `cut` breaks the connection off after `bytes` of the body;
            `ignore-range` answers 200 with the whole file.
        path: glob over the address's path; `*` also crosses slashes.
        method: only this one, if given.
        probability: of striking a request that matches.
        times: how often it still strikes; None for ever.
        remaining: the `r` of the RateLimit header, since a 429 can come while some are left.
    """

    kind: Kind
    path: str = "*"
    method: str | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 1.0
    bytes: int = 1000
    remaining: int = 0


class Faults:
    """The faults that are switched on, in the order in which they are tried. Safe across threads."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._faults, self._random, self._lock = list(faults), random.Random(seed), threading.Lock()  # noqa: S311 - dice, not secrets
        self.struck = 0

    def add(self, kind: Kind, **how: Any) -> Fault:
        """Switch a fault on; see `Fault` for what it takes."""
        if kind not in get_args(Kind):
            raise Refused(400, f"No such fault: {str(kind)[:80]}")
        fault = Fault(kind, **how)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> int:
        """Switch all off, and return how often they have struck since the last time."""
        with self._lock:
            self._faults.clear()
            struck, self.struck = self.struck, 0
        return struck

    def strike(self, method: str, path: str) -> list[Fault]:
        """The faults that this request meets; each one that does is counted down."""
        with self._lock:
            met = [fault for fault in self._faults if self._meets(fault, method, path)]
            for fault in met:
                fault.times = None if fault.times is None else fault.times - 1
            self.struck += len(met)
        return met

    def _meets(self, fault: Fault, method: str, path: str) -> bool:
        matches = fault.times != 0 and fault.method in {None, method} and fnmatchcase(path, fault.path)
        return matches and self._random.random() < fault.probability


class FaultyApp:
    """An ASGI application behind its faults."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for fault in self._faults.strike(scope["method"], scope["path"]):
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "ignore-range":
                scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}
                send = _without_ranges(send)
            elif fault.kind == "cut":
                send = _Cutting(send, fault.bytes)
            else:
                await _refusal(fault)(scope, receive, send)
                return
        try:
            await self._app(scope, receive, send)
        except _CutOff:
            return  # the server closes a connection whose answer was left unfinished


def _refusal(fault: Fault) -> JSONResponse:
    if fault.kind == "error":
        return JSONResponse(
            {"error": "Internal Error - We're working hard to fix this as soon as possible!"}, 500
        )
    wait = max(0, round(fault.seconds))
    headers = {
        "Retry-After": str(wait),
        "RateLimit": f'"api";r={fault.remaining};t={wait}',
        "RateLimit-Policy": '"fixed window";"api";q=500;w=300',
    }
    return JSONResponse({"error": "We had to rate limit you"}, 429, headers)


def _without_ranges(send: Send) -> Send:
    async def plainly(message: Message) -> None:
        if message["type"] == "http.response.start":
            del MutableHeaders(scope=message)["accept-ranges"]
        await send(message)

    return plainly


class _CutOff(Exception):
    """The body was cut here."""


class _Cutting:
    """Passes an answer on until so many bytes of its body have gone."""

    def __init__(self, send: Send, left: int) -> None:
        self._send, self._left = send, left

    async def __call__(self, message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.body" and len(body) > self._left:
            await self._send({**message, "body": body[: self._left], "more_body": True})
            raise _CutOff
        self._left -= len(body)
        await self._send(message)
