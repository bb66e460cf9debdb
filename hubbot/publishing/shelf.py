"""Snapshots on a disk, one of which is current, changed while others read.

    shelf/current -> 3f5a…/     the one in force; replaced by a rename, so that it always leads somewhere
    shelf/3f5a…/                a snapshot under its manifest's id; it never changes
    shelf/.incoming/            the next one, until it is whole
    shelf/.lock                 held by whoever changes the shelf

A reader holds a snapshot by a shared lock on its manifest. Whoever changes the shelf removes those that are
not current and that nobody holds. The kernel lets go of a lock when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from hubbot.errors import SnapshotError
from hubbot.publishing.manifest import MANIFEST, Manifest, of_folder

CURRENT, INCOMING, LOCK, GONE = "current", ".incoming", ".lock", ".gone-"
PATIENCE_S = 2.0
"""Longer than a sweep takes, which must not stop who has a new snapshot; shorter than a pull."""


class Shelf:
    """A folder of snapshots, which may not be there yet.

    Args:
        folder: may also be a single snapshot, which is current and stays it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def current(self) -> Path | None:
        """The folder of the snapshot in force; None where there is none yet."""
        for place in (self.folder / CURRENT, self.folder):
            if (place / MANIFEST).is_file():
                return place.resolve()
        return None

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """A place for the next snapshot, ours alone; what an earlier try left is still there.

        Raises:
            SnapshotError: another process changes the shelf, or it is a snapshot itself.
        """
        if (self.folder / MANIFEST).is_file():
            hint = "name the folder that it lies in, or another"
            raise SnapshotError("this is a snapshot, which never changes", file=str(self.folder), hint=hint)
        if self.folder.is_dir() and not self._is_ours():
            hint = "name one that is empty or not there yet"
            raise SnapshotError("the folder holds something else", file=str(self.folder), hint=hint)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("a") as lock:
            if not _taken(lock, fcntl.LOCK_EX, PATIENCE_S):
                raise SnapshotError("another process is changing it", file=str(self.folder))
            (self.folder / INCOMING).mkdir(exist_ok=True)
            yield self.folder / INCOMING
            self._sweep()

    def put(self, manifest: Manifest) -> Path:
        """Make what lies in the incoming place, whole and checked, the current one; within `changing`."""
        incoming, place = self.folder / INCOMING, self.folder / manifest.id
        (incoming / MANIFEST).write_bytes(manifest.dump())
        _settle(incoming)
        if place.exists():  # made before, and taken back since: the one there is as good
            shutil.rmtree(incoming)
        else:
            incoming.rename(place)
        link = self.folder / f"{CURRENT}.next"
        link.unlink(missing_ok=True)
        link.symlink_to(manifest.id)
        link.replace(self.folder / CURRENT)
        _sync(self.folder)
        return place

    def sweep(self) -> None:
        """Remove what is neither current nor read any more; nothing, where another is at it."""
        if not os.access(self.folder, os.W_OK) or not (self.folder / LOCK).is_file():
            return
        with (self.folder / LOCK).open("a") as lock:
            if _taken(lock, fcntl.LOCK_EX):
                self._sweep()

    def _sweep(self) -> None:
        current = self.current()
        for place in self.folder.iterdir():
            if place.name.startswith(GONE):
                shutil.rmtree(place, ignore_errors=True)
            elif _is_snapshot(place) and place.resolve() != current:
                _remove(place)

    def _is_ours(self) -> bool:
        names = {path.name for path in self.folder.iterdir()}
        return not names or LOCK in names


def hold(place: Path) -> IO[bytes]:
    """Keep a snapshot from being removed until the file that this gives is closed.

    Raises:
        SnapshotError: it has just been removed, or there is none.
    """
    try:
        held = (place / MANIFEST).open("rb")
    except OSError as error:
        raise SnapshotError(f"no snapshot: {error.strerror}", file=str(place)) from error
    with suppress(FileNotFoundError):
        if _taken(held, fcntl.LOCK_SH) and os.path.samestat(
            (place / MANIFEST).stat(), os.fstat(held.fileno())
        ):
            return held
    held.close()
    raise SnapshotError("it is being removed", file=str(place))


def manifest_of(shelf: Shelf) -> Manifest | None:
    """Of the current snapshot, if there is one that can be read."""
    current = shelf.current()
    with suppress(SnapshotError):
        return of_folder(current) if current else None
    return None


def _is_snapshot(place: Path) -> bool:
    return not place.name.startswith(".") and not place.is_symlink() and (place / MANIFEST).is_file()


def _remove(place: Path) -> None:
    """A snapshot that nobody reads; its name goes first, so that nobody begins to."""
    with suppress(FileNotFoundError), (place / MANIFEST).open("rb") as held:
        if _taken(held, fcntl.LOCK_EX):
            gone = place.with_name(GONE + place.name)
            place.rename(gone)
            shutil.rmtree(gone)


def _settle(folder: Path) -> None:
    """All of it on the disk, before a name says that it is there."""
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            _sync(path)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _taken(file: IO[bytes] | IO[str], kind: int, patience_s: float = 0.0) -> bool:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True
