"""Trees as a whole, and many models at once: a query or two for all of them, never one for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sqlalchemy import Select, func, select, union_all
from sqlalchemy.orm import Session

from hubbot.records import Judgement, Placement, Reading, Suggestion, Upload
from hubbot.store import forest, judgements, readings, suggestions, uploads
from hubbot.store.tables import (
    EmbeddingRow,
    PlacementRow,
    PredictionRow,
    ReadingRow,
    SuggestionRow,
    UploadRow,
)

if TYPE_CHECKING:
    from hubbot.records import Floats

T = TypeVar("T")

AT_ONCE = 500
"""Names in one query; databases have a limit on what may be asked for by name."""

UNITED = 50
"""Queries in one; databases have a limit on that too."""

HOLDS = (ReadingRow.repo == PlacementRow.repo) & ReadingRow.latest
ANSWERED = ReadingRow.latest & ReadingRow.abstention_code.is_(None)


@dataclass(frozen=True, slots=True)
class Standing:
    """A member of a tree, in brief.

    Args:
        parents: as its placement has them.
        recognised: labels over their threshold, the most probable first; none where an expert recognised
            nothing, None where none gave an answer.
        asked: whether it was visited for a reading at all.
    """

    repo: str
    parents: tuple[str, ...]
    recognised: tuple[str, ...] | None
    asked: bool


@dataclass(frozen=True, slots=True)
class Known:
    """All that is kept of one model."""

    upload: Upload
    placement: Placement | None
    reading: Reading | None
    suggestion: Suggestion | None
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """What one version of an expert said of some models, as vectors.

    Args:
        expert, version: whose vectors they are, since those of others cannot be compared.
        left_out: models of the tree that others have read, and those read longer ago.
        values: (n, d).
    """

    expert: str
    version: str
    repos: tuple[str, ...]
    left_out: int
    values: Floats


def standings(session: Session, root: str) -> list[Standing]:
    """All members of a tree, the newest first."""
    where = PlacementRow.tree == root
    said = _recognised(session, select(ReadingRow.id).join(PlacementRow, HOLDS).where(where))
    query = (
        select(
            PlacementRow.repo,
            PlacementRow.parent,
            PlacementRow.others,
            ReadingRow.id,
            ReadingRow.abstention_code,
        )
        .join(UploadRow, UploadRow.repo == PlacementRow.repo)
        .outerjoin(ReadingRow, HOLDS)
        .where(where)
        .order_by(UploadRow.modified_at.desc(), PlacementRow.repo)
    )
    return [
        Standing(
            repo,
            (parent, *others) if parent else (),
            said.get(number, ()) if number is not None and code is None else None,
            number is not None,
        )
        for repo, parent, others, number, code in session.execute(query)
    ]


def lately(session: Session, roots: Sequence[str], most: int) -> dict[str, list[tuple[str, ...]]]:
    """What was recognised in each tree's models that gave an answer, of as many as were read last."""
    tree: dict[int, Any] = {}
    for some in _parts(roots, UNITED):
        each = [select(_read_last(root, most).subquery()) for root in some]
        tree |= dict(session.execute(union_all(*each)).all())
    said: dict[int, tuple[str, ...]] = {}
    for numbers in _parts(list(tree)):
        said |= _recognised(session, numbers)
    found: dict[str, list[tuple[str, ...]]] = {root: [] for root in roots}
    for number, root in tree.items():
        found[root].append(said.get(number, ()))
    return found


def _read_last(root: str, most: int) -> Select[int, str | None]:
    query = select(ReadingRow.id, ReadingRow.tree).where(ANSWERED, ReadingRow.tree == root)
    return query.order_by(ReadingRow.id.desc()).limit(most)


def _recognised(session: Session, numbers: Iterable[int] | Select[int]) -> dict[int, tuple[str, ...]]:
    """Labels over their threshold by reading, the most probable first."""
    found: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)
    query = select(PredictionRow.reading_id, PredictionRow.probability, PredictionRow.label)
    chosen = PredictionRow.reading_id.in_(numbers if isinstance(numbers, Select) else list(numbers))
    for number, probability, label in session.execute(query.where(chosen, PredictionRow.recognised)):
        found[number].append((-probability, label))
    return {number: tuple(label for _, label in sorted(pairs)) for number, pairs in found.items()}


def vectors(session: Session, root: str, most: int, of_labels: Collection[tuple[str, str]]) -> Vectors | None:
    """What the expert said of the models of a tree that it read last; None where none was read.

    Args:
        of_labels: experts, by name and version, whose probabilities are taken instead of embeddings.
    """
    newest = select(ReadingRow.id, ReadingRow.repo, ReadingRow.expert, ReadingRow.version)
    newest = newest.where(ANSWERED, ReadingRow.tree == root).order_by(ReadingRow.id.desc()).limit(most)
    rows = session.execute(newest).all()
    if not rows:
        return None
    by = (rows[0].expert, rows[0].version)  # who read last reads now
    ours = [(row.id, row.repo) for row in rows if (row.expert, row.version) == by]
    found: dict[int, Floats] = {}
    for numbers in _parts([number for number, _ in ours]):
        found |= (_probabilities if by in of_labels else _embeddings)(session, numbers)
    width = max((len(value) for value in found.values()), default=0)
    kept = [(repo, found[number]) for number, repo in ours if number in found and len(found[number]) == width]
    total = session.scalar(select(func.count()).where(ANSWERED, ReadingRow.tree == root)) or 0
    values = np.array([value for _, value in kept], np.float32).reshape(len(kept), width)
    return Vectors(*by, tuple(repo for repo, _ in kept), total - len(kept), values)


def _probabilities(session: Session, numbers: Sequence[int]) -> dict[int, Floats]:
    query = select(PredictionRow.reading_id, PredictionRow.probability).where(
        PredictionRow.reading_id.in_(numbers)
    )
    found: defaultdict[int, list[float]] = defaultdict(list)
    for number, probability in session.execute(
        query.order_by(PredictionRow.reading_id, PredictionRow.position)
    ):
        found[number].append(probability)
    return {number: np.array(values, np.float32) for number, values in found.items()}


def _embeddings(session: Session, numbers: Sequence[int]) -> dict[int, Floats]:
    query = select(EmbeddingRow.reading_id, EmbeddingRow.vector).where(EmbeddingRow.reading_id.in_(numbers))
    return {number: np.frombuffer(raw, "<f4") for number, raw in session.execute(query)}


def newest(
    session: Session, root: str | None, limit: int, offset: int, label: str | None
) -> tuple[list[str], int]:
    """Models of a tree, or of none, by name, the newest first; and how many there are.

    Args:
        label: only those in which this was recognised.
    """
    query = select(UploadRow.repo).outerjoin(PlacementRow, PlacementRow.repo == UploadRow.repo)
    query = query.where(PlacementRow.tree.is_(None) if root is None else PlacementRow.tree == root)
    if label is not None:
        query = query.join(ReadingRow, HOLDS).join(PredictionRow, PredictionRow.reading_id == ReadingRow.id)
        query = query.where(PredictionRow.label == label, PredictionRow.recognised)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(UploadRow.modified_at.desc(), UploadRow.repo).limit(limit).offset(offset)
    return list(session.scalars(ordered)), total


def several(session: Session, repos: Sequence[str]) -> list[Known]:
    """All that is kept of these models, in this order; of those that were never noticed, nothing."""
    found: list[Known] = []
    for some in _parts(repos):
        seen = {u.repo: u for u in session.scalars(select(UploadRow).where(UploadRow.repo.in_(some)))}
        placed = {p.repo: p for p in session.scalars(select(PlacementRow).where(PlacementRow.repo.in_(some)))}
        latest = select(ReadingRow).where(ReadingRow.repo.in_(some), ReadingRow.latest)
        read = {r.repo: r for r in session.scalars(latest)}
        asked = select(SuggestionRow).where(SuggestionRow.repo.in_(some), SuggestionRow.latest)
        suggested = {s.repo: s for s in session.scalars(asked)}
        judged = judgements.holding(session, some)
        found += [
            Known(
                uploads.record_of(seen[repo]),
                forest.record_of(placed[repo]) if repo in placed else None,
                readings.record_of(read[repo]) if repo in read else None,
                suggestions.record_of(suggested[repo]) if repo in suggested else None,
                judged.get(repo, ()),
            )
            for repo in some
            if repo in seen
        ]
    return found


def _parts(items: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    return (items[i : i + size] for i in range(0, len(items), size))
