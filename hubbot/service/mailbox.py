"""The Hub's webhooks, as the fast lane beside polling.

A webhook names a repo and nothing that it says is believed: the facts are fetched. So a replayed one does
no harm, and one that is lost comes with the next poll. Of strangers there may be many, hence the bounds.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Callable
from typing import Any

MOST_WAITING = 1_000
"""Repos; the Hub triggers a thousand webhooks a day."""
MOST_PER_MINUTE = 120
MAX_BODY_BYTES = 100_000
"""A payload is some two kilobytes."""


class Refusal(Exception):
    """Why a webhook is not taken, with the HTTP status that says so."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Mailbox:
    """Repos that webhooks have named and that nobody has looked at yet. Safe to share between threads.

    Args:
        secret: what the Hub sends along; without one nothing is taken.
        is_repo_name: whether a text may be the name of a repo.
        clock: seconds.
    """

    def __init__(
        self,
        secret: str,
        is_repo_name: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret, self._is_repo_name, self._clock = secret, is_repo_name, clock
        self._lock = threading.Lock()
        self._waiting: dict[str, None] = {}
        self._minute, self._came = clock(), 0

    def check(self, secret: str | None) -> None:
        """Before a byte of the body is read.

        Raises:
            Refusal: no webhooks are taken here; the secret is another; too many came within a minute.
        """
        if not self._secret:
            raise Refusal(404, "no webhooks are taken here: HUBBOT_WEBHOOK_SECRET is not set")
        with self._lock:
            now = self._clock()
            if now - self._minute >= 60:
                self._minute, self._came = now, 0
            self._came += 1
            if self._came > MOST_PER_MINUTE:
                raise Refusal(429, "too many webhooks within a minute")
        if not hmac.compare_digest((secret or "").encode(), self._secret.encode()):
            raise Refusal(401, "the secret is another")

    def put(self, body: bytes) -> str | None:
        """The repo that a payload names, now waiting; None where it speaks of no model.

        Raises:
            Refusal: it is no payload; the mailbox is full.
        """
        repo = self._named(body)
        if repo is None:
            return None
        with self._lock:
            if repo not in self._waiting and len(self._waiting) >= MOST_WAITING:
                raise Refusal(503, "too many repos wait to be looked at")
            self._waiting[repo] = None
        return repo

    def empty(self) -> list[str]:
        """What waits, each repo once, in the order in which it was first named."""
        with self._lock:
            found, self._waiting = list(self._waiting), {}
        return found

    def _named(self, body: bytes) -> str | None:
        try:
            payload: Any = json.loads(body)
        except (ValueError, RecursionError):
            raise Refusal(400, "the body is no JSON") from None
        repo = payload.get("repo") if isinstance(payload, dict) else None
        if not isinstance(repo, dict) or not isinstance(name := repo.get("name"), str):
            raise Refusal(400, "it names no repo")
        if repo.get("type") != "model":
            return None
        if not self._is_repo_name(name):
            raise Refusal(400, "this is no name of a repo")
        return name
