"""Which hubbot made something: its version, and the commit where it runs from a checkout."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@cache
def made_by() -> dict[str, str]:
    """Versions of what computes, and the git revision: `-dirty` if the package was changed since."""
    told = {name: version(name) for name in ("hubbot", "torch", "numpy")}
    return told | ({"revision": revision} if (revision := _revision()) else {})


def _revision() -> str:
    """Empty where the package does not lie in a checkout of its own."""
    if not (PACKAGE.parent / ".git").exists():
        return ""
    head = _git("rev-parse", "HEAD")
    return f"{head}-dirty" if head and _git("status", "--porcelain", "--", "hubbot") else head


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
