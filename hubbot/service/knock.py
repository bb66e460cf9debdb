"""At the door of the bot that runs on a database: how the command line asks it for something."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from hubbot.errors import UsageError

TIMEOUT_S = 10.0
OPENING_S = 5.0
"""A bot takes its database first and opens its door a moment later."""
EVERY_S = 0.5

Progress = Callable[[int, int], None]
"""Told how far an order has come: done, of how many."""


def note_of(database: Path) -> Path:
    """Where the address and the key of whoever runs on this database are to be found."""
    return database.with_name(database.name + ".door")


class Door:
    """The door of the bot that owns a database.

    Args:
        opening_s: for how long a bot without a door is taken to be one that is just opening it.
        timeout_s: how long it may take to answer.

    Raises:
        UsageError: there is none, or it does not let us in.
    """

    def __init__(self, database: Path, *, opening_s: float = OPENING_S, timeout_s: float = TIMEOUT_S) -> None:
        note = _note(note_of(database), opening_s)
        self._http = httpx.Client(
            base_url=note["url"],
            headers={"Authorization": f"Bearer {note['key']}"},
            timeout=timeout_s,
            trust_env=False,  # a proxy has no business with what is said on this machine
        )

    def state(self) -> Any:
        """The bot at this moment, see `hubbot.service.state`."""
        return self._asked("GET", "/state")

    def order(self, verb: str, args: Mapping[str, Any], by: str) -> int:
        """Give an order; its number."""
        return int(self._asked("POST", "/orders", json={"verb": verb, "args": dict(args), "by": by})["order"])

    def outcome(self, order: int, wait_s: float, progress: Progress = lambda *_: None) -> str | None:
        """What an order came to; None where it is still at hand after `wait_s` seconds."""
        deadline = time.monotonic() + wait_s
        while True:
            found = self._asked("GET", f"/orders/{order}")
            if far := found["progress"]:
                progress(int(far.get("done", 0)), int(far.get("of", 0)))
            if found["finished_at"]:
                return str(found["outcome"])
            if time.monotonic() >= deadline:
                return None
            time.sleep(EVERY_S)

    def _asked(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._http.request(method, path, **more)
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise UsageError(f"the running bot does not answer: {error}") from None
        if answer.is_error:
            raise UsageError(f"the running bot refuses: {found.get('detail', answer.status_code)}")
        return found

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _note(path: Path, opening_s: float) -> Mapping[str, str]:
    deadline = time.monotonic() + opening_s
    while True:
        try:
            found: Mapping[str, str] = json.loads(path.read_text())
            return found
        except PermissionError:
            raise UsageError(
                "the running bot is another user's", hint=f"only that user may read {path}"
            ) from None
        except (OSError, ValueError):
            if time.monotonic() >= deadline:
                raise UsageError(
                    "a bot owns the database, and has no door to ask it through",
                    hint="it is just starting or stopping, or runs as `hubbot poll`: try again",
                ) from None
            time.sleep(0.1)
