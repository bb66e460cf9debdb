"""Routes of the community tab: discussions and pull requests."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from hubbot.localhub import wire
from hubbot.localhub.api import MODEL
from hubbot.localhub.refused import Refused
from hubbot.localhub.repos import Repo
from hubbot.localhub.talks import Talk, comment

_PAGE = 10
_TALKS = MODEL + "/discussions"
_TALK = _TALKS + "/{num}"


def list_talks(request: Request) -> JSONResponse:
    """`GET …/discussions?type=&status=&author=&p=`: newest first, ten a page."""
    hub, repo, query = wire.parts(request), wire.readable(request), request.query_params
    kind, status, author = query.get("type", "all"), query.get("status", "all"), query.get("author")
    if kind not in {"all", "discussion", "pull_request"} or status not in {"all", "open", "closed"}:
        raise Refused(400, "Unknown type or status")
    page = query.get("p", "0")
    found = [talk for talk in hub.talks.all(repo.id) if _wanted(talk, kind, status, author)]
    start = _PAGE * int(page[:6]) if page.isdecimal() else 0
    shown = [_brief(repo, talk) for talk in found[start : start + _PAGE]]
    return JSONResponse(
        {"discussions": shown, "count": len(found), "start": start, "numClosedDiscussions": 0}
    )


def _wanted(talk: Talk, kind: str, status: str, author: str | None) -> bool:
    right_kind = kind == "all" or talk.is_pull_request == (kind == "pull_request")
    # The Hub has two sides: a draft counts as open, what was merged as closed.
    right_side = status == "all" or (talk.status in {"open", "draft"}) == (status == "open")
    return right_kind and right_side and author in {None, talk.author}


def _brief(repo: Repo, talk: Talk) -> dict[str, Any]:
    return {
        "num": talk.num,
        "title": talk.title,
        "status": talk.status,
        "isPullRequest": talk.is_pull_request,
        "createdAt": talk.created_at,
        "author": {"name": talk.author, "type": "user"},
        "repo": {"name": repo.id, "type": "model"},
        "numComments": sum(event["type"] == "comment" for event in talk.events),
        "pinned": False,
    }


def show_talk(request: Request) -> JSONResponse:
    """`GET …/discussions/{n}?diff=1`."""
    hub, repo = wire.parts(request), wire.readable(request)
    talk = hub.talks.get(repo.id, _num(request))
    shown = _brief(repo, talk) | {"events": list(talk.events)}
    if talk.is_pull_request:
        shown["filesWithConflicts"] = hub.talks.conflicts(repo.id, talk)
        shown["changes"] = {"base": "refs/heads/main"}
        if talk.merged_as:
            shown["changes"]["mergeCommitId"] = talk.merged_as
        if wire.flag(request, "diff"):
            shown["diff"] = hub.talks.diff(repo.id, talk)
    return JSONResponse(shown)


async def open_talk(request: Request) -> JSONResponse:
    """`POST …/discussions {title, description, pullRequest}`; a pull request starts as a draft."""
    hub, repo, body = wire.parts(request), wire.readable(request), await wire.body_of(request)
    author = hub.access.check_known(wire.user(request))
    title, description = wire.text(body, "title"), wire.text(body, "description", "")
    base, status = (repo.head, "draft") if body.get("pullRequest") is True else (None, "open")
    talk = await run_in_threadpool(
        hub.talks.open, repo.id, title, description, author, base=base, status=status
    )
    shown = {
        "num": talk.num,
        "pullRequest": talk.is_pull_request,
        "url": f"{wire.home(request)}/{repo.id}/discussions/{talk.num}",
    }
    return JSONResponse(shown, status_code=201)


async def say(request: Request) -> JSONResponse:
    """`POST …/comment {comment}`."""
    hub, repo, body = wire.parts(request), wire.readable(request), await wire.body_of(request)
    author = hub.access.check_known(wire.user(request))
    event = comment(author, wire.text(body, "comment"))
    await run_in_threadpool(hub.talks.add, repo.id, _num(request), event)
    return JSONResponse({"newMessage": event}, status_code=201)


async def set_status(request: Request) -> JSONResponse:
    """`POST …/status {status, comment?}`."""
    (hub, repo, who), body = _party(request), await wire.body_of(request)
    status, remark = wire.text(body, "status"), wire.text(body, "comment", "")
    event = await run_in_threadpool(hub.talks.set_status, repo.id, _num(request), status, who, remark)
    return JSONResponse({"newStatus": event})


async def set_title(request: Request) -> JSONResponse:
    """`POST …/title {title}`."""
    (hub, repo, who), body = _party(request), await wire.body_of(request)
    title = wire.text(body, "title")
    event = await run_in_threadpool(hub.talks.set_title, repo.id, _num(request), title, who)
    return JSONResponse({"newTitle": event})


async def merge(request: Request) -> JSONResponse:
    """`POST …/merge {comment?}`: for the owner alone."""
    hub, repo, body = wire.parts(request), wire.readable(request), await wire.body_of(request)
    who = hub.access.check_write(wire.user(request), repo.owner)
    remark = wire.text(body, "comment", "")
    sha = await run_in_threadpool(hub.talks.merge, repo.id, _num(request), who, remark)
    return JSONResponse({"commitOid": sha, "success": True})


async def edit_comment(request: Request) -> JSONResponse:
    """`POST …/comment/{id}/edit {content}` and `…/hide`."""
    hub, repo, body = wire.parts(request), wire.readable(request), await wire.body_of(request)
    who = hub.access.check_known(wire.user(request))
    num, event_id = _num(request), request.path_params["event"]
    new = wire.text(body, "content") if request.url.path.endswith("/edit") else None
    talk = hub.talks.get(repo.id, num)
    writer = next((event["author"]["name"] for event in talk.events if event["id"] == event_id), repo.owner)
    if who != writer and (new is not None or who != repo.owner):
        raise Refused(403, "Only who wrote a comment may edit it")
    event = await run_in_threadpool(hub.talks.edit_comment, repo.id, num, event_id, new)
    return JSONResponse({"updatedComment": event})


def _num(request: Request) -> int:
    number: str = request.path_params["num"]
    if not number.isascii() or not number.isdecimal() or len(number) > 9:
        raise Refused(404, "Discussion not found")
    return int(number)


def _party(request: Request) -> tuple[wire.Parts, Repo, str]:
    """Whoever opened it, or the repo's owner; nobody else may change it."""
    hub, repo = wire.parts(request), wire.readable(request)
    who = hub.access.check_known(wire.user(request))
    if who != hub.talks.get(repo.id, _num(request)).author:
        hub.access.check_write(who, repo.owner)
    return hub, repo, who


ROUTES: list[BaseRoute] = [
    Route(_TALKS, list_talks),
    Route(_TALKS, open_talk, methods=["POST"]),
    Route(_TALK, show_talk),
    Route(_TALK + "/comment", say, methods=["POST"]),
    Route(_TALK + "/status", set_status, methods=["POST"]),
    Route(_TALK + "/title", set_title, methods=["POST"]),
    Route(_TALK + "/merge", merge, methods=["POST"]),
    Route(_TALK + "/comment/{event}/edit", edit_comment, methods=["POST"]),
    Route(_TALK + "/comment/{event}/hide", edit_comment, methods=["POST"]),
]
