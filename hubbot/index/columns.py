"""What models are filtered by, one array a fact.

Letters: n models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubbot.records import Findable

if TYPE_CHECKING:
    from hubbot.index.chances import Mask
    from hubbot.index.question import Filters

WORDS = ("tree", "author", "license", "task")
"""Facts that are words; what is asked for is compared without regard to case."""


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A word for each of n models, as a number, since a million authors are too many to keep by name.

    Args:
        numbers: (n,); hashes, or where these stand in `known`, in as few bytes as will do.
        known: the hashes that there are, ascending.
    """

    numbers: NDArray[Any]
    known: NDArray[Any] | None = None

    @classmethod
    def packed(cls, hashes: NDArray[Any]) -> Words:
        known, numbers = np.unique(hashes, return_inverse=True)
        return cls(numbers.astype(np.min_scalar_type(len(known))), known)

    def are(self, word: str) -> Mask:
        """Which models have it, in whatever case, (n,)."""
        wanted = hashed(word)
        if self.known is None:
            return np.asarray(self.numbers == wanted)
        place = int(np.searchsorted(self.known, wanted))
        if place == len(self.known) or self.known[place] != wanted:
            return np.zeros(len(self.numbers), np.bool_)
        return np.asarray(self.numbers == self.numbers.dtype.type(place))


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The facts of n models.

    Args:
        words: by the names of `WORDS`.
        changed: when a model was changed last, in seconds since 1970, (n,).
    """

    words: Mapping[str, Words]
    changed: NDArray[Any]

    def mask(self, filters: Filters) -> Mask | None:
        """Which models a filter lets through, (n,); None for all."""
        masks = list(self._masks(filters))
        if not masks:
            return None
        for other in masks[1:]:
            masks[0] &= other
        return masks[0]

    def _masks(self, filters: Filters) -> Iterator[Mask]:
        for name in WORDS:
            asked = getattr(filters, name)
            if asked is not None:
                yield self.words[name].are(asked)
        if filters.since is not None:
            yield self.changed >= _seconds(filters.since)
        if filters.until is not None:
            yield self.changed < _seconds(filters.until)


def _seconds(moment: datetime) -> np.uint32:
    return np.uint32(min(max(moment.timestamp(), 0), 2**32 - 1))


def hashed(word: str | None) -> np.uint64:
    """A word as it is compared. Owners choose their names, so that nobody's may be made to look like
    another's."""
    raw = hashlib.blake2b((word or "").casefold().encode("utf-8", "replace"), digest_size=8).digest()
    return np.uint64(int.from_bytes(raw, "little"))


def facts(models: Sequence[Findable]) -> dict[str, NDArray[Any]]:
    """The columns of some models, by name: hashes of `WORDS`, and `changed`."""
    words = {name: np.array([hashed(getattr(model, name)) for model in models], np.uint64) for name in WORDS}
    return {**words, "changed": np.array([_seconds(model.modified_at) for model in models], np.uint32)}
