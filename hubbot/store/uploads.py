"""Uploads as they were listed, and how far each Hub's listing has been read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select, tuple_, update
from sqlalchemy.orm import Session

from hubbot.records import Upload
from hubbot.store import changes
from hubbot.store.tables import CursorRow, PlacementRow, UploadRow, Utc

FARTHEST = timedelta(hours=8)
"""No pause is that long: what is put off further was so by a clock that was ahead, and is due at once."""

FIELDS = tuple(f.name for f in fields(Upload))
WAITING = UploadRow.finished.is_distinct_from(UploadRow.commit)
"""It was noticed, and has not come to the end of the path at this commit."""


def save(session: Session, upload: Upload) -> None:
    row = session.get(UploadRow, upload.repo)
    if row is not None and row.commit != upload.commit:  # what failed with other files says nothing of these
        row.tries, row.due_at = 0, None
    values = {name: getattr(upload, name) for name in FIELDS}
    session.merge(UploadRow(**{name: _plain(value) for name, value in values.items()}))
    if row is not None and session.is_modified(row):  # a new one has no reading that could be found yet
        session.flush()
        changes.touch(session, [upload.repo])


def get(session: Session, repo: str) -> Upload | None:
    row = session.get(UploadRow, repo)
    return record_of(row) if row else None


def notice(session: Session, page: Iterable[Upload]) -> int:
    """Write down those whose commit is not known yet, or that had gone; how many these are."""
    new = 0
    for upload in page:
        row = session.get(UploadRow, upload.repo)
        went = row is not None and row.finished == row.commit and row.checked_at is None
        if row is None or row.commit != upload.commit or went:
            save(session, upload)
            new += 1
        if row is not None and went:
            row.finished = None
            changes.touch(session, [row.repo])
    return new


def finish(session: Session, upload: Upload) -> None:
    """This commit was led to the end of the path."""
    session.execute(
        update(UploadRow)
        .where(UploadRow.repo == upload.repo)
        .values(finished=upload.commit, checked_at=datetime.now(UTC))
    )


def is_finished(session: Session, upload: Upload) -> bool:
    row = session.get(UploadRow, upload.repo)
    return row is not None and row.finished == upload.commit


def postpone(session: Session, upload: Upload, due_at: datetime) -> None:
    """One more try in vain."""
    session.execute(
        update(UploadRow)
        .where(UploadRow.repo == upload.repo)
        .values(tries=UploadRow.tries + 1, due_at=due_at)
    )


def tries(session: Session, upload: Upload) -> int:
    row = session.get(UploadRow, upload.repo)
    return row.tries if row is not None and row.commit == upload.commit else 0


def later_than(now: datetime) -> ColumnElement[bool]:
    """Rows that are put off to a time that has not come."""
    return (UploadRow.due_at > now) & (UploadRow.due_at <= now + FARTHEST)


def backlog(session: Session) -> int:
    """How many have not come to the end of the path."""
    return session.scalar(select(func.count()).select_from(UploadRow).where(WAITING)) or 0


def due(session: Session, now: datetime, limit: int | None, after: Upload | None) -> list[Upload]:
    """Those that have not come to the end of the path and are to be tried by now, the oldest first.

    Args:
        after: only what comes after this one in that order.
    """
    query = select(UploadRow).where(WAITING, UploadRow.due_at.is_(None) | ~later_than(now))
    if after is not None:
        place = tuple_(UploadRow.modified_at, UploadRow.repo)
        query = query.where(place > tuple_(literal(after.modified_at, Utc()), literal(after.repo)))
    query = query.order_by(UploadRow.modified_at, UploadRow.repo).limit(limit)
    return [record_of(row) for row in session.scalars(query)]


def unchecked(session: Session, limit: int) -> list[Upload]:
    """Those that the Hub was not asked about for the longest time."""
    query = select(UploadRow).where(UploadRow.checked_at.is_not(None), ~WAITING)
    return [record_of(row) for row in session.scalars(query.order_by(UploadRow.checked_at).limit(limit))]


def check(session: Session, repo: str) -> None:
    """It is still there."""
    session.execute(update(UploadRow).where(UploadRow.repo == repo).values(checked_at=datetime.now(UTC)))


def forget(session: Session, repo: str) -> None:
    """It is gone, and is not asked about again unless it is listed again."""
    session.execute(update(UploadRow).where(UploadRow.repo == repo).values(checked_at=None))
    changes.touch(session, [repo])


def newest(session: Session, limit: int | None, tree: str | None) -> list[Upload]:
    query = select(UploadRow).order_by(UploadRow.modified_at.desc(), UploadRow.repo).limit(limit)
    if tree is not None:
        query = query.join(PlacementRow, PlacementRow.repo == UploadRow.repo).where(PlacementRow.tree == tree)
    return [record_of(row) for row in session.scalars(query)]


def watermark(session: Session, endpoint: str) -> datetime | None:
    row = session.get(CursorRow, endpoint)
    return row.watermark if row else None


def set_watermark(session: Session, endpoint: str, at: datetime) -> None:
    session.merge(CursorRow(endpoint=endpoint, watermark=at))


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def record_of(row: UploadRow) -> Upload:
    values: dict[str, Any] = {name: getattr(row, name) for name in FIELDS}
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Upload(**values)
