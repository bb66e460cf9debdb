"""File contents by their sha256, each stored once and never changed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a commit.

    Args:
        blob: sha256 of the content, 64 hex digits.
        oid: the git blob id, 40 hex digits; of the pointer file where `lfs` is true.
        size: bytes of the content.
    """

    blob: str
    oid: str
    size: int
    lfs: bool

    @property
    def pointer_size(self) -> int:
        return len(lfs_pointer(self.blob, self.size))

    @property
    def etag(self) -> str:
        """What `resolve` answers: the sha256 of a large file, the git id of any other."""
        return self.blob if self.lfs else self.oid


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of a large file (git-lfs specification, version 1)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one, never a part of either."""
    with Incoming(path.parent) as incoming:
        incoming.write(content)
        incoming.keep_as(path)


class Incoming:
    """A temporary file that hashes what is written to it, and vanishes unless it is kept."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".incoming-", dir=folder)
        self._file, self._path = os.fdopen(handle, "wb"), Path(name)
        self._hash, self.size = hashlib.sha256(), 0

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def keep_as(self, path: Path) -> None:
        self._file.close()
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, path)


class Blobs:
    """Contents under `folder/ab/abcdef…`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"not a sha256: {sha256[:80]!r}")
        return self._folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def size(self, sha256: str) -> int:
        return self.path(sha256).stat().st_size

    def incoming(self) -> Incoming:
        return Incoming(self._folder)

    def keep(self, incoming: Incoming) -> str:
        incoming.keep_as(self.path(incoming.sha256))
        return incoming.sha256

    def add(self, content: bytes | Path) -> str:
        """Store bytes or a copy of a local file, read in chunks, and return the sha256.

        A copy and not a hard link: a source that is later changed in place must not change history.
        """
        with self.incoming() as incoming:
            for chunk in _chunks(content):
                incoming.write(chunk)
            return self.keep(incoming)


def _chunks(content: bytes | Path) -> Iterator[bytes] | Iterable[bytes]:
    if isinstance(content, bytes):
        return [content]
    return _read_in_chunks(content)


def _read_in_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk
