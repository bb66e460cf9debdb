"""Which names the local Hub accepts. Whatever passes here is safe as a folder name and in a header."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from hubbot.localhub.refused import Refused

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_MAX_PATH = 1024
_MAX_DEPTH = 64
_RESERVED = {"..", ".", ".git", ""}

LFS_BYTES = 10_000_000
"""From this size on the Hub keeps a file in large file storage, whatever its name."""

LFS_PATTERNS = (
    *("*.7z", "*.arrow", "*.bin", "*.bz2", "*.ckpt", "*.ftz", "*.gguf", "*.gz", "*.h5", "*.joblib"),
    *("*.mlmodel", "*.model", "*.msgpack", "*.npy", "*.npz", "*.onnx", "*.ot", "*.parquet", "*.pb"),
    *("*.pickle", "*.pkl", "*.pt", "*.pth", "*.rar", "*.safetensors", "*.tar", "*.tar.*", "*.tflite"),
    *("*.tgz", "*.wasm", "*.xz", "*.zip", "*.zst", "*tfevents*"),
)

GITATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS
).encode()
"""What a new repo starts with, so that its first commit says which files are large."""


def is_lfs(path: str, size: int) -> bool:
    """Whether the Hub would keep this file in large file storage. An empty file never is."""
    name = path.rsplit("/", 1)[-1]
    return size > 0 and (size >= LFS_BYTES or any(fnmatch(name, pattern) for pattern in LFS_PATTERNS))


def check_repo_id(repo_id: str) -> tuple[str, str]:
    """Split `owner/name`.

    Raises:
        Refused: 400, if either part is not a plain name.
    """
    owner, slash, name = repo_id.partition("/")
    for part in (owner, name):
        clean = (
            _PART.fullmatch(part)
            and not part.endswith((".", "-", ".git"))
            and ".." not in part
            and "--" not in part
        )
        if not slash or not clean:
            raise Refused(400, f"Invalid repo name: {repo_id!r}")
    return owner, name


def check_user(name: str) -> str:
    check_repo_id(f"{name}/x")
    return name


def check_path(path: str) -> str:
    """Accept a path inside a repo: relative, without tricks, printable.

    Raises:
        Refused: 400, with the reason.
    """
    segments = path.split("/")
    if not path.isprintable() or "\\" in path or not _encodes(path):
        raise Refused(400, f"Invalid path in repo: {path!r}")
    if len(path) > _MAX_PATH or len(segments) > _MAX_DEPTH or any(len(s.encode()) > 255 for s in segments):
        raise Refused(400, f"Path in repo is too long: {path[:60]!r}…")
    if any(segment.lower() in _RESERVED for segment in segments):
        raise Refused(400, f"Invalid path in repo: {path!r}")
    return path


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
