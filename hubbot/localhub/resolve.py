"""Files: `resolve` on the Hub's own port, and the CDN on another one.

Both kinds of file are answered with a redirect, as on the Hub: a small one to another address of the
same host, where the token is still needed; a large one to a signed address on the CDN, which is another
host to any client and must never see the token. `Range` is honoured on both.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from hubbot.localhub import wire
from hubbot.localhub.refused import Refused

_COUNTED = frozenset(
    {
        "config.json",
        "adapter_config.json",
        "model_index.json",
        "config.yaml",
        "hyperparams.yaml",
        "params.json",
    }
)
"""GET and HEAD of these count as a download of the model."""


def resolve(request: Request) -> Response:
    """`GET|HEAD [/datasets|/spaces]/{id}/resolve/{rev}/{path}`."""
    hub, repo = wire.parts(request), wire.readable(request)
    hub.access.check_download(wire.user(request), repo)
    revision, path = wire.revision_and_path(request, "resolve")
    sha = hub.repos.resolve(repo.id, revision)
    file = hub.repos.file(repo.id, path, sha)
    if path in _COUNTED:
        hub.repos.count_download(repo.id)
    etag = f'"{file.etag}"'
    headers = {"X-Repo-Commit": sha, "ETag": etag, "X-Linked-Size": str(file.size), "X-Linked-ETag": etag}
    if not file.lfs:
        cached = f"/api/resolve-cache/{hub.kind}/{repo.id}/{sha}/{quote(path)}"
        return Response(status_code=307, headers={**headers, "Location": cached})
    location = hub.cdn_url(request, "GET", file.blob, size=file.size, name=path.rsplit("/", 1)[-1])
    return Response(status_code=302, headers={**headers, "Location": location})


def cached(request: Request) -> Response:
    """`GET|HEAD /api/resolve-cache/{kind}/{id}/{commit}/{path}`: a small file, whole or a range of it."""
    hub, repo = wire.parts(request), wire.readable(request)
    hub.access.check_download(wire.user(request), repo)
    sha, path = request.path_params["sha"], request.path_params["rest"]
    file = hub.repos.file(repo.id, path, sha)
    headers = {"X-Repo-Commit": sha, "ETag": f'"{file.etag}"'}
    return FileResponse(hub.repos.blobs.path(file.blob), headers=headers, filename=path.rsplit("/", 1)[-1])


def fetch(request: Request) -> Response:
    """`GET|HEAD` on the CDN: a blob, whole or a range of it."""
    hub, sha256 = wire.parts(request), _permitted(request)
    if not hub.repos.blobs.has(sha256):
        raise Refused(404, "NoSuchKey")
    name = request.query_params["Name"]
    return FileResponse(
        hub.repos.blobs.path(sha256), headers={"ETag": f'"{sha256}"'}, filename=name or sha256
    )


async def put(request: Request) -> Response:
    """`PUT` on the CDN: a large file's content, which must be what its name says."""
    hub, sha256 = wire.parts(request), _permitted(request)
    size = int(request.query_params["Size"])
    with hub.repos.blobs.incoming() as incoming:
        async for chunk in request.stream():
            if incoming.size + len(chunk) > size:
                raise Refused(400, "EntityTooLarge")
            await run_in_threadpool(incoming.write, chunk)
        if (incoming.sha256, incoming.size) != (sha256, size):
            raise Refused(400, "BadDigest")
        hub.repos.blobs.keep(incoming)
    return Response(headers={"ETag": f'"{sha256}"'})


def _permitted(request: Request) -> str:
    """The blob in the address, if it is signed for this. A token that comes along is refused."""
    if "authorization" in request.headers:
        raise Refused(403, "The token does not belong here: only one auth mechanism is allowed")
    sha256: str = request.path_params["sha256"]
    wire.parts(request).signer.check(request.method, sha256, request.query_params)
    return sha256


ROUTES: list[BaseRoute] = [
    Route("/api/resolve-cache/models/{owner}/{name}/{sha}/{rest:path}", cached),
    Route("/{owner}/{name}/resolve/{rest:path}", resolve),
]
ROUTES_BESIDE: list[BaseRoute] = [
    route
    for kind in ("datasets", "spaces")
    for route in (
        Route(f"/api/resolve-cache/{kind}/{{owner}}/{{name}}/{{sha}}/{{rest:path}}", cached),
        Route(f"/{kind}/{{owner}}/{{name}}/resolve/{{rest:path}}", resolve),
    )
]
CDN_ROUTES: list[BaseRoute] = [
    Route("/blobs/{sha256}", fetch),
    Route("/blobs/{sha256}", put, methods=["PUT"]),
]
