"""What a search must know of models, many at a time.

Statements are made once, of plain columns: a search spends less on the database than on saying what it wants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, bindparam, select

from hubbot.records import Findable, Glance, How, Prediction, shown
from hubbot.store.tables import EmbeddingRow, PlacementRow, PredictionRow, ReadingRow, UploadRow

PAGE = 1000

READINGS, UPLOADS, PLACEMENTS, EMBEDDINGS, PREDICTIONS = (
    row.__table__.c for row in (ReadingRow, UploadRow, PlacementRow, EmbeddingRow, PredictionRow)
)

PRESENT = UPLOADS.finished.is_distinct_from(UPLOADS.commit) | UPLOADS.checked_at.is_not(None)
"""It was not found to be gone; see `uploads.forget`."""

NAMED = READINGS.repo.in_(bindparam("repos", expanding=True))

COMMON = (
    READINGS.id,
    READINGS.repo,
    READINGS.tree,
    READINGS.expert,
    READINGS.version,
    UPLOADS.modified_at,
    UPLOADS.pipeline_tag,
    UPLOADS.card["license"].as_string().label("license"),
)

FINDABLE = (
    select(*COMMON, EMBEDDINGS.vector)
    .join(UPLOADS.repo.table, UPLOADS.repo == READINGS.repo)
    .outerjoin(EMBEDDINGS.vector.table, EMBEDDINGS.reading_id == READINGS.id)
    .where(
        READINGS.latest,
        READINGS.abstention_code.is_(None),
        READINGS.tree.is_not(None),
        ~UPLOADS.private,
        ~UPLOADS.disabled,
        PRESENT,
    )
    .order_by(READINGS.repo)
)
SOME = FINDABLE.where(NAMED)
NEXT = FINDABLE.where(READINGS.repo > bindparam("after")).limit(PAGE)

SAID = (
    select(
        PREDICTIONS.reading_id,
        PREDICTIONS.label,
        PREDICTIONS.probability,
        PREDICTIONS.recognised,
    )
    .where(PREDICTIONS.reading_id.in_(bindparam("readings", expanding=True)))
    .order_by(PREDICTIONS.reading_id, PREDICTIONS.position)
)

GLANCES = (
    select(
        *COMMON,
        READINGS.tensors_read,
        PLACEMENTS.how,
        UPLOADS.commit,
        UPLOADS.downloads,
        UPLOADS.files,
        UPLOADS.tags,
        UPLOADS.gated,
        UPLOADS.private,
        UPLOADS.disabled,
    )
    .join(UPLOADS.repo.table, UPLOADS.repo == READINGS.repo)
    .outerjoin(PLACEMENTS.repo.table, PLACEMENTS.repo == READINGS.repo)
    .where(NAMED, READINGS.latest)
)


def some(connection: Connection, repos: Sequence[str]) -> list[Findable]:
    """Those of these repos that can be found, by name."""
    return _findable(connection, SOME, {"repos": repos})


def pages(connection: Connection) -> Iterator[list[Findable]]:
    """All models that can be found, by name."""
    after = ""
    while page := _findable(connection, NEXT, {"after": after}):
        yield page
        after = page[-1].repo


def _findable(connection: Connection, query: Select[Any], given: dict[str, Any]) -> list[Findable]:
    rows = connection.execute(query, given).all()
    said = _predictions(connection, [row.id for row in rows])
    return [
        Findable(
            repo=row.repo,
            tree=row.tree,
            expert=row.expert,
            version=row.version,
            predictions=said[row.id],
            modified_at=row.modified_at,
            embedding=None if row.vector is None else np.frombuffer(row.vector, "<f4"),
            author=_author(row.repo),
            license=row.license,
            task=row.pipeline_tag,
        )
        for row in rows
    ]


def _predictions(connection: Connection, readings: Sequence[int]) -> dict[int, tuple[Prediction, ...]]:
    found = defaultdict[int, list[Prediction]](list)
    for reading, label, probability, sure in connection.execute(SAID, {"readings": readings}):
        found[reading].append(Prediction(label, probability, sure))
    return defaultdict(tuple, {reading: tuple(said) for reading, said in found.items()})


def glances(connection: Connection, repos: Sequence[str]) -> dict[str, Glance]:
    """What is shown of these repos among others; of those that were read."""
    rows = connection.execute(GLANCES, {"repos": repos}).all()
    said = _predictions(connection, [row.id for row in rows])
    return {row.repo: _glance(row, said[row.id]) for row in rows}


def _glance(row: Any, said: tuple[Prediction, ...]) -> Glance:
    return Glance(
        repo=row.repo,
        commit=row.commit,
        tree=row.tree or "",
        expert=row.expert,
        version=row.version,
        modified_at=row.modified_at,
        how=How(row.how) if row.how else None,
        author=_author(row.repo),
        license=row.license,
        task=row.pipeline_tag,
        downloads=row.downloads,
        files=tuple(row.files),
        shown=shown(row.tags, gated=row.gated, private=row.private, disabled=row.disabled),
        tensors_read=tuple(row.tensors_read),
        predictions=said,
    )


def _author(repo: str) -> str:
    return repo.split("/", 1)[0] if "/" in repo else ""
