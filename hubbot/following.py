"""A library that goes over to the next snapshot while people search.

Who asks is answered by the snapshot that was in force when they asked, to the end. The next one is opened
and tried out beside it, and answers from then on; the old one is let go when its last answer has been given.
A snapshot that cannot be used changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hubbot.errors import HubbotError, HubError, RepoNotFound, SnapshotError
from hubbot.publishing.shelf import Shelf, hold

if TYPE_CHECKING:
    from hubbot.library import Library
    from hubbot.store.store import Store

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Between two looks at the shelf, which another process may have changed."""
HURRY_S = 30.0
"""Between two tries to pull, as long as there is nothing to show."""
TRIES = 10
"""A snapshot may be taken away between our hearing of it and our holding it."""


@dataclass(slots=True)
class _Held:
    """An open snapshot; `users` are the answers that are being given from it."""

    place: Path | None
    store: Store
    library: Library
    lock: IO[bytes] | None
    users: int = 0

    def close(self) -> None:
        self.store.close()
        if self.lock:
            self.lock.close()


class Following:
    """Stands in for a `Library`, and asks the one of the newest snapshot. Safe to use from several threads.

    Args:
        shelf: where snapshots lie.
        read: opens a snapshot's database; of None, an empty one, until there is something to show.
        pull: brings the next snapshot onto the shelf, if there is one; None where others do that.
        interval_s: between two pulls.

    Raises:
        SnapshotError, HubError: there is nothing to show, and waiting will not change that.
    """

    def __init__(
        self,
        shelf: Shelf,
        read: Callable[[Path | None], tuple[Store, Library]],
        pull: Callable[[], object] | None = None,
        *,
        interval_s: float = 3600.0,
    ) -> None:
        self._shelf, self._read, self._pull, self._interval_s = shelf, read, pull, interval_s
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._refused: Path | None = None
        self._next_pull = time.monotonic()
        if pull and shelf.current() is None:
            self._first_pull(pull)
        self._held = self._open()
        self._thread = threading.Thread(target=self._follow, name="snapshots", daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        held = self._held
        found = getattr(held.library, name)
        if not callable(found):
            return found

        @wraps(found)
        def asked(*args: Any, **more: Any) -> Any:
            with self._using() as library:
                return getattr(library, name)(*args, **more)

        return asked

    def close(self) -> None:
        """Stop following; whoever asks afterwards asks a closed store."""
        self._stopping.set()
        self._thread.join()
        self._held.close()

    @contextmanager
    def _using(self) -> Iterator[Library]:
        with self._lock:
            held = self._held
            held.users += 1
        try:
            yield held.library
        finally:
            with self._lock:
                held.users -= 1
                over = held is not self._held and not held.users
            if over:
                self._let_go(held)

    # --- the next one ---

    def _follow(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if self._pull and time.monotonic() >= self._next_pull:
                self._try_pull(self._pull)
            try:
                self._turn_over()
            except Exception:
                log.exception("a snapshot could not be gone over to")

    def _first_pull(self, pull: Callable[[], object]) -> None:
        try:
            pull()
            self._next_pull += self._interval_s
        except RepoNotFound:  # somebody mistyped it, and should hear of that now
            raise
        except HubError as error:
            log.warning("no snapshot yet: %s", error)
            self._next_pull += HURRY_S

    def _try_pull(self, pull: Callable[[], object]) -> None:
        pause = self._interval_s
        try:
            pull()
        except HubbotError as error:
            log.warning("the snapshot in force stays: %s", error)
            pause = pause if self._held.place else min(pause, HURRY_S)
        except Exception:
            log.exception("the snapshot in force stays")
        self._next_pull = time.monotonic() + pause

    def _turn_over(self) -> None:
        """Go over to the current snapshot, if it is another than the one in use and has not been refused."""
        place = self._shelf.current()
        if place is None or place in (self._held.place, self._refused):
            return
        try:
            following = self._open()
        except HubbotError as error:
            log.warning("a snapshot cannot be used: %s", error)
            self._refused = place
            return
        try:
            following.library.search("a model", limit=1)  # builds what a search needs before anybody waits
        except HubbotError as error:
            log.warning("a snapshot cannot be searched: %s", error)
            self._refused = place
            following.close()
            return
        with self._lock:
            before, self._held = self._held, following
            over = not before.users
        log.info("snapshot %s answers", place.name)
        if over:
            self._let_go(before)

    def _open(self) -> _Held:
        if self._pull and self._shelf.current() is None:
            return _Held(None, *self._read(None), None)
        for _ in range(TRIES):
            place = self._shelf.current()
            if place is None:
                hint = "`hubbot snapshot build` and `pull` make one"
                raise SnapshotError("there is none here", file=str(self._shelf.folder), hint=hint)
            try:
                lock = hold(place)
            except SnapshotError:
                time.sleep(0.01)
                continue
            try:
                return _Held(place, *self._read(place), lock)
            except BaseException:
                lock.close()
                raise
        raise SnapshotError("it is taken away as fast as it comes", file=str(self._shelf.folder))

    def _let_go(self, held: _Held) -> None:
        held.close()
        self._shelf.sweep()
