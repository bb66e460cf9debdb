"""The door of a running bot: a small web server, on loopback unless an admin says otherwise.

    GET  /healthz       is it well? for whoever restarts it              open
    GET  /metrics       its numbers, for Prometheus                       open
    POST /webhook       the Hub names a repo                              the webhook's secret
    GET  /state         jobs, events, rates: what `hubbot status` shows   the key
    POST /orders        an admin's order; GET /orders/N: what came of it  the key

The key is made anew at every start and lies in a file beside the database, which its owner alone may
read: whoever may not read that file could not have opened the database either.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from pydantic import BaseModel, Field

from hubbot.errors import HubbotError, SettingsError
from hubbot.service.knock import note_of
from hubbot.service.mailbox import MAX_BODY_BYTES, Mailbox, Refusal
from hubbot.service.metrics import exposed
from hubbot.service.state import Live

if TYPE_CHECKING:
    from hubbot.store.store import Store

START_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What lies behind the door.

    Args:
        store: read for the numbers; orders are written down in it.
        live: the bot at this moment.
        verbs: the orders that there are.
        ordered: called when an order was written down.
        noticed: called when a webhook has named a repo.
    """

    store: Store
    mailbox: Mailbox
    live: Callable[[], Live]
    verbs: frozenset[str]
    ordered: Callable[[], None]
    noticed: Callable[[], None]


class Order(BaseModel):
    """A verb with its arguments, and who gives the order."""

    verb: str = Field(max_length=40)
    args: dict[str, str | int | float | bool | None] = Field(max_length=20)
    by: str = Field(max_length=200)


@contextmanager
def opened(house: House, address: str) -> Iterator[str]:
    """Answer at `host:port` while the block runs, port 0 for a free one; gives the address in force.

    Raises:
        SettingsError: it is no address, or not ours to listen at.
    """
    key = secrets.token_urlsafe(32)
    sock = _listening(address)
    host, port = sock.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    server = uvicorn.Server(
        uvicorn.Config(
            _app(house, key),
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=64,
            timeout_graceful_shutdown=2,
        )
    )
    thread = threading.Thread(target=server.run, args=([sock],), name="door", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    note = note_of(house.store.path)
    _leave_note(note, {"url": url, "key": key})
    try:
        yield url
    finally:
        note.unlink(missing_ok=True)
        server.should_exit = True
        thread.join()


def _leave_note(path: Path, note: Mapping[str, str]) -> None:
    """Never readable by others, not even for a moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(note, file)


def _listening(address: str) -> socket.socket:
    host, colon, port = address.rpartition(":")
    try:
        if not colon or not host or not 0 <= int(port) < 2**16:
            raise ValueError("it is written host:port")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.strip("[]"), int(port)), family=family)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot listen at {address!r}: {error}", hint="HUBBOT_SERVICE is host:port"
        ) from None


def _app(house: House, key: str) -> FastAPI:
    def admitted(authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {key}".encode()):
            raise HTTPException(401, "the key is another: it lies beside the database")

    app = FastAPI(title="hubbot", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_for_everybody(house))
    app.include_router(_for_admins(house), dependencies=[Depends(admitted)])
    return app


def _for_everybody(house: House) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    def health() -> Response:
        ailing = house.live().ailing()
        try:
            house.store.backlog()
        except HubbotError as error:
            ailing.append(str(error))
        return _json({"well": not ailing, "ailing": ailing}, 503 if ailing else 200)

    @router.get("/metrics")
    def metrics() -> Response:
        page = exposed(house.live(), house.store.status())
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.post("/webhook")
    async def webhook(request: Request, x_webhook_secret: Annotated[str, Header()] = "") -> Response:
        try:
            house.mailbox.check(x_webhook_secret)
            repo = house.mailbox.put(await _body(request))
        except Refusal as refusal:
            raise HTTPException(refusal.status, refusal.why) from None
        if repo:
            house.noticed()
        return _json({"noticed": repo}, 202)

    return router


def _for_admins(house: House) -> APIRouter:
    router = APIRouter()

    @router.get("/state")
    def state() -> Response:
        return _json(asdict(house.live()))

    @router.post("/orders")
    def order(given: Order) -> Response:
        if given.verb not in house.verbs:
            raise HTTPException(400, f"there is no order {given.verb!r}")
        number = house.store.enqueue(given.verb, given.args, given.by)
        house.ordered()
        return _json({"order": number})

    @router.get("/orders/{number}")
    def outcome(number: int) -> Response:
        found = house.store.command(number)
        if found is None:
            raise HTTPException(404, f"there is no order {number}")
        return _json(asdict(found))

    return router


async def _body(request: Request) -> bytes:
    """A body that is not longer than it may be, however long it says that it is."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > MAX_BODY_BYTES:
            raise Refusal(413, f"a payload has {MAX_BODY_BYTES} bytes at most")
    return bytes(raw)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value, default=str), status, media_type="application/json")
