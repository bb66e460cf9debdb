"""Putting a few files into a repo of our own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from hubbot.errors import HubUnavailable, UsageError
from hubbot.hub.client import Hub
from hubbot.hub.faults import NO_TOKEN_HINT, translated
from hubbot.hub.uploads import is_repo_name


def publish(
    hub: Hub, repo: str, files: Mapping[str, bytes | Path], *, message: str, private: bool = False
) -> str:
    """Commit files to a model repo, which is made if it is missing; the commit's address.

    Nothing is tried again: what failed may have been done, and the person who asked can see.

    Args:
        private: of a repo that is made now.

    Raises:
        UsageError: that is no name of a repo, or there is no token.
        HubError: the Hub does not allow it, or refuses the card.
    """
    if "/" not in repo or not is_repo_name(repo):
        raise UsageError(f"{repo!r} is not a repo", hint="a repo is written owner/name")
    if not hub.api.token:
        raise UsageError("publishing takes a token", hint=NO_TOKEN_HINT)
    adds = [CommitOperationAdd(path, content) for path, content in sorted(files.items())]
    try:
        with translated(repo=repo):
            hub.api.create_repo(repo, private=private, exist_ok=True)
            done = hub.api.create_commit(repo, adds, commit_message=message)
    except RuntimeError as error:  # what the client makes of any fault of an upload
        raise HubUnavailable(str(error), repo=repo) from error
    return str(done.commit_url)
