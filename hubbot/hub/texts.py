"""Small files that people wrote: cards and configs, whole or not at all."""

from __future__ import annotations

from hubbot.hub.client import Hub
from hubbot.hub.downloads import RepoKind, address


def read(
    hub: Hub, repo: str, revision: str, file: str, limit: int, *, kind: RepoKind = "model"
) -> bytes | None:
    """A file byte for byte; None where it has more than `limit` bytes.

    Raises:
        FileNotThere: the repo has none of that name.
        HubError: see `translated`.
    """
    path = address(repo, revision, file, kind)

    def once() -> bytes | None:
        kept = bytearray()
        with hub.wire.opened(path, repo=repo, file=file) as response:
            for piece in hub.wire.pieces(response):
                kept += piece
                if len(kept) > limit:
                    return None
        return bytes(kept)

    return hub.patience.with_reads(once)
