"""The local Hub as a server: two ports, one thread, and a record of what crossed the wire."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hubbot.localhub import api, community, resolve, wire, writing
from hubbot.localhub.access import Access
from hubbot.localhub.derive import Deriver
from hubbot.localhub.faults import Faults
from hubbot.localhub.faulty import FaultyApp
from hubbot.localhub.info import Describer
from hubbot.localhub.limits import LimitedApp, Limits
from hubbot.localhub.refused import Refused
from hubbot.localhub.repos import Repos
from hubbot.localhub.signing import Signer
from hubbot.localhub.talks import Talks

_REMEMBERED = 100_000
_START_S = 10.0


class Exchange(NamedTuple):
    """One request as it was answered. `bytes_sent` counts the body alone."""

    method: str
    path: str
    status: int
    bytes_sent: int
    had_authorization: bool
    port: int


class Server:
    """A Hub on loopback, running in a thread for as long as the `with` block lasts.

    Models are its `repos`, as on the Hub; beside them it keeps `datasets` and `spaces`, which hold files and
    nothing else: no listing and no pull requests.

    Args:
        folder: where its repos lie; made if missing, found again after a restart.
        port: 0 for any free one; the same for `cdn_port`, which serves large files as another host.
        tokens: token to user; see `Access`.
        faults: what goes wrong; may be changed while the server runs.
        limits: kind of request to how many of them in how many seconds; see `Limits`. None, unless given.
        url_lifetime_s: how long a signed CDN address is good.
        admin: whether `POST|DELETE /admin/faults` switches faults over the wire. Off unless asked for.

    Example:
        >>> with Server(folder) as server:
        ...     HfApi(endpoint=server.endpoint).list_models()
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cdn_port: int = 0,
        tokens: Mapping[str, str] | None = None,
        faults: Faults | None = None,
        limits: Mapping[str, tuple[int, float]] | None = None,
        url_lifetime_s: float = 3600.0,
        admin: bool = False,
    ) -> None:
        self.repos = Repos(folder)
        self.datasets = Repos(self.repos.folder / "datasets", self.repos.blobs)
        self.spaces = Repos(self.repos.folder / "spaces", self.repos.blobs)
        self.talks = Talks(self.repos)
        self.access = Access(self.repos.folder, tokens)
        self.faults = faults or Faults()
        self.limits = Limits(limits or {})
        self.log: deque[Exchange] = deque(maxlen=_REMEMBERED)
        self._host, self._port, self._cdn_port = host, port, cdn_port
        self._signer, self._admin = Signer(url_lifetime_s), admin

    def __enter__(self) -> Server:
        sockets = [_listen(self._host, port) for port in (self._port, self._cdn_port)]
        self._port, self._cdn_port = (sock.getsockname()[1] for sock in sockets)
        stored = {"models": self.repos, "datasets": self.datasets, "spaces": self.spaces}
        parts = {kind: self._parts(kind, repos) for kind, repos in stored.items()}
        beside = [*api.ROUTES_BESIDE, *writing.ROUTES_BESIDE, *resolve.ROUTES_BESIDE]
        # The routes that take any owner/name come last.
        hub_routes = [*beside, *writing.ROUTES, *community.ROUTES, *api.ROUTES, *resolve.ROUTES]
        admin = (
            [Route("/admin/faults", self._switch_faults, methods=["POST", "DELETE"])] if self._admin else []
        )
        routes: list[tuple[list[BaseRoute], int]] = [
            ([*admin, *hub_routes], self._port),
            (resolve.CDN_ROUTES, self._cdn_port),
        ]
        self._servers = [uvicorn.Server(_config(self._app(listed, parts, port))) for listed, port in routes]
        self._thread = threading.Thread(
            target=self._run, args=(sockets,), name=f"localhub:{self._port}", daemon=True
        )
        self._thread.start()
        self._wait_until_started()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.should_exit = True
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def cdn_endpoint(self) -> str:
        return f"http://{self._host}:{self._cdn_port}"

    def _parts(self, kind: str, repos: Repos) -> wire.Parts:
        deriver = Deriver(repos)
        describer = Describer(repos, deriver)
        return wire.Parts(
            repos, self.talks, self.access, deriver, describer, self._signer, self._cdn_port, kind
        )

    def _app(self, routes: list[BaseRoute], parts: Mapping[str, wire.Parts], port: int) -> ASGIApp:
        app = Starlette(routes=routes, exception_handlers={Refused: wire.refuse})
        app.router.redirect_slashes = False
        app.state.parts = parts
        counted = LimitedApp(app, self.limits) if port == self._port else app
        return _Recorded(FaultyApp(counted, self.faults), self.log, port)

    def _run(self, sockets: list[socket.socket]) -> None:
        async def both() -> None:
            await asyncio.gather(
                *(server.serve([sock]) for server, sock in zip(self._servers, sockets, strict=True))
            )

        asyncio.run(both())

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + _START_S
        while not all(server.started for server in self._servers):
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise Refused(500, "The local Hub did not start")
            time.sleep(0.005)

    async def _switch_faults(self, request: Request) -> JSONResponse:
        if request.method == "DELETE":
            return JSONResponse({"struck": self.faults.clear()})
        try:
            self.faults.add(**await wire.body_of(request))
        except TypeError as error:
            raise Refused(400, f"Not a fault: {error}") from None
        return JSONResponse({"struck": self.faults.struck})


def serve(
    folder: Path | str,
    host: str = "127.0.0.1",
    port: int = 0,
    cdn_port: int = 0,
    *,
    admin: bool = False,
    ready: Callable[[Server], None] = lambda _: None,
) -> None:
    """Serve a folder until SIGTERM or Ctrl-C; `ready` is called once with the running server."""
    stop = threading.Event()
    with Server(folder, host=host, port=port, cdn_port=cdn_port, admin=admin) as server:
        before = {
            number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            ready(server)
            stop.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Recorded:
    """An ASGI application whose answers are written down."""

    def __init__(self, app: ASGIApp, log: deque[Exchange], port: int) -> None:
        self._app, self._log, self._port = app, log, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._log, self._port)
        try:
            await self._app(scope, receive, answer)
        finally:
            answer.record()


class _Answer:
    """Counts one answer, and writes it down before its last byte leaves, so that no client can be sooner."""

    def __init__(self, scope: Scope, send: Send, log: deque[Exchange], port: int) -> None:
        self._scope, self._send, self._log, self._port = scope, send, log, port
        self._status, self._sent, self._length, self._recorded = 500, 0, -1, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._length = int(Headers(raw=message["headers"]).get("content-length", "-1"))
        elif self._scope["method"] != "HEAD":
            self._sent += len(message.get("body", b""))
        ends = message["type"] == "http.response.body" and not message.get("more_body")
        if ends or self._sent == self._length > 0:
            self.record()
        await self._send(message)

    def record(self) -> None:
        if not self._recorded:
            self._recorded = True
            told = any(name == b"authorization" for name, _ in self._scope["headers"])
            path, method = self._scope["path"], self._scope["method"]
            self._log.append(Exchange(method, path, self._status, self._sent, told, self._port))


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="critical",
        timeout_graceful_shutdown=1,
        server_header=False,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(128)
    return sock
