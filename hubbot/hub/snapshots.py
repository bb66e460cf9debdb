"""A few whole files of a repo on this disk: how an expert, or the index of a zoo, gets here from the Hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import DatasetInfo, ModelInfo
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

from hubbot.errors import HubError, RepoNotFound
from hubbot.hub.client import Hub

MAX_BYTES = 500_000_000
"""An expert has a few megabytes, an index less; nobody's repo may fill the disk."""


def snapshot(hub: Hub, repo: str, names: Sequence[str], cache: Path) -> Path:
    """The folder that holds these files of the repo's head, fetched once a commit.

    Args:
        names: files at the top of the repo; those that it has not are left out.
        cache: where snapshots are kept, in huggingface_hub's layout.

    Raises:
        RepoNotFound: no such repo, or it has none of them.
        HubError: it cannot be had, or is too large.
    """
    folder, found = files(hub, repo, lambda path: path in names, cache)
    if not found:
        raise RepoNotFound(f"has none of {', '.join(names)}", repo=repo)
    return folder


def files(
    hub: Hub,
    repo: str,
    wanted: Callable[[str], bool],
    cache: Path,
    kind: Literal["model", "dataset"] = "model",
) -> tuple[Path, tuple[str, ...]]:
    """The files of a repo's head whose paths are wanted: the folder that holds them, and their paths.

    Raises:
        RepoNotFound: no such repo.
        HubError: it cannot be had, or is too large.
    """
    about = hub.api.dataset_info if kind == "dataset" else hub.api.model_info
    info: ModelInfo | DatasetInfo = hub.reading(lambda: about(repo, files_metadata=True), repo=repo)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if wanted(file.rfilename)}
    if sum(sizes.values()) > MAX_BYTES:
        raise HubError(f"{sum(sizes.values())} bytes are not fetched, limit {MAX_BYTES}", repo=repo)
    fetched = hub.reading(
        lambda: hub.api.snapshot_download(
            repo,
            repo_type=kind,
            revision=info.sha,
            allow_patterns=[*map(_exactly, sizes)],
            cache_dir=cache,
            tqdm_class=_Silent,
        ),
        repo=repo,
    )
    return Path(fetched), tuple(sorted(sizes))


class _Silent(tqdm):
    """The client's progress bar, not shown: who calls us has one of their own, or wants none."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{**more, "disable": True})  # type: ignore[no-untyped-call]


def _exactly(path: str) -> str:
    """A path as a pattern that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
