"""The index of a database, kept up with it: bases from the disk, and what has come since from the database.

Nothing is written: `hubbot.indexing` makes the bases. Without any, all models are read into memory, which
gives the same answers.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubbot.errors import IndexDamaged
from hubbot.index.base import Base
from hubbot.index.generations import Generation, Key, index_folder, opened
from hubbot.index.kinds import Concepts, Kind, Labels
from hubbot.index.shelf import Shelf
from hubbot.records import ExpertInfo, Findable

if TYPE_CHECKING:
    from hubbot.store.store import Store

log = logging.getLogger(__name__)

PAGE = 500

MANY = 20_000
"""Without a base, and with more models than these, somebody should make one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A shelf with the expert whose it is."""

    expert: ExpertInfo
    shelf: Shelf

    @property
    def key(self) -> Key:
        return self.expert.name, self.expert.version


def kinds_of(store: Store) -> dict[Key, tuple[ExpertInfo, Kind]]:
    """What the models of each version of an expert are to a text; a text head that is lost leaves none."""
    found: dict[Key, tuple[ExpertInfo, Kind]] = {}
    for info in store.experts():
        texts = tuple(label.text for label in info.labels)
        if info.head != "text":
            found[info.name, info.version] = info, Labels(texts)
        elif head := store.text_head(info.name, info.version):
            found[info.name, info.version] = info, Concepts(texts, head)
    return found


class Shelves:
    """All shelves of a database, as they are now after `follow`. One thread at a time may call it.

    Args:
        store: an open store; read only is enough.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._folder = store, index_folder(store.path)
        self._versions, self._kinds = store.expert_versions(), kinds_of(store)
        self._standing: dict[Key, Standing] = {}
        if generation := self._opened():
            self._at = generation.at
            self.follow()
        else:
            self._read_all()

    def _opened(self) -> Generation | None:
        """The bases of this database, opened; None where there are none that can be used."""
        clock = self._store.clock()
        for last in (False, False, True):
            try:
                found = opened(self._folder)
                if not found or found.identity != clock.identity or found.at > clock.at:
                    return None
                for key in found.shelves.keys() & self._kinds.keys():
                    self._open(key, Base(found.shelves[key], self._kinds[key][1]))
                return found
            except IndexDamaged as error:  # or gone, if a new one has just taken its place
                self._standing.clear()
                if last:
                    log.warning("the index is left aside: %s", error)
        return None

    def _open(self, key: Key, base: Base | None = None) -> Shelf:
        info, kind = self._kinds[key]
        self._standing[key] = Standing(info, Shelf(kind, [label.name for label in info.labels], base))
        return self._standing[key].shelf

    def _read_all(self) -> None:
        with self._store.all_findable() as (clock, pages):
            count = 0
            for page in pages:
                self._put(page)
                count += len(page)
            self._at = clock.at
        self._settle()
        if count > MANY:
            log.warning("%d models are searched without an index: `hubbot index` makes one", count)

    def follow(self) -> bool:
        """Take in what has changed; whether anything had."""
        clock = self._store.clock()
        if clock.at == self._at:
            return False
        if (versions := self._store.expert_versions()) != self._versions:
            self._versions, self._kinds = versions, kinds_of(self._store)
        repos = self._store.changed(self._at)
        for start in range(0, len(repos), PAGE):
            some = repos[start : start + PAGE]
            for standing in self._standing.values():
                standing.shelf.drop(some)
            self._put(self._store.findable(some))
        self._at = clock.at
        self._settle()
        return True

    def _put(self, models: Iterable[Findable]) -> None:
        for key, some in sorted_out(models, self._kinds).items():
            shelf = self._standing[key].shelf if key in self._standing else self._open(key)
            shelf.put(some)

    def _settle(self) -> None:
        for standing in self._standing.values():
            standing.shelf.settle()

    @property
    def all(self) -> tuple[Standing, ...]:
        """Those in which there is anything."""
        return tuple(standing for standing in self._standing.values() if len(standing.shelf))


def sorted_out(
    models: Iterable[Findable], kinds: Mapping[Key, tuple[ExpertInfo, Kind]]
) -> dict[Key, list[Findable]]:
    """Models by the expert that read them; those that no text could find are left out."""
    found = defaultdict[Key, list[Findable]](list)
    for model in models:
        key = model.expert, model.version
        if key in kinds and _fits(model, kinds[key][1]):
            found[key].append(model)
    return found


def _fits(model: Findable, kind: Kind) -> bool:
    if kind.full:
        return bool(model.predictions)
    return model.embedding is not None and len(model.embedding) == kind.dimension
