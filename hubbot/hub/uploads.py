"""Notice: the Hub's listing, last modified first, as uploads.

The entries are read from the bare JSON and not through the client's own classes: those stumble over one
malformed card and take the rest of the page with them.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from hubbot.errors import HubUnavailable, RepoNotFound
from hubbot.hub.client import Hub
from hubbot.hub.faults import AnswerTooLarge, shown
from hubbot.records import Upload

log = logging.getLogger(__name__)

FIELDS = (
    "author",
    "cardData",
    "config",
    "createdAt",
    "disabled",
    "downloads",
    "gated",
    "lastModified",
    "library_name",
    "pipeline_tag",
    "private",
    "sha",
    "siblings",
    "tags",
)
PAGE, MOST_PER_PAGE = 100, 1000
"""Entries of the first page, with cards and file names about a megabyte, which is all that most polls need;
who has more to read asks for more at a time."""
MOST_STALE = 10
"""A page that was there before may come again, and others behind it; many in a row may go on for ever."""
MAX_DEPTH = 32
"""Of a card or config; what is nested deeper says nothing that we read."""
FIRST_YEAR = 1970
"""The Hub is younger, and looking some minutes behind the year 1 is an error of Python's."""
MAX_DOWNLOADS = 2**53
"""No database takes any number."""

_REPO = re.compile(r"(?:[A-Za-z0-9_][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Malformed(Exception):
    """An entry of the listing that cannot be an upload."""


def recent(hub: Hub, *, since: datetime | None, limit: int | None = None) -> Iterator[Upload]:
    """Uploads, newest modified first, each repo once.

    Repos move to the front while the pages are read: one that moved back onto a later page is given once,
    one that slipped past is what the caller's overlap is for.

    Args:
        since: the watermark; what was modified before it ends the listing. None reads to its end.
        limit: uploads at most.

    Raises:
        HubError: the listing cannot be had. A malformed entry is skipped with a warning in the log.
    """
    for upload in _listed(hub, PAGE if limit is None else min(PAGE, limit)):
        if since is not None and upload.modified_at < since:
            return
        if limit is not None and limit <= 0:
            return
        limit = None if limit is None else limit - 1
        yield upload


def of_owner(hub: Hub, owner: str, prefix: str) -> Iterator[Upload]:
    """All repos of one owner whose name begins with `prefix`, each once.

    Raises:
        HubError: as in `recent`.
    """
    for upload in _listed(hub, PAGE, author=owner, search=prefix):
        if upload.repo.startswith(f"{owner}/{prefix}"):  # the Hub's search is freer than that
            yield upload


def one(hub: Hub, repo: str, revision: str | None = None) -> Upload:
    """One repo, at the head of `main` or at a revision. A renamed repo comes back under its new name.

    Raises:
        RepoNotFound: none of that name or revision; also for text that is no name of a repo.
        HubError: it cannot be had, or the answer is malformed.
    """
    if not is_repo_name(repo):
        raise RepoNotFound("this is no name of a repo", repo=shown(repo))
    path = f"/api/models/{repo}" + (f"/revision/{quote(revision, safe='')}" if revision else "")
    entry, _ = hub.json(path, repo=repo, params={"expand": FIELDS})
    try:
        return _upload(entry)
    except Malformed as error:
        raise HubUnavailable(f"a malformed answer: {error}", repo=repo) from None


def child_of(hub: Hub, repo: str) -> str | None:
    """Some other repo that names this one as its base model; None where nobody does.

    Raises:
        HubError: the listing cannot be had.
    """
    params = {"filter": f"base_model:{repo}", "limit": 2, "expand": ["sha"]}
    page, _ = hub.json("/api/models", repo=repo, params=params)
    names = [_name(entry) for entry in page] if isinstance(page, list) else []
    return next((shown(name) for name in names if name and name != repo), None)


def is_repo_name(text: str) -> bool:
    """Whether a text, from a card for instance, may name a repo on the Hub."""
    return _REPO.fullmatch(text) is not None


def _listed(hub: Hub, size: int, **among: str) -> Iterator[Upload]:
    """The listing as uploads, each repo once."""
    seen: set[str] = set()
    stale = 0
    for page in _pages(hub, size, among):
        named = {_name(entry): entry for entry in reversed(page)}
        fresh = [entry for name, entry in reversed(named.items()) if name not in seen]
        seen |= named.keys()
        stale = 0 if fresh else stale + 1
        if stale == MOST_STALE:
            log.warning("the listing ends here: its last %d pages brought nothing new", stale)
            return
        yield from _uploads(fresh)


def _pages(hub: Hub, size: int, among: Mapping[str, str]) -> Iterator[list[Any]]:
    address: str | None = "/api/models"
    most = MOST_PER_PAGE
    asked: dict[str, Any] = {"sort": "lastModified", "limit": size, "expand": FIELDS, **among}
    while address is not None:
        try:
            page, following = hub.json(address, params=asked)
        except AnswerTooLarge as error:
            if size > 1:  # a few repos of very many files must not hide all others
                size = most = max(1, size // 4)
                asked = {**asked, "limit": size}
                continue
            log.warning("skipped an entry of the listing: %s", error)
            page, following = None, error.following
        if page is not None and not isinstance(page, list):
            raise HubUnavailable("the listing is no list")
        if page is not None:
            yield page
            size = min(4 * size, most)
        address, asked = following, {"limit": size}


def _name(entry: Any) -> str:
    name = entry.get("id") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else ""


def _uploads(entries: list[Any]) -> Iterator[Upload]:
    for entry in entries:
        try:
            yield _upload(entry)
        except Malformed as error:
            log.warning("skipped %r in the listing: %s", shown(_name(entry)), error)


def _upload(entry: Any) -> Upload:
    """One entry of the listing. What the path leans on must be right, what is only shown may be missing.

    Raises:
        Malformed: no name, commit or time.
    """
    if not is_repo_name(_name(entry)):
        raise Malformed("it has no name")
    commit, modified_at = entry.get("sha"), _time(entry.get("lastModified"))
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise Malformed("it has no commit")
    if modified_at is None:
        raise Malformed("it does not say when it was modified")
    downloads = entry.get("downloads")
    return Upload(
        repo=entry["id"],
        commit=commit,
        modified_at=modified_at,
        created_at=_time(entry.get("createdAt")),
        tags=_texts(entry.get("tags")),
        pipeline_tag=_text(entry.get("pipeline_tag")),
        library=_text(entry.get("library_name")),
        downloads=downloads if type(downloads) is int and 0 <= downloads <= MAX_DOWNLOADS else 0,
        # "auto" and "manual" are two kinds of gate; a flag that cannot be read counts as set.
        gated=entry.get("gated") not in (False, None),
        private=entry.get("private") not in (False, None),
        disabled=entry.get("disabled") not in (False, None),
        files=_texts(_file_names(entry.get("siblings"))),
        card=_mapping(entry.get("cardData")),
        config=_mapping(entry.get("config")),
    )


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.year >= FIRST_YEAR else None


def _file_names(siblings: Any) -> list[Any]:
    found = siblings if isinstance(siblings, list) else []
    return [sibling.get("rfilename") for sibling in found if isinstance(sibling, dict)]


def _text(value: Any) -> str | None:
    return _clean(value) if isinstance(value, str) else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_clean(text) for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return _plain(value, MAX_DEPTH) if isinstance(value, dict) else {}


def _plain(value: Any, depth: int) -> Any:
    """JSON data that every database takes: no lone surrogates, no NaN, no endless nesting."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_clean(key): _plain(inner, depth - 1) for key, inner in value.items()} if depth else None
    if isinstance(value, list):
        return [_plain(inner, depth - 1) for inner in value] if depth else None
    return value


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
