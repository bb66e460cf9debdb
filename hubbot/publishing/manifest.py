"""What a snapshot is: the files that its manifest lists, each with its size and hash.

    manifest.json
    hubbot.db            what strangers may have of the store, text heads among it (`store.copies`)
    hubbot.db.index/     the base of its search index, where there is one
    pictures.json        which model has which picture
    pictures/HASH.png    small pictures that models show of themselves

A manifest may come from anywhere: nothing in it is believed before it has been looked at, and no path in it
leads out of the folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hubbot.errors import SnapshotError

MANIFEST, DATABASE, PICTURES_LIST = "manifest.json", "hubbot.db", "pictures.json"
INDEX, PICTURES = f"{DATABASE}.index", "pictures"
FORMAT = "hubbot-snapshot/1"
MAX_BYTES = 16_000_000
"""Of a manifest; the most files that one may list have less."""
MAX_FILES = 50_000

_PATH = re.compile(
    rf"{re.escape(DATABASE)}|{re.escape(PICTURES_LIST)}"
    rf"|({re.escape(INDEX)}|{PICTURES})(/[A-Za-z0-9_][A-Za-z0-9._-]{{0,120}}){{1,3}}"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: bytes and their hash."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot holds.

    Args:
        schema: the tables' version, see `store.schema`.
        hubbot: the version that made it.
        counts: rows by table, for people.
        files: by path.
    """

    made_at: datetime
    schema: str
    hubbot: str
    counts: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same for the same files, whenever they were put together."""
        told = json.dumps({path: entry.sha256 for path, entry in sorted(self.files.items())})
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def total_bytes(self) -> int:
        return sum(entry.size for entry in self.files.values())

    def dump(self) -> bytes:
        told = {
            "format": FORMAT,
            "made_at": self.made_at.isoformat(),
            "schema": self.schema,
            "hubbot": self.hubbot,
            "counts": dict(self.counts),
            "files": {path: asdict(entry) for path, entry in sorted(self.files.items())},
        }
        return (json.dumps(told, indent=1) + "\n").encode()


def parse(raw: bytes) -> Manifest:
    """A manifest, once nothing in it is out of place.

    Raises:
        SnapshotError: it is none, or one of a newer hubbot, or it lists what no snapshot holds.
    """
    try:
        told = json.loads(raw)
        if told["format"] != FORMAT:
            raise SnapshotError(
                f"its format is {str(told['format'])[:60]!r}, {FORMAT} is read", file=MANIFEST
            )
        made_at = datetime.fromisoformat(told["made_at"])
        if made_at.tzinfo is None:
            raise ValueError("made_at names no time zone")
        files = {path: _entry(path, entry) for path, entry in told["files"].items()}
        counts = {str(name): int(count) for name, count in told["counts"].items()}
        found = Manifest(made_at, str(told["schema"]), str(told["hubbot"]), counts, files)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise SnapshotError(f"it is no manifest: {str(error)[:100]}", file=MANIFEST) from error
    _check_paths(found)
    return found


def of_folder(folder: Path) -> Manifest:
    """The manifest of a snapshot on this disk.

    Raises:
        SnapshotError: there is none.
    """
    try:
        return parse((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise SnapshotError(f"no snapshot: {error.strerror}", file=str(folder / MANIFEST)) from error


def entry_of(file: Path) -> FileEntry:
    """Size and hash of a file as it is now."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
        return FileEntry(opened.tell(), digest.hexdigest())


def _entry(path: str, told: Any) -> FileEntry:
    size, sha256 = told["size"], told["sha256"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**50:
        raise ValueError(f"the size of {path[:60]!r} is none")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError(f"the hash of {path[:60]!r} is none")
    return FileEntry(size, sha256)


def _check_paths(manifest: Manifest) -> None:
    if len(manifest.files) > MAX_FILES:
        raise SnapshotError(f"{len(manifest.files)} files are more than {MAX_FILES}", file=MANIFEST)
    if DATABASE not in manifest.files:
        raise SnapshotError(f"it lists no {DATABASE}", file=MANIFEST)
    for path in manifest.files:
        if not _PATH.fullmatch(path):
            raise SnapshotError(f"no snapshot holds a file {path[:60]!r}", file=MANIFEST)
    # A disk that knows no capitals would make one file of two, and no file is another's folder.
    folded = [path.casefold() for path in manifest.files]
    folders = {
        "/".join(path.split("/")[:depth]) for path in folded for depth in range(1, path.count("/") + 1)
    }
    if len(set(folded)) < len(folded) or folders & set(folded):
        raise SnapshotError("two of its files are in each other's way", file=MANIFEST)
