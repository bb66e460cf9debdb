"""Small pictures that models show of themselves, kept in a snapshot: a Space fetches none from elsewhere.

They come from strangers. A file counts as a picture when its first bytes say so, is kept under its hash, and
is shown as a picture and as nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import HubError, RateLimited
from hubbot.hub import texts
from hubbot.hub.client import Hub
from hubbot.publishing.build import second_name
from hubbot.publishing.manifest import DATABASE, PICTURES, PICTURES_LIST
from hubbot.store.store import Store

if TYPE_CHECKING:
    from hubbot.records import Upload

log = logging.getLogger(__name__)

MAX_BYTES = 100_000
"""Of one picture. It stands in the page itself, twenty of them in a page of results."""
MAX_PICTURES = 10_000
"""What a folder of a repo on the Hub may hold."""
LOOKED_AT = 50
"""Uploads that are looked at, newest first, for every picture that is wanted."""

_KINDS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("png", lambda raw: raw.startswith(b"\x89PNG\r\n\x1a\n")),
    ("jpeg", lambda raw: raw.startswith(b"\xff\xd8\xff")),
    ("webp", lambda raw: raw[:4] == b"RIFF" and raw[8:12] == b"WEBP"),
)


def kind_of(raw: bytes) -> str | None:
    """What sort of picture these bytes say they are; None where they say nothing of the sort."""
    return next((kind for kind, says_so in _KINDS if says_so(raw)), None)


def gather(
    hub: Hub, incoming: Path, most: int, pick: Callable[[Upload], str | None], before: Path | None = None
) -> int:
    """Put the pictures of the newest models into a snapshot in the making; how many these are.

    Args:
        pick: which of a repo's files is its picture.
        before: an earlier snapshot; what it has of the same commit is not fetched again.
    """
    known, found = _listed(before), dict[str, dict[str, str]]()
    most = min(most, MAX_PICTURES)
    with Store.open(f"sqlite:///{incoming / DATABASE}", frozen=True) as store:
        uploads = store.uploads(most * LOOKED_AT)
    for upload in uploads:
        file, at_hand = pick(upload), known.get(upload.repo, {})
        if file is None:
            continue
        if len(found) == most:
            break
        if before and at_hand.get("commit") == upload.commit and (before / at_hand["file"]).is_file():
            _take_over(incoming / at_hand["file"], before / at_hand["file"])
            found[upload.repo] = at_hand
            continue
        try:
            fetched = _fetched(hub, upload, file, incoming)
        except RateLimited as error:  # the rest comes with the next snapshot
            log.warning("no more pictures for now: %s", error)
            break
        except HubError as error:
            log.info("no picture: %s", error)
            continue
        if fetched:
            found[upload.repo] = {"commit": upload.commit, "file": fetched}
    (incoming / PICTURES_LIST).write_text(
        json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    return len(found)


def kept(folder: Path) -> Callable[[str], str | None]:
    """Gives the picture of a repo out of a snapshot, as an address that holds all of it."""
    listed = _listed(folder)

    def address(repo: str) -> str | None:
        file = listed.get(repo, {}).get("file", "")
        if not file.startswith(f"{PICTURES}/") or file.count("/") != 1:
            return None
        try:
            raw = (folder / file).read_bytes()
        except OSError:
            return None
        kind = kind_of(raw)
        return f"data:image/{kind};base64,{base64.b64encode(raw).decode()}" if kind else None

    return address


def _fetched(hub: Hub, upload: Upload, file: str, incoming: Path) -> str | None:
    """Where the picture lies in the snapshot now; None where it is too large, or none."""
    raw = texts.read(hub, upload.repo, upload.commit, file, MAX_BYTES)
    kind = kind_of(raw) if raw else None
    if raw is None or kind is None:
        return None
    name = f"{PICTURES}/{hashlib.sha256(raw).hexdigest()[:32]}.{kind}"
    (incoming / PICTURES).mkdir(exist_ok=True)
    (incoming / name).write_bytes(raw)
    return name


def _take_over(target: Path, source: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    if not target.exists():
        second_name(source, target)


def _listed(folder: Path | None) -> dict[str, dict[str, str]]:
    """Which model has which picture; nothing of a list that is none."""
    try:
        told = json.loads((folder / PICTURES_LIST).read_bytes()) if folder else {}
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {
        repo: entry
        for repo, entry in told.items()
        if isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())
    }
