"""The store as a snapshot: copied while the bot writes, stripped of what stays at home, and hashed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hubbot.indexing import build as make_index
from hubbot.indexing import outgrown
from hubbot.publishing.manifest import DATABASE, INDEX, Manifest, entry_of, of_folder
from hubbot.publishing.shelf import Shelf
from hubbot.store import schema
from hubbot.store.store import Store
from hubbot.version import VERSION


def build(
    store: Store, shelf: Shelf, *, add: Callable[[Path], None] = lambda _: None
) -> tuple[Path, Manifest]:
    """Make a snapshot of the store and put it on the shelf; its folder and what it holds.

    Where nothing has changed it is the one that is there already.

    Args:
        store: read only is enough, and a bot may be writing to it meanwhile.
        add: puts further files into the new folder, such as pictures.

    Raises:
        StoreError: it cannot be read.
        SnapshotError: the shelf is not for us to change.
    """
    with shelf.changing() as incoming:
        shutil.rmtree(incoming)
        incoming.mkdir()
        counts = store.copy_for_readers(incoming / DATABASE)
        _index(incoming, shelf.current())
        add(incoming)
        files = {
            path.relative_to(incoming).as_posix(): entry_of(path)
            for path in sorted(incoming.rglob("*"))
            if path.is_file()
        }
        made = Manifest(datetime.now(UTC), schema.NEWEST, VERSION, counts, files)
        current = shelf.current()
        if current and (known := of_folder(current)).id == made.id:
            return current, known
        return shelf.put(made), made


def _index(incoming: Path, current: Path | None) -> None:
    """An index of what travels, where a search needs one; the store's own holds the rest as well."""
    if current and entry_of(current / DATABASE) == entry_of(incoming / DATABASE):
        for path in sorted((current / INDEX).rglob("*")):
            if path.is_file():
                there = incoming / path.relative_to(current)
                there.parent.mkdir(parents=True, exist_ok=True)
                second_name(path, there)
        return
    with Store.open(f"sqlite:///{incoming / DATABASE}", frozen=True) as copy:
        if outgrown(copy):
            make_index(copy)
            (incoming / INDEX / "lock").unlink()


def second_name(path: Path, there: Path) -> None:
    """The same file under another name, or a copy of it."""
    try:
        os.link(path, there)
    except OSError:
        shutil.copyfile(path, there)
