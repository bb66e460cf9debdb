"""A shelf on this disk for layers of far models: each is fetched once, and mapped into memory when wanted.

    FOLDER/index.db                      which model lies in which row; written after the row is
    FOLDER/q_proj.768x768.1f3a….f32      rows of one layer, one after the other, float32 and little-endian

Whatever interrupts a reading, at most the last row is lost: a row counts once the index names it, and it is
named after its bytes are on the disk, with their checksum. A row that does not answer to its checksum is
forgotten and fetched again. One process at a time may hold a shelf.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from hubbot.errors import ZooError
from hubbot.records import RemoteFile

if TYPE_CHECKING:
    from hubbot.records import Floats

INDEX = "index.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS models (
    id INTEGER PRIMARY KEY, repo TEXT, path TEXT, content_id TEXT, size INTEGER, notes TEXT,
    UNIQUE (repo, path, content_id));
CREATE TABLE IF NOT EXISTS commits (
    repo TEXT, sha TEXT, path TEXT, model INTEGER REFERENCES models, PRIMARY KEY (repo, sha, path));
CREATE TABLE IF NOT EXISTS parts (
    model INTEGER REFERENCES models, name TEXT, shape TEXT, place INTEGER, crc INTEGER,
    PRIMARY KEY (model, name));
CREATE UNIQUE INDEX IF NOT EXISTS one_row_each ON parts (name, shape, place);
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A model of which something lies on the shelf. `notes` is its file's own metadata."""

    key: int
    file: RemoteFile
    notes: Mapping[str, str]


class Shelf:
    """The shelf in a folder, made if missing.

    Args:
        limit_bytes: what its layers may take on the disk.

    Raises:
        ZooError: another process holds it, or it cannot be read.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._db = sqlite3.connect(folder / INDEX, isolation_level=None)
            self._db.executescript("PRAGMA synchronous = FULL;" + _SCHEMA)
        except BlockingIOError:
            self._lock.close()
            raise ZooError("another process is reading this zoo", file=str(folder)) from None
        except sqlite3.DatabaseError as error:
            self._lock.close()
            hint = "`hubbot zoo shelves --clear` empties it"
            raise ZooError(f"its index is broken: {error}", file=str(folder / INDEX), hint=hint) from error

    def __enter__(self) -> Shelf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._lock.close()

    # --- which models -----------------------------------------------------------------------

    def at_commit(self, repo: str, commit: str, path: str) -> Kept | None:
        """The model that was read at this very commit: nothing has to be asked of the Hub."""
        return self._kept(
            "SELECT models.* FROM models JOIN commits ON model = id "
            "WHERE commits.repo = ? AND sha = ? AND commits.path = ?",
            (repo, commit, path),
        )

    def with_content(self, repo: str, file: RemoteFile) -> Kept | None:
        """The model with this content, whatever commit it was read at."""
        return self._kept(
            "SELECT * FROM models WHERE repo = ? AND path = ? AND content_id = ?",
            (repo, file.path, file.content_id),
        )

    def _kept(self, query: str, values: tuple[str, ...]) -> Kept | None:
        row = self._db.execute(query, values).fetchone()
        if row is None:
            return None
        key, _, path, content_id, size, notes = row
        return Kept(key, RemoteFile(path, size, content_id), json.loads(notes))

    def has(self, kept: Kept, names: Collection[str]) -> bool:
        """Whether all these parts of a model lie here; what its checksum belies is forgotten."""
        rows = self._db.execute("SELECT name, shape, place, crc FROM parts WHERE model = ?", (kept.key,))
        found = {row[0]: row[1:] for row in rows if row[0] in names}
        for name, (shape, place, crc) in list(found.items()):
            if not self._sound(name, _sizes(shape), place, crc):
                self._db.execute("DELETE FROM parts WHERE model = ? AND name = ?", (kept.key, name))
                del found[name]
        return found.keys() == set(names)

    def shapes(self, name: str, models: Sequence[Kept]) -> list[tuple[int, ...]]:
        """Of each model the shape of one part.

        Raises:
            ZooError: one of them has no such part here.
        """
        return [_sizes(shape) for shape, _ in self._rows(name, models)]

    # --- in ---------------------------------------------------------------------------------

    def put(
        self, repo: str, commit: str, file: RemoteFile, notes: Mapping[str, str], parts: Mapping[str, Floats]
    ) -> Kept:
        """Lay parts of a model down, its commit and its metadata with them.

        Raises:
            ZooError: that would be over the limit, or the disk is full.
        """
        growth = sum(part.nbytes for part in parts.values())
        if self.bytes_kept() + growth > self.limit_bytes:
            hint = "raise HUBBOT_SHELF_BYTES, or clear other shelves: `hubbot zoo shelves --clear`"
            raise ZooError(
                f"its layers would take more than {self.limit_bytes} bytes", file=str(self.folder), hint=hint
            )
        rows = [(name, _text(part.shape), *self._write(name, part)) for name, part in parts.items()]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(
            "INSERT OR IGNORE INTO models (repo, path, content_id, size, notes) VALUES (?, ?, ?, ?, ?)",
            (repo, file.path, file.content_id, file.size, json.dumps(dict(notes))),
        )
        kept = self.with_content(repo, file)
        assert kept is not None  # noqa: S101 - the line above put it there
        self._db.executemany(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)", [(kept.key, *row) for row in rows]
        )
        self._db.execute(
            "INSERT OR REPLACE INTO commits VALUES (?, ?, ?, ?)", (repo, commit, file.path, kept.key)
        )
        self._db.execute("COMMIT")
        return kept

    def _write(self, name: str, part: Floats) -> tuple[int, int]:
        """Write a part into the first row that the index does not name; the row's number and checksum."""
        raw = np.ascontiguousarray(part, dtype="<f4").tobytes()
        [last] = self._db.execute(
            "SELECT coalesce(max(place), -1) FROM parts WHERE name = ? AND shape = ?",
            (name, _text(part.shape)),
        ).fetchone()
        path = self._path(name, part.shape)
        try:
            with path.open("r+b" if path.exists() else "w+b") as layer:
                layer.seek((last + 1) * len(raw))
                layer.write(raw)
                layer.flush()
                os.fsync(layer.fileno())
        except OSError as error:
            raise ZooError(f"cannot be written: {error.strerror}", file=str(path)) from error
        return last + 1, zlib.crc32(raw)

    # --- out --------------------------------------------------------------------------------

    def layer(self, name: str, models: Sequence[Kept]) -> Floats:
        """One part of many models in their order, (n, *shape); straight from the disk where it lies so.

        Raises:
            ZooError: one of them has no such part here, or one of another shape.
        """
        rows = self._rows(name, models)
        if len({shape for shape, _ in rows}) != 1:
            raise ZooError(f"{name} does not lie here in one shape", file=str(self.folder))
        places = [place for _, place in rows]
        mapped = self._mapped(name, _sizes(rows[0][0]))
        first, last = places[0], places[-1]
        if places == list(range(first, last + 1)):
            return mapped[first : last + 1]
        return mapped[places]

    def _rows(self, name: str, models: Sequence[Kept]) -> list[tuple[str, int]]:
        """Shape and place of one part of each model."""
        query = "SELECT shape, place FROM parts WHERE model = ? AND name = ?"
        rows = [self._db.execute(query, (kept.key, name)).fetchone() for kept in models]
        if None in rows:
            raise ZooError(f"{name} does not lie here for all models", file=str(self.folder))
        return rows

    def _mapped(self, name: str, shape: tuple[int, ...]) -> Floats:
        """A layer's file as an array, (rows, *shape): copied page by page if written to, and never back."""
        path = self._path(name, shape)
        rows = path.stat().st_size // (4 * math.prod(shape))
        return np.memmap(path, dtype="<f4", mode="c", shape=(rows, *shape))

    def _sound(self, name: str, shape: tuple[int, ...], place: int, crc: int) -> bool:
        size, path = 4 * math.prod(shape), self._path(name, shape)
        try:
            with path.open("rb") as layer:
                layer.seek(place * size)
                raw = layer.read(size)
        except OSError:
            return False
        return len(raw) == size and zlib.crc32(raw) == crc

    def _path(self, name: str, shape: Iterable[int]) -> Path:
        told = hashlib.sha256(f"{name} {_text(shape)}".encode()).hexdigest()[:12]
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', name)[-120:]}.{_text(shape)}.{told}.f32"

    def bytes_kept(self) -> int:
        """What the layers take on the disk."""
        return bytes_in(self.folder)


def bytes_in(folder: Path) -> int:
    """What the layers on a shelf take on the disk."""
    return sum(path.stat().st_size for path in folder.glob("*.f32"))


def shelves(home: Path) -> dict[Path, int]:
    """All shelves under a folder, with their bytes."""
    return {path.parent: bytes_in(path.parent) for path in sorted(home.glob(f"*/{INDEX}"))}


def clear(folder: Path) -> None:
    """Remove a shelf that nobody holds.

    Raises:
        ZooError: another process holds it.
    """
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ZooError("another process is reading this zoo", file=str(folder)) from None
        shutil.rmtree(folder)


def _text(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))
