"""All models that one version of an expert has read, and which of them fit.

Candidates come from two sides, the models that likely know what is meant and those that lie near the text
itself, and are then scored exactly.

Letters: n models, m candidates, k concepts or labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hubbot.index.flat import Flat
from hubbot.index.kinds import Ask, Kind, Scores
from hubbot.index.models import Models, largest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hubbot.index.base import Base
    from hubbot.index.chances import Mask
    from hubbot.records import Findable, Floats

LEAST_SCORE = 0.1
"""Models below this chance are not worth showing."""

LEAST_SHARE = 0.1
"""A concept that makes less than this share of a score is no reason for it."""

CANDIDATES = 64
"""So many, at least, of those that know a concept."""

KNOWS, LIES_THERE, TORN, MOST = 4, 16, 80, 2_000
"""A limit of 10 wants 40 models that know what is meant, and 160 that lie near the text, but 800 (and never
more than so many) where a text says a known concept in other words: those that lie nearest to it are not
those that fit best, since what else they are near to counts as well."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A model that fits, and why.

    Args:
        own: the chance of the text itself, by where the model lies.
        reasons: places of the concepts that make most of the score, with what they make, the largest first.
    """

    repo: str
    score: float
    own: float
    reasons: tuple[tuple[int, float], ...]


class Shelf:
    """The models of one version of an expert.

    Args:
        names: what its k concepts or labels are called by the expert, in the order of the kind's texts.
        base: those of them that lie on the disk.
    """

    def __init__(self, kind: Kind, names: Sequence[str], base: Base | None = None) -> None:
        self.kind, self.base, self._flat = kind, base, Flat(kind)
        self._place = {name: j for j, name in enumerate(names)}
        self._dead: set[int] = set()
        self.parts: tuple[Models, ...] = (base.models,) if base else ()

    def put(self, models: Sequence[Findable]) -> None:
        """Models to be found from the next `settle` on, in place of what was said of them before."""
        self.drop(model.repo for model in models)
        vectors, sure = arrays(models, self._place, self.kind)
        self._flat.add(models, vectors, sure)

    def drop(self, repos: Iterable[str]) -> None:
        repos = list(repos)
        self._flat.drop(repos)
        if self.base:
            self._dead |= {row for repo in repos if (row := self.base.row(repo)) is not None}

    def settle(self) -> None:
        """What was put and dropped is seen by whoever searches from now on."""
        parts = []
        if self.base:
            alive = np.ones(len(self.base.models), np.bool_)
            alive[list(self._dead)] = False
            parts.append(self.base.without(alive) if self._dead else self.base.models)
        if len(self._flat):
            parts.append(self._flat.seen())
        self.parts = tuple(parts)

    def __len__(self) -> int:
        return len(self._flat) + (len(self.base.models) - len(self._dead) if self.base else 0)

    def like(self, repo: str) -> Ask | None:
        """What to ask for models that resemble this one; None where it is not here."""
        if repo in self._flat.place:
            models, row = self._flat.seen(), self._flat.place[repo]
        else:
            found = self.base.row(repo) if self.base else None
            if self.base is None or found is None or found in self._dead:
                return None
            models, row = self.base.models, found
        return self.kind.like(models.vectors.take(np.array([row]))[0], float(models.rest[row]))


def arrays(models: Sequence[Findable], place: dict[str, int], kind: Kind) -> tuple[Floats, Mask]:
    """What an expert said of m models: their vectors, (m, d), and what was recognised in them, (m, k)."""
    chance = np.zeros((len(models), len(place)), np.float32)
    sure = np.zeros((len(models), len(place)), np.bool_)
    for i, model in enumerate(models):
        for said in model.predictions:
            j = place.get(said.label)
            if j is not None:
                chance[i, j], sure[i, j] = said.probability, said.recognised
    if not kind.full:
        placed = [model.embedding for model in models]
        vectors = np.array(placed, np.float32).reshape(len(models), kind.dimension)
        return vectors, sure
    return chance, sure


def find(
    parts: Iterable[tuple[Models, Mask | None]],
    kind: Kind,
    asks: Sequence[Ask],
    *,
    without: Sequence[Ask] = (),
    least: float = LEAST_SCORE,
    limit: int = 10,
) -> list[Fit]:
    """The models that fit best, the best first; equal ones by name.

    Args:
        parts: of a shelf, with the rows of each that are to be looked at.
        asks: what they should be, all of it.
        without: what they should not be: a model fits that much less.
        least: models below this chance do not count.
    """
    fits = [
        fit
        for models, mask in parts
        for fit in _among(models, kind, asks, mask, without, limit, max(least, LEAST_SCORE))
    ]
    return sorted(fits, key=lambda fit: (-fit.score, fit.repo))[:limit]


def _among(
    models: Models,
    kind: Kind,
    asks: Sequence[Ask],
    mask: Mask | None,
    without: Sequence[Ask],
    limit: int,
    least: float,
) -> Iterator[Fit]:
    wide = limit * (4 if without or len(asks) > 1 else 1)
    rows = np.unique(np.concatenate([_candidates(models, kind, ask, mask, wide) for ask in asks]))
    X, rest = models.vectors.take(rows), models.rest[rows]
    found = [kind.scores(X, rest, ask) for ask in asks]
    score = np.prod([one.fit for one in found], 0)
    for ask in without:
        score = score * (1 - kind.scores(X, rest, ask).fit)
    # All that tie with the last place stay in, so that names decide among them.
    last = np.sort(score)[-limit] if len(score) > limit else 0.0
    for i in np.flatnonzero((score >= least) & (score >= last)):
        yield _fit(models.name(int(rows[i])), float(score[i]), found, int(i))


def _candidates(models: Models, kind: Kind, ask: Ask, mask: Mask | None, limit: int) -> NDArray[Any]:
    most = max(CANDIDATES, KNOWS * limit)
    rows, sums = models.chances.sums(ask.weights, len(models), mask, None if kind.full else most)
    rows = rows[largest(kind.first(sums, models.rest[rows], ask), most)]
    if ask.vector is None:
        return rows
    many = min((TORN if ask.torn else LIES_THERE) * limit, MOST + limit)
    near, cosine = models.vectors.nearest(ask.vector, many, mask)
    if not ask.torn:
        near = near[largest(kind.surest(cosine, models.rest[near]), most)]
    return np.concatenate([rows, near])


def _fit(repo: str, score: float, found: Sequence[Scores], i: int) -> Fit:
    parts: dict[int, float] = {}
    for one in found:
        for concept, part in zip(one.meant.tolist(), one.parts[i].tolist(), strict=True):
            parts[concept] = max(part, parts.get(concept, 0.0))
    least = LEAST_SHARE * max(float(one.fit[i]) for one in found)
    reasons = sorted(((j, part) for j, part in parts.items() if part >= least), key=lambda pair: -pair[1])
    return Fit(repo, score, max(float(one.own[i]) for one in found), tuple(reasons))
