"""Suggest: cards read, pull requests looked up and opened.

Opening is the one thing that others see. It is never tried again by itself: a commit whose answer got
lost may well have been made.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, Discussion, DiscussionComment

from hubbot.errors import CardError, HubError
from hubbot.hub import texts
from hubbot.hub.client import Hub
from hubbot.hub.faults import NO_TOKEN_HINT, FileNotThere, shown, translated
from hubbot.records import PullRequest, Suggestion

CARD = "README.md"
MAX_CARD_BYTES = 2_000_000


def whoami(hub: Hub) -> str:
    """The name that the token belongs to; asked once per Hub object, since the Hub limits it strictly.

    Raises:
        HubError: there is no token, or the Hub does not accept it.
    """
    if not hub.api.token:
        raise HubError("this needs a token", hint=NO_TOKEN_HINT)
    found: Any = hub.reading(lambda: hub.api.whoami(cache=True))
    name = found.get("name") if isinstance(found, dict) else None
    if not isinstance(name, str) or not name:
        raise HubError("the Hub does not say whose token this is")
    return name


def earlier(hub: Hub, repo: str, author: str) -> list[PullRequest]:
    """The author's pull requests on a repo, in whatever state, newest first as the Hub lists them.

    Raises:
        AccessDenied: the owner has turned discussions off.
        HubError: see `translated`.
    """

    def listed() -> list[PullRequest]:
        talks = hub.api.get_repo_discussions(
            repo, author=author, discussion_type="pull_request", discussion_status="all"
        )
        return [_pull(hub, repo, talk) for talk in talks if talk.is_pull_request and talk.author == author]

    return hub.reading(listed, repo=repo)


def pull_status(hub: Hub, repo: str, number: int) -> PullRequest:
    """What became of a pull request, and what was said there.

    Raises:
        HubError: it cannot be had; `RepoNotFound` where repo or number are gone.
    """
    talk = hub.reading(lambda: hub.api.get_discussion_details(repo, number), repo=repo)
    answers = [
        str(event.content)
        for event in talk.events
        if isinstance(event, DiscussionComment) and event.author != talk.author and not event.hidden
    ]
    return replace(_pull(hub, repo, talk), answers=tuple(answers))


def last_word(pull: PullRequest) -> str:
    """What somebody else said last on a pull request of ours, as one short line; empty where nobody did."""
    return f"said there: {shown(' '.join(pull.answers[-1].split()))}" if pull.answers else ""


def close(hub: Hub, repo: str, number: int, words: str) -> None:
    """Close a pull request of ours, with a last word.

    Raises:
        HubError: the Hub refuses, or did not say.
    """
    with translated(repo=repo):
        hub.api.change_discussion_status(repo, number, "closed", comment=words)


def read_card(hub: Hub, repo: str, revision: str) -> bytes | None:
    """README.md as its owner wrote it, byte for byte; None where there is none.

    Raises:
        CardError: it is larger than any card.
        HubError: see `translated`.
    """
    try:
        raw = texts.read(hub, repo, revision, CARD, MAX_CARD_BYTES)
    except FileNotThere:
        return None
    if raw is None:
        raise CardError(f"a card over {MAX_CARD_BYTES} bytes is not read", repo=repo, file=CARD)
    return raw


def validate_card(hub: Hub, text: str) -> list[str]:
    """What the Hub would reject in a card; empty where it is valid.

    Raises:
        HubError: the Hub did not say.
    """
    body = {"content": text, "repoType": "model"}
    found, _ = hub.json("/api/validate-yaml", body=body, accepted=(400,))
    errors = found.get("errors", []) if isinstance(found, dict) else []
    return [shown(str(error.get("message", error) if isinstance(error, dict) else error)) for error in errors]


def open_pull(
    hub: Hub,
    suggestion: Suggestion,
    author: str,
    *,
    asked: bool = False,
    note: Callable[[], None] = lambda: None,
) -> PullRequest:
    """Open a pull request with a suggestion's README, if the author has not asked this repo before.

    Args:
        author: who we are, see `whoami`; what they asked earlier is looked up right before the commit.
        asked: the owner asks for it: one of this title that was answered is no hindrance.
        note: called when nothing but the commit is left: from here on it may exist.

    Raises:
        HubError: one of ours is open, or one of this title exists in whatever state; the card is just so
            already; the Hub refuses. After `HubUnavailable` the pull request may exist: look with `earlier`.
    """
    repo = suggestion.repo
    for pull in earlier(hub, repo, author):
        waits = pull.status not in ("merged", "closed")
        if waits or (pull.title == suggestion.title and not asked):
            raise HubError(f"pull request {pull.number} of ours exists and is {pull.status}", repo=repo)
    note()
    commit = _commit(hub, suggestion)
    if commit.pr_num is None or commit.pr_url is None:
        raise HubError("the card says this already, no pull request was opened", repo=repo)
    return PullRequest(repo, commit.pr_num, suggestion.title, "open", author, commit.pr_url)


def _commit(hub: Hub, suggestion: Suggestion) -> CommitInfo:
    card = CommitOperationAdd(CARD, suggestion.new_text.encode())
    with translated(repo=suggestion.repo, file=CARD), warnings.catch_warnings():
        # The client passes the Hub's remarks about a card on as Python warnings.
        warnings.simplefilter("ignore", UserWarning)
        return hub.api.create_commit(
            suggestion.repo,
            [card],
            commit_message=suggestion.title,
            commit_description=suggestion.body,
            parent_commit=suggestion.base_commit,
            create_pr=True,
        )


def _pull(hub: Hub, repo: str, talk: Discussion) -> PullRequest:
    url = f"{hub.endpoint}/{repo}/discussions/{talk.num}"
    return PullRequest(repo, talk.num, str(talk.title), str(talk.status), str(talk.author), url)
