"""Reading routes of the API: listing, model info, tree, paths, refs, commits, tags."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from hubbot.localhub import wire
from hubbot.localhub.blobs import StoredFile
from hubbot.localhub.clock import to_wire
from hubbot.localhub.info import INFO_EXPAND, LIST_EXPAND, check_expand
from hubbot.localhub.refused import Refused, entry_not_found
from hubbot.localhub.repos import Commit, Repo

MODEL = "/api/models/{owner}/{name}"
_MAX_LISTED = 1000
_TREE_PAGE = {False: 1000, True: 50}
"""Entries a page, without and with `expand`."""

_Sort = Callable[[wire.Parts, Repo], Any]
_SORTS: Mapping[str, _Sort] = {
    "createdAt": lambda _, repo: to_wire(repo.created_at),
    "lastModified": lambda hub, repo: to_wire(hub.repos.commit_of(repo.id, repo.head).date),
    "downloads": lambda _, repo: repo.downloads,
    "likes": lambda _, repo: repo.likes,
    "trendingScore": lambda _, repo: repo.likes,
}
_TAG_PREFIXES = ("dataset", "license", "base_model", "arxiv", "region")


def list_models(request: Request) -> JSONResponse:
    """`GET /api/models`: the matching repos, greatest first, a page at a time."""
    hub, query = wire.parts(request), request.query_params
    sort = query.get("sort", "trendingScore")
    if sort not in _SORTS:
        raise Refused(400, f'"sort" must be one of [{", ".join(_SORTS)}]')
    expand = wire.asked(request, "expand")
    check_expand(expand, LIST_EXPAND)
    who, down = wire.user(request), query.get("direction", "-1") != "1"
    seen = [repo for repo in hub.repos.all() if hub.access.sees(who, repo) and _matches(hub, repo, request)]
    keyed = sorted(
        (((_SORTS[sort](hub, repo), repo.id), repo) for repo in seen), key=lambda k: k[0], reverse=down
    )
    if after := _read_cursor(query.get("cursor")):
        keyed = [item for item in keyed if _follows(list(item[0]), after, down=down)]
    limit = _limit(query.get("limit"), _MAX_LISTED)
    page = keyed[:limit]
    full, card, config = (wire.flag(request, word) for word in ("full", "cardData", "config"))
    shown = [
        hub.describer.listed(repo, expand=expand, full=full, card=card, config=config) for _, repo in page
    ]
    return JSONResponse(shown, headers=_next(request, page[-1][0] if len(keyed) > limit else None))


def _follows(key: list[Any], after: list[Any], *, down: bool) -> bool:
    try:
        return key < after if down else key > after
    except TypeError:
        raise Refused(400, "Invalid cursor") from None


def _matches(hub: wire.Parts, repo: Repo, request: Request) -> bool:
    query = request.query_params
    author, search, gated = query.get("author"), query.get("search"), query.get("gated")
    if author and repo.owner != author:
        return False
    if search and search.lower() not in repo.id.lower():
        return False
    if gated is not None and bool(repo.gated) != (gated.lower() in {"1", "true"}):
        return False
    wanted = {*wire.asked(request, "filter"), *wire.asked(request, "pipeline_tag")}
    return not wanted or wanted <= set(hub.deriver.of(repo.id, repo.head).tags)


def _limit(text: str | None, most: int) -> int:
    if text is None:
        return most
    if not text.isdigit() or int(text[:9]) < 1:
        raise Refused(400, '"limit" must be a positive number')
    return min(int(text[:9]), most)


def _next(request: Request, key: tuple[Any, ...] | None) -> dict[str, str]:
    """The Link header that leads to what follows `key`."""
    if key is None:
        return {}
    cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    path = request.scope["raw_path"].decode("ascii")
    return {"Link": f'<{wire.home(request)}{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'}


def _read_cursor(text: str | None) -> list[Any] | None:
    if text is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text))
        if isinstance(key, list) and key and isinstance(key[-1], str):
            return key
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise Refused(400, "Invalid cursor")


def model_info(request: Request) -> JSONResponse:
    """`GET /api/models/{id}[/revision/{rev}]`."""
    hub, repo = wire.parts(request), wire.readable(request)
    revision = wire.revision_and_path(request, "revision")[0] if "rest" in request.path_params else "main"
    expand = wire.asked(request, "expand")
    check_expand(expand, INFO_EXPAND)
    sha = hub.repos.resolve(repo.id, revision)
    return JSONResponse(hub.describer.alone(repo, sha, expand=expand, blobs=wire.flag(request, "blobs")))


def tree(request: Request) -> JSONResponse:
    """`GET …/tree/{rev}[/{folder}]`: files and folders, one level or all."""
    hub, repo = wire.parts(request), wire.readable(request)
    revision, folder = wire.revision_and_path(request, "tree")
    sha, expand = hub.repos.resolve(repo.id, revision), wire.flag(request, "expand")
    entries = _entries(hub.repos.files(repo.id, sha))
    under = f"{folder.strip('/')}/" if folder.strip("/") else ""
    if under and folder.strip("/") not in entries:
        raise entry_not_found(folder)
    recursive = wire.flag(request, "recursive")
    paths = [
        path for path in entries if path.startswith(under) and (recursive or "/" not in path[len(under) :])
    ]
    if after := _read_cursor(request.query_params.get("cursor")):
        paths = [path for path in paths if path > after[0]]
    page = paths[: _TREE_PAGE[expand]]
    commits = _last_commits(hub, repo, sha) if expand else {}
    shown = [entries[path] | _last_commit(commits, path) for path in page]
    return JSONResponse(shown, headers=_next(request, (page[-1],) if len(paths) > len(page) else None))


def _entries(files: Mapping[str, StoredFile]) -> dict[str, dict[str, Any]]:
    """Files and the folders they lie in, by path, sorted."""
    found = {path: _file_entry(path, file) for path, file in files.items()}
    inside: dict[str, list[str]] = defaultdict(list)
    for path, file in files.items():
        names = path.split("/")[:-1]
        for depth in range(len(names)):
            inside["/".join(names[: depth + 1])].append(f"{file.oid} {path}")
    for folder, listing in inside.items():
        oid = hashlib.sha1("\n".join(sorted(listing)).encode(), usedforsecurity=False).hexdigest()
        found[folder] = {"type": "directory", "oid": oid, "size": 0, "path": folder}
    return dict(sorted(found.items()))


def _file_entry(path: str, file: StoredFile) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.lfs:
        entry["lfs"] = {"oid": file.blob, "size": file.size, "pointerSize": file.pointer_size}
    return entry


def _last_commits(hub: wire.Parts, repo: Repo, sha: str) -> dict[str, Commit]:
    """The commit that last touched each file, and each folder."""
    found: dict[str, Commit] = {}
    history = list(hub.repos.history(repo.id, sha))
    for commit, older in zip(history, [*history[1:], None], strict=True):
        for path, file in commit.files.items():
            if older is None or older.files.get(path) != file:
                names = path.split("/")
                for depth in range(len(names)):
                    found.setdefault("/".join(names[: depth + 1]), commit)
    return found


def _last_commit(commits: Mapping[str, Commit], path: str) -> dict[str, Any]:
    commit = commits.get(path)
    if commit is None:
        return {}
    return {"lastCommit": {"id": commit.sha, "title": commit.title, "date": to_wire(commit.date)}}


async def paths_info(request: Request) -> JSONResponse:
    """`POST …/paths-info/{rev}`: the named entries, those that exist."""
    if "json" in request.headers.get("content-type", ""):
        body = await wire.body_of(request)
        wanted, expand = body.get("paths"), body.get("expand") is True
    else:
        form = parse_qs((await request.body()).decode(errors="replace"))
        wanted, expand = form.get("paths", []), form.get("expand", [""])[-1].lower() == "true"
    if not isinstance(wanted, list) or not all(isinstance(path, str) for path in wanted):
        raise Refused(400, '"paths" must be an array of strings')
    return await run_in_threadpool(_paths_info, request, wanted, expand)


def _paths_info(request: Request, wanted: list[str], expand: bool) -> JSONResponse:
    hub, repo = wire.parts(request), wire.readable(request)
    sha = hub.repos.resolve(repo.id, wire.revision_and_path(request, "paths-info")[0])
    entries, commits = (
        _entries(hub.repos.files(repo.id, sha)),
        _last_commits(hub, repo, sha) if expand else {},
    )
    found = [path.strip("/") for path in wanted if path.strip("/") in entries]
    return JSONResponse([entries[path] | _last_commit(commits, path) for path in found])


def refs(request: Request) -> JSONResponse:
    """`GET …/refs`: branches, and pull requests where asked for."""
    repo = wire.readable(request)
    pulls = {ref: sha for ref, sha in repo.refs.items() if ref.startswith("refs/pr/")}
    branches = {ref: sha for ref, sha in repo.refs.items() if ref not in pulls}
    shown: dict[str, Any] = {
        "branches": [_ref(name, f"refs/heads/{name}", sha) for name, sha in branches.items()],
        "tags": [],
        "converts": [],
    }
    if wire.flag(request, "include_prs"):
        shown["pullRequests"] = [_ref(ref.removeprefix("refs/pr/"), ref, sha) for ref, sha in pulls.items()]
    return JSONResponse(shown)


def _ref(name: str, ref: str, sha: str) -> dict[str, str]:
    return {"name": name, "ref": ref, "targetCommit": sha}


def commits(request: Request) -> JSONResponse:
    """`GET …/commits/{rev}`: the history, newest first."""
    hub, repo = wire.parts(request), wire.readable(request)
    revision, _ = wire.revision_and_path(request, "commits")
    shown = [
        {
            "id": commit.sha,
            "title": commit.title,
            "message": commit.message,
            "date": to_wire(commit.date),
            "authors": [{"user": commit.author}],
        }
        for commit in hub.repos.history(repo.id, revision)
    ]
    return JSONResponse(shown)


def tags_by_type(request: Request) -> JSONResponse:
    """`GET /api/models-tags-by-type`: every tag in use, by what it speaks of."""
    hub, by_type = wire.parts(request), defaultdict[str, dict[str, dict[str, str]]](dict)
    for repo in hub.repos.all():
        derived = hub.deriver.of(repo.id, repo.head)
        for tag in derived.tags if not repo.private else ():
            prefix = tag.split(":", 1)[0]
            kind = prefix if prefix in _TAG_PREFIXES and ":" in tag else "other"
            kind = {derived.task: "pipeline_tag", derived.library: "library"}.get(tag, kind)
            by_type[kind][tag] = {"id": tag, "label": tag.removeprefix(f"{kind}:"), "type": kind}
    return JSONResponse({kind: list(tags.values()) for kind, tags in sorted(by_type.items())})


def safetensors_metadata(request: Request) -> JSONResponse:
    """`GET …/safetensors-metadata/{index file}`: the headers of all shards on main."""
    hub, repo = wire.parts(request), wire.readable(request)
    hub.access.check_download(wire.user(request), repo)
    path = request.path_params["rest"]
    hub.repos.file(repo.id, path)
    commit = hub.repos.commit_of(repo.id)
    index = hub.deriver.index(commit, path)
    return JSONResponse(
        {"headers": hub.deriver.headers(commit, path), "index": {"metadata": index.get("metadata")}}
    )


def auth_check(request: Request) -> JSONResponse:
    """`GET …/auth-check[/write]`: would a download, or a commit, be allowed?"""
    hub, repo, who = wire.parts(request), wire.readable(request), wire.user(request)
    hub.access.check_download(who, repo)
    if request.url.path.endswith("/write"):
        hub.access.check_write(who, repo.owner)
    return JSONResponse({})


BESIDE = tuple(f"/api/{kind}/{{owner}}/{{name}}" for kind in ("datasets", "spaces"))
ROUTES_BESIDE: list[BaseRoute] = [
    route
    for repo in BESIDE
    for route in (
        Route(repo, model_info),
        Route(repo + "/revision/{rest:path}", model_info),
        Route(repo + "/tree/{rest:path}", tree),
        Route(repo + "/paths-info/{rest:path}", paths_info, methods=["POST"]),
    )
]
"""What can be read of datasets and Spaces."""
ROUTES: list[BaseRoute] = [
    Route("/api/models", list_models),
    Route("/api/models-tags-by-type", tags_by_type),
    Route(MODEL, model_info),
    Route(MODEL + "/revision/{rest:path}", model_info),
    Route(MODEL + "/tree/{rest:path}", tree),
    Route(MODEL + "/paths-info/{rest:path}", paths_info, methods=["POST"]),
    Route(MODEL + "/refs", refs),
    Route(MODEL + "/commits/{rest:path}", commits),
    Route(MODEL + "/safetensors-metadata/{rest:path}", safetensors_metadata),
    Route(MODEL + "/auth-check", auth_check),
    Route(MODEL + "/auth-check/write", auth_check),
]
