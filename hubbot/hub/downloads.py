"""A large file of a repo onto this disk, as long as it is what it was said to be.

It is written down as it comes, and what came stays: whoever asks again goes on there. huggingface_hub's own
download would keep a second copy in its cache, and follows redirects of which we know less.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote

from hubbot.errors import HubError, HubUnavailable, SnapshotError, TruncatedFile
from hubbot.hub.client import Hub

RepoKind = Literal["model", "dataset", "space"]


def address(repo: str, revision: str, file: str, kind: RepoKind = "model") -> str:
    """The path of a file below the endpoint."""
    under = "" if kind == "model" else f"{kind}s/"
    return f"/{under}{quote(repo, safe='/')}/resolve/{quote(revision, safe='')}/{quote(file, safe='/')}"


def head(hub: Hub, repo: str, kind: RepoKind) -> str:
    """The commit that a repo is at.

    Raises:
        RepoNotFound: there is no such repo, or none that we may see.
        HubError: see `translated`.
    """
    info = hub.reading(lambda: hub.api.repo_info(repo, repo_type=kind), repo=repo)
    if not info.sha:
        raise HubUnavailable("the Hub names no commit", repo=repo)
    return info.sha


def download(
    hub: Hub, repo: str, commit: str, file: str, target: Path, *, size: int, sha256: str, kind: RepoKind
) -> None:
    """Fetch a file, or the rest of it.

    Args:
        target: the file to be; what an earlier try left there is gone on from.

    Raises:
        HubError: what the repo has is not what was said; the target is gone then.
        HubUnavailable: it did not come whole, after the retries; what came stays.
        SnapshotError: this disk does not take it.
    """
    path = address(repo, commit, file, kind)
    try:
        hub.patience.with_reads(lambda: _go_on(hub, repo, file, path, target, size))
        with target.open("rb") as whole:
            found = hashlib.file_digest(whole, "sha256").hexdigest()
    except TruncatedFile as error:
        target.unlink(missing_ok=True)
        raise HubError(f"it is shorter than the {size} bytes that were said", repo=repo, file=file) from error
    except OSError as error:
        raise SnapshotError(f"cannot be written: {error.strerror}", repo=repo, file=file) from error
    if found != sha256:
        target.unlink()
        raise HubError("its hash is not the one that was said", repo=repo, file=file)


def _go_on(hub: Hub, repo: str, file: str, path: str, target: Path, size: int) -> None:
    have = target.stat().st_size if target.exists() else 0
    if have > size:
        target.unlink()
        have = 0
    if have == size and target.exists():
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-{size - 1}"} if have else {})
    with hub.wire.opened(path, repo=repo, file=file, headers=headers) as response:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise HubUnavailable("a compressed answer", repo=repo, file=file)
        begin = have if response.headers.get("Content-Range", "").startswith(f"bytes {have}-") else 0
        with _opened(target, begin, repo, file) as kept:
            came = begin
            for piece in hub.wire.pieces(response):
                came += len(piece)
                if came > size:
                    raise HubError(f"it is longer than the {size} bytes that were said", repo=repo, file=file)
                _write(kept, piece, repo, file)
    if came < size:
        raise HubUnavailable(f"{came} of {size} bytes came", repo=repo, file=file)


def _opened(target: Path, begin: int, repo: str, file: str) -> IO[bytes]:
    try:
        return target.open("ab" if begin else "wb")
    except OSError as error:
        raise SnapshotError(f"cannot be written: {error.strerror}", repo=repo, file=file) from error


def _write(kept: IO[bytes], piece: bytes, repo: str, file: str) -> None:
    # Here and not around it all: a full disk must not be taken for a Hub that does not answer.
    try:
        kept.write(piece)
    except OSError as error:
        raise SnapshotError(f"cannot be written: {error.strerror}", repo=repo, file=file) from error
