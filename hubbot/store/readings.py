"""Readings: written once per weights and version of an expert, however often they are recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from hubbot.errors import StoreError
from hubbot.records import Abstention, Prediction, Reading
from hubbot.store import changes, forest
from hubbot.store.tables import EmbeddingRow, PredictionRow, ReadingRow


def contents_hash(content_ids: Iterable[str]) -> str:
    """One key for a set of files, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(set(content_ids))).encode()).hexdigest()


def has(session: Session, repo: str, expert: str, version: str, content_ids: Collection[str]) -> bool:
    return _find(session, repo, expert, version, content_ids) is not None


def record(session: Session, reading: Reading) -> bool:
    """Write it unless it is there; either way it is now the one that holds for its repo.

    That it may have been there, and others since, happens when an owner puts old weights back. An abstention
    is no last word on its weights: what comes after it, say once a card names the tree, takes its place.

    Raises:
        StoreError: a number in it is no number, or no probability.
    """
    vector = _vector(reading)
    known = _find(session, reading.repo, reading.expert, reading.version, reading.content_ids)
    others = update(ReadingRow).where(ReadingRow.repo == reading.repo, ReadingRow.latest)
    if known is not None and _outdated(known, reading):
        session.delete(known)
        session.flush()
        known = None
    if known is not None and known.latest:
        return False
    changes.touch(session, [reading.repo])
    session.execute(others.values(latest=False))
    if known is not None:
        known.latest = True
        return False
    if reading.tree is not None:
        forest.ensure_tree(session, reading.tree)
    row = _row(reading)
    row.predictions = [
        PredictionRow(position=i, label=p.label, probability=p.probability, recognised=p.recognised)
        for i, p in enumerate(reading.predictions)
    ]
    if vector is not None:
        row.embedding = EmbeddingRow(dimension=len(vector), vector=vector.tobytes())
    session.add(row)
    return True


def _outdated(known: ReadingRow, reading: Reading) -> bool:
    """Whether an abstention was recorded, and something else is said of the same weights now."""
    said = (reading.tree, *((reading.abstention.code, reading.abstention.text) if reading.abstention else ()))
    kept = (known.tree, known.abstention_code, known.abstention_text)
    return known.abstention_code is not None and said != kept


def hold_again(session: Session, roots: Collection[str], expert: str, version: str) -> int:
    """What this version said holds again wherever another one has read the same weights since; how often."""
    now, own = aliased(ReadingRow), aliased(ReadingRow)
    same = or_(own.contents == now.contents, own.commit == now.commit)
    pairs = session.execute(
        select(now.id, func.max(own.id), now.repo)
        .join(own, and_(own.repo == now.repo, same, own.expert == expert, own.version == version))
        .where(now.latest, now.tree.in_(roots), now.expert != "", own.id != now.id)
        .group_by(now.id, now.repo)
    ).all()
    for column, holds in ((0, False), (1, True)):  # a repo has one that holds, never two
        if pairs:
            session.execute(update(ReadingRow), [{"id": pair[column], "latest": holds} for pair in pairs])
    if pairs:
        changes.touch(session, [pair[2] for pair in pairs])
    return len(pairs)


def read_by_others(session: Session, roots: Collection[str], expert: str, version: str) -> int:
    """In how many repos of a tree the word of another expert, or another version, holds."""
    by_it = and_(ReadingRow.expert == expert, ReadingRow.version == version)
    query = select(func.count()).where(ReadingRow.latest, ReadingRow.tree.in_(roots), ~by_it)
    return session.scalar(query.where(ReadingRow.expert != "")) or 0


def by_version(session: Session) -> dict[tuple[str, str], tuple[int, int]]:
    """Of how many repos the word of each version of each expert holds: answers, and abstentions."""
    silent = func.count(ReadingRow.abstention_code)
    query = select(ReadingRow.expert, ReadingRow.version, func.count() - silent, silent)
    rows = session.execute(query.where(ReadingRow.latest).group_by(ReadingRow.expert, ReadingRow.version))
    return {(expert, version): (answers, silences) for expert, version, answers, silences in rows}


def latest(session: Session, repo: str) -> Reading | None:
    row = session.scalar(select(ReadingRow).where(ReadingRow.repo == repo, ReadingRow.latest))
    return record_of(row) if row else None


def page(session: Session, tree: str | None, after: str, size: int) -> list[Reading]:
    """The next readings by repo, the latest of each."""
    query: Select[ReadingRow] = select(ReadingRow).where(ReadingRow.latest, ReadingRow.repo > after)
    if tree is not None:
        query = query.where(ReadingRow.tree == tree)
    return [record_of(row) for row in session.scalars(query.order_by(ReadingRow.repo).limit(size))]


def _find(
    session: Session, repo: str, expert: str, version: str, content_ids: Collection[str]
) -> ReadingRow | None:
    return session.scalar(
        select(ReadingRow).where(
            ReadingRow.repo == repo,
            ReadingRow.contents == contents_hash(content_ids),
            ReadingRow.expert == expert,
            ReadingRow.version == version,
        )
    )


def _vector(reading: Reading) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    for p in reading.predictions:
        if not 0.0 <= p.probability <= 1.0:
            raise StoreError(f"{p.probability} is no probability of {p.label!r}", repo=reading.repo)
    if reading.embedding is None:
        return None
    with np.errstate(over="ignore"):
        vector = np.asarray(reading.embedding, dtype=np.float64).astype("<f4")
    if not np.isfinite(vector).all():
        raise StoreError("the embedding holds what is no number", repo=reading.repo)
    return vector


def _row(reading: Reading) -> ReadingRow:
    return ReadingRow(
        repo=reading.repo,
        contents=contents_hash(reading.content_ids),
        expert=reading.expert,
        version=reading.version,
        latest=True,
        commit=reading.commit,
        content_ids=list(reading.content_ids),
        tree=reading.tree,
        abstention_code=reading.abstention.code if reading.abstention else None,
        abstention_text=reading.abstention.text if reading.abstention else None,
        tensors_read=list(reading.tensors_read),
        bytes_read=reading.bytes_read,
        bytes_stored=reading.bytes_stored,
        stored_tensors=reading.stored_tensors,
        read_at=datetime.now(UTC),
    )


def record_of(row: ReadingRow) -> Reading:
    abstained = row.abstention_code is not None
    kept = row.embedding
    return Reading(
        repo=row.repo,
        commit=row.commit,
        content_ids=tuple(row.content_ids),
        tree=row.tree,
        expert=row.expert,
        version=row.version,
        predictions=tuple(Prediction(p.label, p.probability, p.recognised) for p in row.predictions),
        embedding=tuple(np.frombuffer(kept.vector, "<f4").tolist()) if kept else None,
        abstention=Abstention(row.abstention_code or "", row.abstention_text or "") if abstained else None,
        tensors_read=tuple(row.tensors_read),
        bytes_read=row.bytes_read,
        bytes_stored=row.bytes_stored,
        stored_tensors=row.stored_tensors,
    )
