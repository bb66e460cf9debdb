"""The one error of the local Hub: what it answers when it does not do what was asked."""

from __future__ import annotations

from hubbot.errors import UsageError


class Refused(UsageError):
    """The local Hub does not do that.

    Args:
        status: the HTTP status that says so.
        error_code: the Hub's `X-Error-Code`, e.g. `EntryNotFound`; clients choose their exception by it.
        commit: where a file was not found, so that a client can remember that it is not there.
        location: where to ask instead.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_code: str | None = None,
        commit: str | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        given = {"X-Error-Code": error_code, "X-Repo-Commit": commit, "Location": location}
        self.headers = {name: value for name, value in given.items() if value}


def repo_not_found(*, known_user: bool = True) -> Refused:
    """Missing and hidden look alike; a stranger is told 401, as on the Hub."""
    if known_user:
        return Refused(404, "Repository not found", error_code="RepoNotFound")
    return Refused(401, "Repository not found", error_code="RepoNotFound")


def moved(location: str) -> Refused:
    return Refused(307, "The repo has another name now", location=location)


def revision_not_found(revision: str) -> Refused:
    return Refused(404, f"Invalid rev id: {revision}", error_code="RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> Refused:
    return Refused(404, f"Entry not found: {path}", error_code="EntryNotFound", commit=commit)
