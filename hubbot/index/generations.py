"""The folder of an index: bases of all shelves, made together of one state of a database, and replaced
together.

    CURRENT                     the name of the generation that holds
    <generation>/manifest.json  of which database it was made, at what time, and which shelf lies where
    <generation>/0/ 1/ …        a base each

A new generation is written beside the old one and then named in CURRENT, at once; whoever has the old one
open goes on with it. Everything here can be made again from the database.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubbot.errors import IndexDamaged

FORMAT = 2
"""Counted up when what a base holds is computed otherwise: no older one is opened."""
CURRENT, MANIFEST = "CURRENT", "manifest.json"

Key = tuple[str, str]
"""An expert's name and version."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What lies there.

    Args:
        identity, at: the name of the database that it was made of, and its time.
        models: how many it holds.
        shelves: by expert and version, the folder of the base.
    """

    identity: str
    at: int
    models: int
    shelves: Mapping[Key, Path]


def index_folder(database: Path) -> Path:
    """Where the index of a database lies."""
    return database.with_name(database.name + ".index")


def opened(folder: Path) -> Generation | None:
    """The generation that holds; None where there is none.

    Raises:
        IndexDamaged: there is one, and it cannot be read.
    """
    try:
        name = (folder / CURRENT).read_text(encoding="utf-8").strip()
        told = json.loads((folder / _inside(name) / MANIFEST).read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            return None
        shelves = {
            (str(one["expert"]), str(one["version"])): folder / name / _inside(one["folder"])
            for one in told["shelves"]
        }
        return Generation(str(told["identity"]), int(told["at"]), int(told["models"]), shelves)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexDamaged(f"cannot be read: {error}", file=str(folder)) from error


def _inside(name: Any) -> str:
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name of a folder")
    return name


@contextmanager
def next_generation(folder: Path) -> Iterator[Path]:
    """An empty folder for the bases; nothing is left of it if the block fails."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / uuid.uuid4().hex[:12]
    place.mkdir()
    try:
        yield place
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def install(folder: Path, place: Path, made: Generation) -> None:
    """What was written at `place` holds from now on; everything older goes."""
    shelves = [{"expert": key[0], "version": key[1], "folder": at.name} for key, at in made.shelves.items()]
    about = {"identity": made.identity, "at": made.at, "models": made.models}
    told = {"format": FORMAT, **about, "shelves": shelves}
    (place / MANIFEST).write_text(json.dumps(told), encoding="utf-8")
    fresh = folder / f"{CURRENT}.new"
    fresh.write_text(place.name, encoding="utf-8")
    fresh.replace(folder / CURRENT)
    for old in folder.iterdir():
        if old.is_dir() and old != place:
            shutil.rmtree(old, ignore_errors=True)
