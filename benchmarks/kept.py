"""What hours have measured, kept in docs/results/kept until the code that measured it changes.

It is committed, since machines come and go: whoever runs a benchmark goes on where another stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hubbot
from hubbot.zoo.layout import sha256

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
DECIDING = ("experts/*.py", "training/experts.py", "training/trees.py", "training/adapters.py")
"""All that decides what a method says: probes, and how they are given sizes, layers and models."""
BESIDE = ("router.py", "trust.py")
"""Which expert is asked, and how far it is trusted, and not what it says."""


@cache
def code(*settings: object) -> str:
    """A hash of what decides a measurement: the code named above, and a benchmark's own settings.

    Args:
        settings: sizes, schedules, and a number that is counted up when a benchmark computes other things.
            Its file is not hashed: another word in a report is no reason to measure for hours again.
    """
    package = Path(hubbot.__file__).parent
    named = [file for glob in DECIDING for file in sorted(package.glob(glob))]
    files = [file for file in named if file.name not in BESIDE]
    told = "".join([*map(sha256, files), *map(repr, settings)])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def kept(folder: Path, name: str, seed: int, make: Callable[[], T], back: Callable[[Any], T]) -> T:
    """A measurement from its folder, made where it is not there.

    Args:
        folder: its name holds the code's hash, and whatever else the measurement hangs on.
        back: makes a measurement again of what `asdict` made of it.
    """
    file = folder / f"{name.replace(' ', '-')}-{seed}.json"
    if not file.exists():
        made = make()
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(made)), encoding="utf-8")
        print(f"{folder.name}  {name}  seed {seed}  kept in {file}", flush=True)
    return back(json.loads(file.read_text(encoding="utf-8")))
