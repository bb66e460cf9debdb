"""Makes the index of a database: when it is needed, and anew from all that was read.

Minutes for a million models, most of it spent on centroids; who searches meanwhile goes on with what there
is. The running bot has it done by a process of its own, which shares nothing with it but the files.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import IndexDamaged
from hubbot.index.generations import Generation, Key, index_folder, install, next_generation, opened
from hubbot.index.shelf import arrays
from hubbot.index.writing import Writer
from hubbot.shelves import MANY, kinds_of, sorted_out
from hubbot.store.lock import lock

if TYPE_CHECKING:
    from hubbot.store.store import Store

log = logging.getLogger(__name__)

ASTRAY, ASTRAY_SHARE = 5_000, 0.1
"""An index is outgrown once more repos than these, and than this share of its models, have changed since:
till then a search compares with them one by one."""


def outgrown(store: Store) -> bool:
    """Whether it is time to make the index, or to make it anew."""
    try:
        found = opened(index_folder(store.path))
    except IndexDamaged:
        found = None
    clock = store.clock()
    if found is None or found.identity != clock.identity or found.at > clock.at:
        return store.status().answered > MANY
    return len(store.changed(found.at)) > max(ASTRAY, ASTRAY_SHARE * found.models)


def build(store: Store) -> int:
    """Make the index anew, of the database as it is now; how many models it holds.

    Raises:
        StoreLocked: another process is making it.
    """
    folder, kinds = index_folder(store.path), kinds_of(store)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        lock(folder / "lock", "hubbot index"),
        next_generation(folder) as place,
        store.all_findable() as (clock, pages),
    ):
        before, shelves, models = _before(folder), dict[Key, Path](), 0
        with ExitStack() as stack:
            writers: dict[Key, Writer] = {}
            for page in pages:
                for key, some in sorted_out(page, kinds).items():
                    info, kind = kinds[key]
                    if key not in writers:
                        shelves[key] = place / str(len(shelves))
                        writers[key] = stack.enter_context(Writer(shelves[key], kind, before.get(key)))
                    names = {label.name: j for j, label in enumerate(info.labels)}
                    writers[key].add(some, *arrays(some, names, kind))
                    models += len(some)
        install(folder, place, Generation(clock.identity, clock.at, models, shelves))
    return models


def _before(folder: Path) -> Mapping[Key, Path]:
    try:
        found = opened(folder)
    except IndexDamaged:
        return {}
    return found.shelves if found else {}


class Indexer:
    """Has the index made by a process of its own whenever it is outgrown; that process ends with the
    block."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Begin, if it is time and nobody is at it; said again and again by a job."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None and self._process.returncode:
            log.warning("making the index failed; `hubbot index` tells why")
        self._process = None
        if outgrown(self._store):
            log.info("the index is made anew")
            command = [sys.executable, "-m", "hubbot", "--database", str(self._store.path), "index"]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def __enter__(self) -> Indexer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
