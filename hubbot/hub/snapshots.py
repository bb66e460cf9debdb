"""A few whole files of a repo on this disk: how an expert that lies on the Hub gets here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hubbot.errors import HubError, RepoNotFound
from hubbot.hub.client import Hub

MAX_BYTES = 500_000_000
"""An expert has a few megabytes; nobody's repo may fill the disk."""


def snapshot(hub: Hub, repo: str, names: Sequence[str], cache: Path) -> Path:
    """The folder that holds these files of the repo's head, fetched once a commit.

    Args:
        names: files at the top of the repo; those that it has not are left out.
        cache: where snapshots are kept, in huggingface_hub's layout.

    Raises:
        RepoNotFound: no such repo.
        HubError: it cannot be had, or is too large.
    """
    info = hub.reading(lambda: hub.api.model_info(repo, files_metadata=True), repo=repo)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if file.rfilename in names}
    if not sizes:
        raise RepoNotFound(f"has none of {', '.join(names)}", repo=repo)
    if sum(sizes.values()) > MAX_BYTES:
        raise HubError(f"{sum(sizes.values())} bytes are not fetched, limit {MAX_BYTES}", repo=repo)
    fetched = hub.reading(
        lambda: hub.api.snapshot_download(
            repo, revision=info.sha, allow_patterns=list(sizes), cache_dir=cache
        ),
        repo=repo,
    )
    return Path(fetched)
