"""Where admins review suggestions: the queue is read here; what they say of it is asked of the running bot.

Nothing is written here. An order goes to the bot's own door with the key that lies beside the database, and
where no bot answers there are no orders (decision 2).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from hubbot.errors import UsageError
from hubbot.records import Suggestion, SuggestionState
from hubbot.service.knock import Door

if TYPE_CHECKING:
    from hubbot.store.store import Store

VERBS = frozenset({"card approve", "card reject", "card edit", "card open"})
"""All that is ordered from here."""

GLANCE_S = 2.0
"""For a bot to say that it is there."""

PATIENCE_S = 60.0
"""For it to carry an order out; it does so later all the same."""


@dataclass(frozen=True, slots=True)
class Answering:
    """A bot that is there.

    Args:
        opens: whether it would open a pull request now if it were told to.
    """

    mode: str
    opens: bool


class Desk:
    """The queue of suggestions, and the way to whoever owns it.

    Args:
        store: an open store; read only is enough.
        password: opens the desk to whoever knows it; empty: nobody comes in by one.
        admins: names of users of the Hub, in lower case.
    """

    def __init__(self, store: Store, *, password: str = "", admins: frozenset[str] = frozenset()) -> None:
        self._store = store
        self._password = _digest(password) if password else b""
        self.admins = admins

    @property
    def has_password(self) -> bool:
        return bool(self._password)

    def admits(self, password: str) -> bool:
        """Whether this is the password; it takes as long whatever it is."""
        return hmac.compare_digest(_digest(password), self._password)

    def counts(self) -> Mapping[str, int]:
        """How many suggestions are in which state, in the order in which they pass through these."""
        found = self._store.suggestions_by_state()
        return {state.value: found.get(state.value, 0) for state in SuggestionState}

    def queue(self, state: str, within: str = "", limit: int = 100) -> Sequence[Suggestion]:
        """Those in a state, the oldest first; of repos whose names hold what is in `within`."""
        if state not in {known.value for known in SuggestionState}:
            return []
        return self._store.suggestions(SuggestionState(state), within=within, limit=limit)

    def suggestion(self, repo: str) -> Suggestion | None:
        """The one of a repo, as it is now."""
        return self._store.suggestion(repo)

    def answering(self) -> Answering | None:
        """The running bot; None where none answers."""
        try:
            with Door(self._store.path, opening_s=0.0, timeout_s=GLANCE_S) as door:
                state = door.state()
        except UsageError:
            return None
        return Answering(str(state["mode"]), bool(state["reachable"]) and state["mode"] != "off")

    def order(self, verb: str, args: Mapping[str, str | bool | None], by: str) -> str:
        """Have the running bot do it; what came of it, as a sentence.

        Raises:
            UsageError: it could not be done, or no bot answers.
        """
        from hubbot.orders import FAILED

        if verb not in VERBS:
            raise UsageError(f"{verb!r} is not ordered from here")
        with Door(self._store.path, opening_s=0.0) as door:
            number = door.order(verb, args, by)
            outcome = door.outcome(number, PATIENCE_S)
        if outcome is None:
            return f"handed to the running bot as order {number}, which it has not come to yet"
        if outcome.startswith(FAILED):
            raise UsageError(outcome.removeprefix(FAILED))
        return outcome


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
