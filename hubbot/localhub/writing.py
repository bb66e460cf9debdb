"""Writing routes: repos, validation, preupload, commits, large files."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hubbot.localhub import wire
from hubbot.localhub.api import BESIDE, MODEL
from hubbot.localhub.metadata import SPACE_SDKS, complaints
from hubbot.localhub.names import check_path, is_lfs
from hubbot.localhub.refused import Refused, entry_not_found
from hubbot.localhub.repos import Change, Repo
from hubbot.localhub.talks import commit_event

_MAX_BODY_BYTES = 200_000_000
KINDS = ("model", "dataset", "space")


def whoami(request: Request) -> JSONResponse:
    """`GET /api/whoami-v2`."""
    name = wire.parts(request).access.check_known(wire.user(request))
    token = {"displayName": name, "role": "write"}
    auth = {"type": "access_token", "accessToken": token}
    shown = {
        "type": "user",
        "id": name,
        "name": name,
        "fullname": name,
        "isPro": False,
        "orgs": [],
        "auth": auth,
    }
    return JSONResponse(shown)


# --- repos ------------------------------------------------------------------------------------


async def create_repo(request: Request) -> JSONResponse:
    """`POST /api/repos/create {name, organization?, type?, sdk?, visibility?}`."""
    body = await wire.body_of(request)
    hub = _parts(request, body)
    who = hub.access.check_known(wire.user(request))
    if hub.kind == "spaces" and body.get("sdk") not in SPACE_SDKS:
        raise Refused(400, f'"sdk" must be one of [{", ".join(SPACE_SDKS)}]')
    owner = wire.text(body, "organization", who)
    hub.access.check_write(who, owner)
    repo_id = f"{owner}/{wire.text(body, 'name')}"
    hidden = body.get("visibility") == "private" or body.get("private") is True
    shown, status = {"url": wire.page(request, hub.kind, repo_id), "name": repo_id, "id": repo_id}, 200
    try:
        await run_in_threadpool(hub.repos.create, repo_id, private=hidden, author=who)
    except Refused as refused:
        if refused.status != 409:
            raise
        # Clients that do not mind read the address of what exists out of the refusal.
        shown["error"], status = refused.message, 409
    return JSONResponse(shown, status)


async def delete_repo(request: Request) -> JSONResponse:
    """`DELETE /api/repos/delete {name, organization?, type?}`."""
    body = await wire.body_of(request)
    hub = _parts(request, body)
    who = hub.access.check_known(wire.user(request))
    repo = hub.repos.get(f"{wire.text(body, 'organization', who)}/{wire.text(body, 'name')}")
    _check_owner(hub, who, repo)
    await run_in_threadpool(hub.repos.delete, repo.id)
    return JSONResponse({})


async def move_repo(request: Request) -> JSONResponse:
    """`POST /api/repos/move {fromRepo, toRepo, type}`."""
    body = await wire.body_of(request)
    hub = _parts(request, body)
    who = hub.access.check_known(wire.user(request))
    repo, target = hub.repos.get(wire.text(body, "fromRepo")), wire.text(body, "toRepo")
    _check_owner(hub, who, repo)
    hub.access.check_write(who, target.split("/", 1)[0])
    await run_in_threadpool(hub.repos.move, repo.id, target)
    return JSONResponse({"url": wire.page(request, hub.kind, target)})


async def settings(request: Request) -> JSONResponse:
    """`PUT …/settings {gated?, visibility?}`."""
    hub, body = wire.parts(request), await wire.body_of(request)
    repo = wire.readable(request)
    hub.access.check_write(wire.user(request), repo.owner)
    changes: dict[str, Any] = {}
    if "gated" in body:
        if body["gated"] not in (False, "auto", "manual"):
            raise Refused(400, '"gated" must be one of ["auto", "manual", false]')
        changes["gated"] = body["gated"]
    if "visibility" in body or "private" in body:
        changes["private"] = body.get("visibility") == "private" or body.get("private") is True
    updated = await run_in_threadpool(hub.repos.update, repo.id, **changes)
    return JSONResponse({"private": updated.private, "gated": updated.gated})


def _check_owner(hub: wire.Parts, who: str, repo: Repo) -> None:
    hub.access.check_read(who, repo)
    hub.access.check_write(who, repo.owner)


def _parts(request: Request, body: Mapping[str, Any]) -> wire.Parts:
    """The parts of the kind of repo that the body names: a model where it names none."""
    kind = body.get("type") or "model"
    if kind not in KINDS:
        raise Refused(400, f'"type" must be one of [{", ".join(KINDS)}]')
    return wire.parts_of(request, f"{kind}s")


# --- commits ----------------------------------------------------------------------------------


async def validate_yaml(request: Request) -> JSONResponse:
    """`POST /api/validate-yaml {content, repoType}`: 400 with errors, or warnings."""
    body = await wire.body_of(request)
    kind, content = _parts(request, {"type": body.get("repoType")}).kind, wire.text(body, "content")
    errors, warnings = await run_in_threadpool(complaints, content, kind)
    shown = {
        "errors": [{"message": text} for text in errors],
        "warnings": [{"message": text} for text in warnings],
    }
    if errors:
        shown["error"] = shown["errors"][0]["message"]  # type: ignore[assignment]
    return JSONResponse(shown, status_code=400 if errors else 200)


async def preupload(request: Request) -> JSONResponse:
    """`POST …/preupload/{rev} {files: [{path, sample, size}]}`: how each file is to be sent."""
    body = await wire.body_of(request)
    return await run_in_threadpool(_preupload, request, body)


def _preupload(request: Request, body: Mapping[str, Any]) -> JSONResponse:
    hub, repo = wire.parts(request), wire.readable(request)
    revision, _ = wire.revision_and_path(request, "preupload")
    _check_committer(request, repo, revision)
    present = hub.repos.files(repo.id, revision)
    shown = []
    for item in _objects(body.get("files")):
        path, size = check_path(wire.text(item, "path")), item.get("size")
        if not isinstance(size, int) or size < 0:
            raise Refused(400, '"size" must be a number')
        mode = "lfs" if is_lfs(path, size) else "regular"
        there = present.get(path)
        oid = {"oid": there.etag} if there else {}
        shown.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **oid})
    return JSONResponse({"files": shown, "commitOid": hub.repos.resolve(repo.id, revision)})


async def commit(request: Request) -> JSONResponse:
    """`POST …/commit/{rev}[?create_pr=1]`: NDJSON, a header and then one operation a line."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise Refused(413, "Payload Too Large")
    return await run_in_threadpool(_commit, request, body)


def _commit(request: Request, body: bytes) -> JSONResponse:
    hub, repo = wire.parts(request), wire.readable(request)
    revision, _ = wire.revision_and_path(request, "commit")
    author = _check_committer(request, repo, revision)
    header, *operations = _ndjson(body)
    if header.get("key") != "header":
        raise Refused(400, "The first line must be the header")
    about = _value(header)
    title, description = wire.text(about, "summary"), wire.text(about, "description", "")
    parent = about.get("parentCommit")
    with hub.repos.writing():
        base = _base(hub, repo, revision, parent, moving=not wire.flag(request, "create_pr"))
        changes = dict(_changes(hub, repo, base, operations))
        if wire.flag(request, "create_pr"):
            if hub.kind != "models":
                raise Refused(400, "Pull requests are for models, on the local Hub")
            talk = hub.talks.open(repo.id, title, description, author, base=base)
            revision = talk.ref
        sha = hub.repos.commit(
            repo.id, changes, message=title, description=description, author=author, ref=revision, base=base
        )
        num = _pull_number(revision)
        if num:
            hub.talks.add(repo.id, num, commit_event(author, title, sha))
    page = wire.page(request, hub.kind, repo.id)
    shown: dict[str, Any] = {
        "success": True,
        "commitOid": sha,
        "commitUrl": f"{page}/commit/{sha}",
        "hookOutput": "",
    }
    if num:
        shown["pullRequestUrl"] = f"{page}/discussions/{num}"
    return JSONResponse(shown)


def _check_committer(request: Request, repo: Repo, revision: str) -> str:
    """A pull request takes a known user; a commit to it its author, to a branch the owner."""
    hub, who = wire.parts(request), wire.user(request)
    if wire.flag(request, "create_pr"):
        return hub.access.check_known(who)
    num = _pull_number(revision)
    if num and hub.talks.get(repo.id, num).author == hub.access.check_known(who):
        return hub.access.check_known(who)
    return hub.access.check_write(who, repo.owner)


def _pull_number(revision: str) -> int | None:
    number = revision.removeprefix("refs/pr/")
    good = revision.startswith("refs/pr/") and number.isascii() and number.isdecimal() and len(number) < 10
    return int(number) if good else None


def _base(hub: wire.Parts, repo: Repo, revision: str, parent: object, *, moving: bool) -> str:
    """The commit to build on; 412 if the ref to be moved has left the parent that was named."""
    if moving and revision not in hub.repos.get(repo.id).refs:
        raise Refused(404, f"Invalid rev id: {revision}", error_code="RevisionNotFound")
    head = hub.repos.resolve(repo.id, revision)
    if parent is None:
        return head
    if not isinstance(parent, str) or not (40 >= len(parent) >= 7):
        raise Refused(400, '"parentCommit" must be a commit id')
    if not moving:
        return hub.repos.resolve(repo.id, parent)
    if not head.startswith(parent):
        raise Refused(412, "A commit has happened since. Please refresh and try again.")
    return head


def _changes(
    hub: wire.Parts, repo: Repo, base: str, operations: list[dict[str, Any]]
) -> Iterator[tuple[str, Change]]:
    for operation in operations:
        kind, value = operation.get("key"), _value(operation)
        path = wire.text(value, "path")
        if kind == "file":
            content = _content(value)
            if path == "README.md":
                _check_card(content, hub.kind)
            yield path, content
        elif kind == "lfsFile":
            yield path, _large_file(hub, path, wire.text(value, "oid"))
        elif kind == "deletedFile":
            yield path, None
        elif kind == "deletedFolder":
            inside = [
                name for name in hub.repos.files(repo.id, base) if name.startswith(path.rstrip("/") + "/")
            ]
            if not inside:
                raise entry_not_found(path)
            yield from ((name, None) for name in inside)
        else:
            raise Refused(400, f"Unknown operation: {str(kind)[:80]!r}")


def _large_file(hub: wire.Parts, path: str, oid: str) -> Change:
    try:
        return hub.repos.describe(path, oid)
    except (ValueError, FileNotFoundError):
        raise Refused(400, f"LFS pointer pointed to a file that does not exist: {path}") from None


def _check_card(content: bytes, kind: str) -> None:
    errors, _ = complaints(content.decode(errors="replace"), kind)
    if errors:
        raise Refused(400, "Invalid metadata in README.md: " + "; ".join(errors))


def _content(value: Mapping[str, Any]) -> bytes:
    content = wire.text(dict(value), "content")
    if value.get("encoding") != "base64":
        return content.encode(errors="replace")
    try:
        return base64.b64decode(content, validate=True)
    except (ValueError, binascii.Error):
        raise Refused(400, "Content is not base64") from None


def _ndjson(body: bytes) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in body.split(b"\n") if line.strip()]
    except (ValueError, RecursionError):
        raise Refused(400, "The request's body is not NDJSON") from None
    if not lines:
        raise Refused(400, "The commit is empty")
    return _objects(lines)


def _objects(items: object) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refused(400, "A list of JSON objects was expected")
    return items


def _value(line: Mapping[str, Any]) -> dict[str, Any]:
    value = line.get("value")
    if not isinstance(value, dict):
        raise Refused(400, '"value" must be an object')
    return value


# --- large files ------------------------------------------------------------------------------


async def lfs_batch(request: Request) -> JSONResponse:
    """`POST /{id}.git/info/lfs/objects/batch`: where to put, or get, each large file."""
    body = await wire.body_of(request)
    return await run_in_threadpool(_lfs_batch, request, body)


def _lfs_batch(request: Request, body: dict[str, Any]) -> JSONResponse:
    hub, repo = wire.parts(request), wire.readable(request)
    upload = wire.text(body, "operation") == "upload"
    if upload:
        # Whoever may open a pull request may bring its files.
        hub.access.check_known(wire.user(request))
    else:
        hub.access.check_download(wire.user(request), repo)
    objects = [_lfs_object(request, item, upload=upload) for item in _objects(body.get("objects"))]
    shown = {"transfer": "basic", "objects": objects, "hash_algo": "sha256"}
    return JSONResponse(shown, media_type="application/vnd.git-lfs+json")


def _lfs_object(request: Request, item: dict[str, Any], *, upload: bool) -> dict[str, Any]:
    hub, oid, size = wire.parts(request), wire.text(item, "oid"), item.get("size")
    if not isinstance(size, int) or size < 0:
        raise Refused(400, '"size" must be a number')
    shown: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
    try:
        present = hub.repos.blobs.has(oid)
    except ValueError:
        return shown | {"error": {"code": 422, "message": "The oid is not a sha256"}}
    if upload and not present:
        verify = {"href": f"{wire.home(request)}{request.url.path.removesuffix('/batch')}/verify"}
        shown["actions"] = {"upload": {"href": hub.cdn_url(request, "PUT", oid, size=size)}, "verify": verify}
    elif not upload and present:
        shown["actions"] = {"download": {"href": hub.cdn_url(request, "GET", oid, size=size)}}
    elif not upload:
        shown["error"] = {"code": 404, "message": "Object does not exist"}
    return shown


async def lfs_verify(request: Request) -> Response:
    """`POST …/verify {oid, size}`: has it arrived?"""
    hub, body = wire.parts(request), await wire.body_of(request)
    wire.readable(request)
    try:
        arrived = hub.repos.blobs.size(wire.text(body, "oid")) == body.get("size")
    except (ValueError, FileNotFoundError):
        arrived = False
    if not arrived:
        raise Refused(404, "The object has not arrived")
    return Response()


ROUTES: list[BaseRoute] = [
    Route("/api/whoami-v2", whoami),
    Route("/api/repos/create", create_repo, methods=["POST"]),
    Route("/api/repos/delete", delete_repo, methods=["DELETE"]),
    Route("/api/repos/move", move_repo, methods=["POST"]),
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    Route(MODEL + "/settings", settings, methods=["PUT"]),
    Route(MODEL + "/preupload/{rest:path}", preupload, methods=["POST"]),
    Route(MODEL + "/commit/{rest:path}", commit, methods=["POST"]),
    Route("/{owner}/{name}.git/info/lfs/objects/batch", lfs_batch, methods=["POST"]),
    Route("/{owner}/{name}.git/info/lfs/objects/verify", lfs_verify, methods=["POST"]),
]
ROUTES_BESIDE: list[BaseRoute] = [
    route
    for repo in BESIDE
    for route in (
        Route(repo + "/preupload/{rest:path}", preupload, methods=["POST"]),
        Route(repo + "/commit/{rest:path}", commit, methods=["POST"]),
        Route(repo.removeprefix("/api") + ".git/info/lfs/objects/batch", lfs_batch, methods=["POST"]),
        Route(repo.removeprefix("/api") + ".git/info/lfs/objects/verify", lfs_verify, methods=["POST"]),
    )
]
"""What can be written of datasets and Spaces."""
