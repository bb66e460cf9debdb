"""What all routes share: the parts of the Hub, who asks for which repo, and how a refusal is sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse

from hubbot.localhub.access import Access
from hubbot.localhub.derive import Deriver
from hubbot.localhub.info import Describer
from hubbot.localhub.refused import Refused, moved, repo_not_found
from hubbot.localhub.repos import Repo, Repos
from hubbot.localhub.signing import Signer
from hubbot.localhub.talks import Talks

_KIND = re.compile(r"/(?:api/)?(?:resolve-cache/)?(datasets|spaces)/")


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a route may need. `cdn_port` is where large files are fetched and put, `kind` what the
    repos are: models, datasets or spaces."""

    repos: Repos
    talks: Talks
    access: Access
    deriver: Deriver
    describer: Describer
    signer: Signer
    cdn_port: int
    kind: str = "models"

    def cdn_url(self, request: Request, method: str, sha256: str, *, size: int, name: str = "") -> str:
        """A signed address on the CDN's port of the host that the client reached us by."""
        host = request.url.hostname or "127.0.0.1"
        bracketed = f"[{host}]" if ":" in host else host
        return f"http://{bracketed}:{self.cdn_port}{self.signer.sign(method, sha256, size=size, name=name)}"


def parts(request: Request) -> Parts:
    """The parts that the address speaks of: those of the models, of the datasets or of the Spaces."""
    named = _KIND.match(request.scope["path"])
    return parts_of(request, named[1] if named else "models")


def parts_of(request: Request, kind: str) -> Parts:
    """The parts of one kind of repo."""
    found: Parts = request.app.state.parts[kind]
    return found


def page(request: Request, kind: str, repo: str) -> str:
    """Where people see a repo of that kind."""
    return f"{home(request)}/{'' if kind == 'models' else f'{kind}/'}{repo}"


def repo_id(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}"


def user(request: Request) -> str | None:
    return parts(request).access.user(request)


def readable(request: Request) -> Repo:
    """The repo in the address, if it exists and the one who asks may know of it."""
    hub, who, named = parts(request), user(request), repo_id(request)
    present = hub.repos.moved_to(named) or named
    try:
        repo = hub.repos.get(present)
    except Refused:
        raise repo_not_found(known_user=who is not None) from None
    hub.access.check_read(who, repo)
    if repo.id != named:
        query = f"?{request.url.query}" if request.url.query else ""
        path = request.scope["raw_path"].decode("ascii").replace(f"/{named}", f"/{repo.id}", 1)
        raise moved(path + query)
    return repo


def revision_and_path(request: Request, after: str) -> tuple[str, str]:
    """The revision and path that follow `/after/` in the address.

    Clients quote the slashes of a revision (`refs%2Fpr%2F1`), so the address is split before it is
    unquoted; `refs/pr/1` written plainly is understood as well.
    """
    raw: bytes = request.scope["raw_path"]
    segments = raw.decode("ascii").split("/")
    rest = segments[segments.index(after, 5 if request.url.path.startswith("/api/") else 3) + 1 :]
    if rest[0] == "refs" and len(rest) >= 3:
        rest = ["/".join(rest[:3]), *rest[3:]]
    return unquote(rest[0]), unquote("/".join(rest[1:]))


def flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in {"1", "true"}


def asked(request: Request, name: str) -> list[str]:
    """A repeated query parameter, also in the form `name[]=`."""
    return [*request.query_params.getlist(name), *request.query_params.getlist(f"{name}[]")]


def home(request: Request) -> str:
    """The Hub's own address as the client knows it, without a slash at the end."""
    return str(request.base_url).rstrip("/")


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent; nothing counts as an empty one."""
    try:
        loaded = json.loads(await request.body() or b"null")
    except (ValueError, RecursionError):
        raise Refused(400, "The request's body is not JSON") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise Refused(400, "The request's body is not a JSON object")
    return loaded


def text(body: dict[str, Any], key: str, default: str | None = None) -> str:
    """A string out of a body; with a default it may be missing."""
    value = body.get(key, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise Refused(400, f'"{key}" must be a string')
    return value


async def refuse(_request: Request, error: Exception) -> JSONResponse:
    """A refusal as the Hub sends it: JSON, and the two headers that clients go by."""
    if not isinstance(error, Refused):
        raise error
    headers = {"X-Error-Message": _header_text(error.message), **error.headers}
    return JSONResponse({"error": error.message.encode(errors="replace").decode()}, error.status, headers)


def _header_text(message: str) -> str:
    plain = "".join(char if char.isprintable() else " " for char in message[:500])
    return plain.encode("latin-1", "replace").decode("latin-1")
