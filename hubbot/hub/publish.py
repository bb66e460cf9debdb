"""Putting files into a repo of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from hubbot.errors import HubUnavailable, UsageError
from hubbot.hub.client import Hub
from hubbot.hub.downloads import RepoKind
from hubbot.hub.faults import NO_TOKEN_HINT, translated
from hubbot.hub.uploads import is_repo_name


def publish(
    hub: Hub,
    repo: str,
    files: Mapping[str, bytes | Path],
    *,
    message: str,
    private: bool = False,
    kind: RepoKind = "model",
    replaced: Callable[[str], bool] = lambda _: False,
) -> str:
    """Commit files to a repo, which is made if it is missing; the commit's address.

    Nothing is tried again: what failed may have been done, and the person who asked can see.

    Args:
        private: of a repo that is made now.
        kind: a Space is made as one of Gradio's.
        replaced: says of a path that is there whether it goes, where it is not among the files.

    Raises:
        UsageError: that is no name of a repo, or there is no token.
        HubError: the Hub does not allow it, or refuses the card.
    """
    if "/" not in repo or not is_repo_name(repo):
        raise UsageError(f"{repo!r} is not a repo", hint="a repo is written owner/name")
    if not hub.api.token:
        raise UsageError("publishing takes a token", hint=NO_TOKEN_HINT)
    sdk = "gradio" if kind == "space" else None
    changes: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(path, content) for path, content in sorted(files.items())
    ]
    try:
        with translated(repo=repo):
            hub.api.create_repo(repo, private=private, exist_ok=True, repo_type=kind, space_sdk=sdk)
            there = hub.api.list_repo_files(repo, repo_type=kind)
            changes += [CommitOperationDelete(path) for path in there if path not in files and replaced(path)]
            done = hub.api.create_commit(repo, changes, commit_message=message, repo_type=kind)
    except RuntimeError as error:  # what the client makes of any fault of an upload
        raise HubUnavailable(str(error), repo=repo) from error
    return str(done.commit_url)
