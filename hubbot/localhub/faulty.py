"""How each fault of `hubbot.localhub.faults` acts on a request, or on its answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hubbot.localhub.clock import from_wire, now
from hubbot.localhub.faults import Fault, Faults


class FaultyApp:
    """An ASGI application behind its faults."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for fault in self._faults.strike(scope["method"], scope["path"]):
            if fault.kind in _REFUSALS:
                await _REFUSALS[fault.kind](fault)(scope, receive, send)
                return
            if fault.kind in ("hang", "lost-reply"):
                if fault.kind == "lost-reply":
                    await self._app(scope, receive, _nowhere)
                await _hang(fault, receive, send)
                return
            if fault.kind == "latency":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "twice":
                body, rest = await _body(receive), receive
                await self._app(scope, _kept(body, rest), _nowhere)
                receive = _kept(body, rest)
            scope = _ASKED.get(fault.kind, _as_it_is)(scope)
            send = _ANSWERED[fault.kind](send, fault) if fault.kind in _ANSWERED else send
        with suppress(_CutOff):  # the server closes a connection whose answer was left unfinished
            await self._app(scope, receive, send)


# --- instead of an answer -------------------------------------------------------------------------


def _rate_limit(fault: Fault) -> JSONResponse:
    wait = max(0, round(fault.seconds))
    headers = {
        "Retry-After": str(wait),
        "RateLimit": f'"api";r={fault.remaining};t={wait}',
        "RateLimit-Policy": '"fixed window";"api";q=500;w=300',
    }
    return JSONResponse({"error": "We had to rate limit you"}, 429, headers)


def _error(_: Fault) -> JSONResponse:
    told = "Internal Error - We're working hard to fix this as soon as possible!"
    return JSONResponse({"error": told}, 500)


def _stale_commit(_: Fault) -> JSONResponse:
    return JSONResponse({"error": "A commit has happened since. Please refresh and try again."}, 412)


_REFUSALS: dict[str, Callable[[Fault], JSONResponse]] = {
    "rate-limit": _rate_limit,
    "error": _error,
    "stale-commit": _stale_commit,
}


async def _hang(fault: Fault, receive: Receive, send: Send) -> None:
    """Nothing, until the client gives up or `seconds` are over; then the connection breaks."""

    async def given_up() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    with suppress(TimeoutError):
        await asyncio.wait_for(given_up(), fault.seconds)
        return
    # A server always answers something; one that owes a body, and ends, closes the connection.
    await send({"type": "http.response.start", "status": 504, "headers": [(b"content-length", b"1")]})


async def _nowhere(_: Message) -> None:
    """Where an answer goes that nobody gets."""


# --- another question -----------------------------------------------------------------------------


def _as_it_is(scope: Scope) -> Scope:
    return scope


def _without_range(scope: Scope) -> Scope:
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}


def _first_page(scope: Scope) -> Scope:
    asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    left = [(name, value) for name, value in asked if name not in ("cursor", "p")]
    return {**scope, "query_string": urlencode(left).encode()}


_ASKED: dict[str, Callable[[Scope], Scope]] = {"ignore-range": _without_range, "repeat-page": _first_page}


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def _kept(body: bytes, rest: Receive) -> Receive:
    """A body that came already, and then what still comes: that the client hangs up."""
    given: list[bytes] = [body]

    async def receive() -> Message:
        if not given:
            return await rest()
        return {"type": "http.request", "body": given.pop(), "more_body": False}

    return receive


# --- another answer -------------------------------------------------------------------------------


def _without_ranges(send: Send, _: Fault) -> Send:
    async def plainly(message: Message) -> None:
        if message["type"] == "http.response.start":
            del MutableHeaders(scope=message)["accept-ranges"]
        await send(message)

    return plainly


def _shifted(send: Send, _: Fault) -> Send:
    """One byte further, says the answer, than was asked for."""

    async def wrongly(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if said := headers.get("content-range"):
                headers["content-range"] = re.sub(r"\d+(?=[-/])", lambda found: str(int(found[0]) + 1), said)
        await send(message)

    return wrongly


class _CutOff(Exception):
    """The body was cut here."""


class _Cutting:
    """Passes an answer on until so many bytes of its body have gone."""

    def __init__(self, send: Send, fault: Fault) -> None:
        self._send, self._left = send, fault.bytes

    async def __call__(self, message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.body" and len(body) > self._left:
            await self._send({**message, "body": body[: self._left], "more_body": True})
            raise _CutOff
        self._left -= len(body)
        await self._send(message)


class _Late:
    """Passes a list of discussions on without the youngest; any other answer as it is."""

    def __init__(self, send: Send, fault: Fault) -> None:
        self._send, self._age = send, timedelta(seconds=fault.seconds)
        self._start: Message = {}
        self._came = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._came += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._without_the_young(self._came)
        MutableHeaders(scope=self._start)["content-length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})

    def _without_the_young(self, body: bytes) -> bytes:
        try:
            listed = json.loads(body)
            talks = listed["discussions"]
        except (ValueError, TypeError, KeyError):
            return body
        shown = [talk for talk in talks if now() - from_wire(talk["createdAt"]) >= self._age]
        hidden = len(talks) - len(shown)
        return json.dumps(listed | {"discussions": shown, "count": listed["count"] - hidden}).encode()


_ANSWERED: dict[str, Callable[[Send, Fault], Send]] = {
    "cut": _Cutting,
    "ignore-range": _without_ranges,
    "wrong-range": _shifted,
    "late-list": _Late,
}
