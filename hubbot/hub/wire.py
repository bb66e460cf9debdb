"""Reading over HTTP with redirects followed by hand.

`resolve` answers with the address of a content server, and that address is a stranger's word: the token
stays with the endpoint's own origin, https is never left for http, and a Hub out on the network cannot
send us into this machine's neighbourhood.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from hubbot.errors import HubUnavailable, UnsafeRedirect
from hubbot.hub.addresses import Watch, is_watched, origin, refusal
from hubbot.hub.faults import AnswerTooLarge, from_response, shown, translated
from hubbot.hub.rates import Rates

MAX_REDIRECTS = 5
MAX_REDIRECT_BYTES = 10_000
MAX_LED, LED_S = 256, 300.0
"""Of so many files the address is remembered, for so long, that they came from; the Hub signs for an hour."""
MAX_JSON_BYTES = 64_000_000
"""A page of the listing with cards and file names is a few megabytes."""
SLOWEST_BYTES_PER_S = 20_000
"""A body that drips slower than this is given up."""
ENCODINGS = ("", "identity", "gzip", "deflate")
"""One of these makes a thousand bytes of one; others, and several on top of another, make billions."""
MAX_DEPTH = 64
_JSON_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


class Wire:
    """GET and JSON POST against one endpoint.

    Args:
        endpoint: the Hub's address.
        token: sent to that address alone; may be empty.
        user_agent: who we are.
        timeout_s: patience with connecting, with each piece of an answer and for a place in the pool.
        rates: how often the endpoint may be asked.
    """

    def __init__(self, endpoint: str, *, token: str, user_agent: str, timeout_s: float, rates: Rates) -> None:
        self.endpoint, self.timeout_s = endpoint.rstrip("/"), timeout_s
        self._home = httpx.URL(self.endpoint)
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self._led: dict[httpx.URL, tuple[httpx.URL, float]] = {}
        self.http = httpx.Client(
            headers={"User-Agent": user_agent, "Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(timeout_s),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
            event_hooks={"request": [rates.before], "response": [rates.after]},
        )

    @contextmanager
    def opened(
        self,
        path: str,
        *,
        repo: str | None = None,
        file: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        accepted: Collection[int] = (),
    ) -> Iterator[httpx.Response]:
        """The final answer to a GET, or to a POST of `body` as JSON, its content not yet read.

        Args:
            path: below the endpoint, or an absolute address.
            accepted: statuses of 400 and more that are an answer too.

        Raises:
            UnsafeRedirect: it leads where we do not go, or round in circles.
            HubError: see `translated`; what the caller's block raises is translated as well.
        """
        url = httpx.URL(self.endpoint + path if path.startswith("/") else path)
        url = url.copy_merge_params(params) if params else url
        with translated(repo=repo, file=file):
            response = self._follow(url, headers or {}, body, repo, file)
            try:
                if response.status_code >= 400 and response.status_code not in accepted:
                    raise from_response(response, repo=repo, file=file)
                if (encoding := response.headers.get("Content-Encoding", "").lower()) not in ENCODINGS:
                    raise HubUnavailable(f"packed as {shown(encoding)[:60]!r}", repo=repo, file=file)
                yield response
            finally:
                response.close()

    def _follow(
        self, url: httpx.URL, headers: Mapping[str, str], body: Any, repo: str | None, file: str | None
    ) -> httpx.Response:
        method, asked = "GET" if body is None else "POST", url
        ranged = body is None and "Range" in headers
        if ranged and (response := self._led_before(url, headers)):
            return response
        for _ in range(MAX_REDIRECTS + 1):
            ours = self._authorization if origin(url) == origin(self._home) else {}
            request = self._request(method, url, headers={**headers, **ours}, json=body)
            response = self.http.send(request, stream=True)
            if not response.has_redirect_location:
                if ranged and url != asked and response.status_code == httpx.codes.PARTIAL_CONTENT:
                    self._remember(asked, url)
                return response
            _put_back(response)
            if body is not None:
                raise UnsafeRedirect("a POST is not sent on", repo=repo, file=file)
            target = url.join(response.headers["Location"])
            if why := refusal(url, target, home=self._home):
                raise UnsafeRedirect(f"{why}: {shown(str(target))}", repo=repo, file=file)
            url = target
        raise UnsafeRedirect(f"more than {MAX_REDIRECTS} redirects", repo=repo, file=file)

    def _request(self, method: str, url: httpx.URL, **asked: Any) -> httpx.Request:
        watch = {"trace": Watch(url.host)} if is_watched(url, self._home) else {}
        return self.http.build_request(method, url, extensions=watch, **asked)

    def _led_before(self, asked: httpx.URL, headers: Mapping[str, str]) -> httpx.Response | None:
        """The next range of a file from where its last one came: half the requests, and less of the limits.

        Whatever is not just that range sends us back to ask the Hub anew.
        """
        target, until = self._led.get(asked, (None, 0.0))
        if target is None or until < time.monotonic() or refusal(asked, target, home=self._home):
            return None
        self._led.pop(asked, None)
        try:
            response = self.http.send(self._request("GET", target, headers=headers), stream=True)
        except httpx.TransportError:
            return None
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            response.close()
            return None
        self._led[asked] = target, until
        return response

    def _remember(self, asked: httpx.URL, target: httpx.URL) -> None:
        while len(self._led) >= MAX_LED:
            self._led.pop(next(iter(self._led), asked), None)
        self._led[asked] = target, time.monotonic() + LED_S

    def json(self, path: str, *, repo: str | None = None, **asked: Any) -> tuple[Any, str | None]:
        """The JSON answer, and the address of the next page where there is one.

        Raises:
            HubUnavailable: too slow, or no JSON.
            AnswerTooLarge: over MAX_JSON_BYTES.
            UnsafeRedirect: the next page lies outside the endpoint.
        """
        with self.opened(path, repo=repo, **asked) as response:
            following = self._following(response, repo)
            raw = bytearray()
            for piece in self.pieces(response):
                raw += piece
                if len(raw) > MAX_JSON_BYTES:
                    error = AnswerTooLarge(f"an answer over {MAX_JSON_BYTES} bytes", repo=repo)
                    error.following = following
                    raise error
            return _parse(bytes(raw)), following

    def pieces(self, response: httpx.Response) -> Iterator[bytes]:
        """The body as it arrives, unpacked, unless it drips."""
        start, came = time.monotonic(), 0
        for piece in response.iter_bytes():
            yield piece
            came += len(piece)
            if time.monotonic() - start > self.timeout_s + came / SLOWEST_BYTES_PER_S:
                raise httpx.ReadTimeout("the body came too slowly")

    def _following(self, response: httpx.Response, repo: str | None) -> str | None:
        following = response.links.get("next", {}).get("url")
        if following is None:
            return None
        page = response.url.join(following)
        ours = page.userinfo in (b"", self._home.userinfo)
        if origin(page) != origin(self._home) or not ours:
            raise UnsafeRedirect(f"the next page is elsewhere: {shown(str(page))}", repo=repo)
        return str(page)


def _parse(raw: bytes) -> Any:
    """JSON of any depth. One card of a thousand brackets must not hide the page that lists it."""
    try:
        return json.loads(raw)
    except RecursionError:
        return json.loads(_pruned(raw))


def _pruned(raw: bytes) -> bytes:
    """The same JSON with `null` for whatever lies deeper than MAX_DEPTH."""
    kept, depth, done = bytearray(), 0, 0
    for found in _JSON_STRUCTURE.finditer(raw):
        mark = found[0]
        if mark in b"[{":
            if depth == MAX_DEPTH:
                kept += raw[done : found.start()] + b"null"
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth == MAX_DEPTH:
                done = found.end()
    return bytes(kept if depth > MAX_DEPTH else kept + raw[done:])  # what is never closed ends there


def _put_back(response: httpx.Response) -> None:
    """End with a redirect; its connection can be used again if the few words that it says are read."""
    length = response.headers.get("Content-Length", "")
    packed = response.headers.get("Content-Encoding", "identity") != "identity"
    if not packed and length.isdecimal() and int(length) <= MAX_REDIRECT_BYTES:
        response.read()
    response.close()
