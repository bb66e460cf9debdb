"""One bot per database: a lock file beside it, which the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from hubbot.errors import StoreError, StoreLocked

PATIENCE_S = 0.3
"""Longer than it takes somebody to look who holds the lock."""


@contextmanager
def lock(path: Path, owner: str) -> Iterator[None]:
    """Hold the lock.

    Raises:
        StoreLocked: another holds it; the message says who, since when.
        StoreError: the file cannot be made.
    """
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the lock cannot be taken: {error.strerror}", file=str(path)) from error
    with file:
        if not _taken(file, fcntl.LOCK_EX, PATIENCE_S):
            raise StoreLocked(f"the database belongs to {_read(file)}", hint="stop it, or ask it instead")
        note = {"owner": owner, "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        _write(file, json.dumps(note))
        try:
            yield
        finally:
            # Emptied and not deleted: somebody may be waiting on this very file.
            _write(file, "")


def locked_by(path: Path) -> str | None:
    """Who holds the lock, for people; None where nobody does."""
    try:
        with path.open("r", encoding="utf-8") as file:
            return None if _taken(file, fcntl.LOCK_SH) else _read(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"the lock cannot be read: {error.strerror}", file=str(path)) from error


def _taken(file: IO[str], kind: int, patience_s: float = 0.0) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _write(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _read(file: IO[str]) -> str:
    file.seek(0)
    try:
        note = json.loads(file.read())
        return f"{note['owner']} (process {note['pid']}, since {note['since']})"
    except (ValueError, TypeError, KeyError):
        return "a process that has not said its name"
