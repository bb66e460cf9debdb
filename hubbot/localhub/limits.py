"""How many requests a window the local Hub answers, counted as the Hub counts them, when switched on.

    Server(folder, limits={"api": (500, 300)})

Requests are counted by who asks and by kind, in fixed windows that begin with their first request. Every
answer of a kind that is limited says how many remain; the content server has no such limits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from math import ceil

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Limits:
    """Requests and seconds of a window, by kind: `api`, `resolvers` and `pages`. Safe across threads.

    Args:
        clock: seconds, by which windows begin and end.
    """

    def __init__(
        self, limits: Mapping[str, tuple[int, float]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits, self._clock = dict(limits), clock
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = threading.Lock()

    def count(self, who: str, path: str) -> tuple[bool, dict[str, str]]:
        """Whether one more request is answered, and the headers that tell how many will be."""
        kind = kind_of(path)
        if kind not in self.limits:
            return True, {}
        quota, window_s = self.limits[kind]
        with self._lock:
            now = self._clock()
            began, asked = self._windows.get((who, kind), (now, 0))
            if now >= began + window_s:
                began, asked = now, 0
            self._windows[who, kind] = began, asked + 1
        left, reset = max(0, quota - asked - 1), ceil(began + window_s - now)
        headers = {
            "RateLimit": f'"{kind}";r={left};t={reset}',
            "RateLimit-Policy": f'"fixed window";"{kind}";q={quota};w={ceil(window_s)}',
        }
        return (True, headers) if asked < quota else (False, {**headers, "Retry-After": str(reset)})


def kind_of(path: str) -> str:
    """What a request counts as."""
    if "/resolve/" in path or path.startswith("/api/resolve-cache/"):
        return "resolvers"
    return "api" if path.startswith("/api/") else "pages"


class LimitedApp:
    """An ASGI application behind its limits."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        who = Headers(scope=scope).get("authorization") or (scope.get("client") or ("",))[0]
        answered, told = self._limits.count(who, scope["path"])
        if not answered:
            await JSONResponse({"error": "We had to rate limit you"}, 429, told)(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self._app(scope, receive, telling)
