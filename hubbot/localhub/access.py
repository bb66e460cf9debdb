"""Who asks, and what they may see and do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request

from hubbot.localhub.names import check_user
from hubbot.localhub.refused import Refused, repo_not_found
from hubbot.localhub.repos import Repo


class Access:
    """Maps tokens to users and answers what they may do.

    Args:
        tokens: token to user name. None reads `tokens.json` in the Hub's folder; without that file
            every token of the form `hf_NAME` belongs to the user NAME, which is right for loopback only.
    """

    def __init__(self, folder: Path, tokens: Mapping[str, str] | None = None) -> None:
        listed = folder / "tokens.json"
        if tokens is None and listed.is_file():
            tokens = json.loads(listed.read_text())
        self._tokens = tokens

    def user(self, request: Request) -> str | None:
        """The user of the request's token; None for a stranger.

        Raises:
            Refused: 401, for a token that nobody has.
        """
        header = request.headers.get("authorization", "")
        if not header:
            return None
        kind, _, token = header.partition(" ")
        user = self._owner_of(token.strip()) if kind.lower() == "bearer" else None
        if user is None:
            raise Refused(401, "Invalid credentials in Authorization header")
        return user

    def _owner_of(self, token: str) -> str | None:
        if self._tokens is not None:
            return self._tokens.get(token)
        try:
            return check_user(token.removeprefix("hf_")) if token.startswith("hf_") else None
        except Refused:
            return None

    @staticmethod
    def sees(user: str | None, repo: Repo) -> bool:
        return not repo.private or user == repo.owner or user in repo.granted

    def check_read(self, user: str | None, repo: Repo) -> None:
        """May they know of it? Raises Refused as for a missing repo, or 403 if it is disabled."""
        if not self.sees(user, repo):
            raise repo_not_found(known_user=user is not None)
        if repo.disabled:
            raise Refused(403, "Access to this resource is disabled.")

    def check_download(self, user: str | None, repo: Repo) -> None:
        """May they have its files? Raises Refused, GatedRepo, where the owner has not let them in."""
        if repo.gated and user != repo.owner and user not in repo.granted:
            status = 401 if user is None else 403
            raise Refused(status, f"Access to model {repo.id} is restricted.", error_code="GatedRepo")

    @staticmethod
    def check_known(user: str | None) -> str:
        if user is None:
            raise Refused(401, "Invalid username or password.")
        return user

    def check_write(self, user: str | None, owner: str) -> str:
        known = self.check_known(user)
        if known != owner:
            raise Refused(403, f"You don't have the rights to do that under the namespace {owner!r}")
        return known
