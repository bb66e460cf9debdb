"""Uploads as they were listed, and how far each Hub's listing has been read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from hubbot.records import Upload
from hubbot.store.tables import CursorRow, PlacementRow, UploadRow

FARTHEST = timedelta(hours=8)
"""No pause is that long: what is put off further was so by a clock that was ahead, and is due at once."""

FIELDS = tuple(f.name for f in fields(Upload))


def save(session: Session, upload: Upload) -> None:
    row = session.get(UploadRow, upload.repo)
    if row is not None and row.commit != upload.commit:  # what failed with other files says nothing of these
        row.tries, row.due_at = 0, None
    values = {name: getattr(upload, name) for name in FIELDS}
    session.merge(UploadRow(**{name: _plain(value) for name, value in values.items()}))


def get(session: Session, repo: str) -> Upload | None:
    row = session.get(UploadRow, repo)
    return _record(row) if row else None


def finish(session: Session, upload: Upload) -> None:
    """This commit was led to the end of the path."""
    session.execute(update(UploadRow).where(UploadRow.repo == upload.repo).values(finished=upload.commit))


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


def is_waiting(session: Session, upload: Upload, now: datetime) -> bool:
    """Whether this commit was tried in vain, and its next try is not due."""
    row = session.get(UploadRow, upload.repo)
    due_at = row.due_at if row is not None and row.commit == upload.commit else None
    return due_at is not None and now < due_at <= now + FARTHEST


def later_than(now: datetime) -> ColumnElement[bool]:
    """Rows that are put off to a time that has not come."""
    return (UploadRow.due_at > now) & (UploadRow.due_at <= now + FARTHEST)


def unfinished(session: Session, due: datetime | None) -> list[Upload]:
    """Those that were noticed and have not come to the end of the path, the oldest first.

    Args:
        due: only those whose next try is due by then.
    """
    query = select(UploadRow).where(UploadRow.finished.is_distinct_from(UploadRow.commit))
    if due is not None:
        query = query.where(UploadRow.due_at.is_(None) | ~later_than(due))
    return [_record(row) for row in session.scalars(query.order_by(UploadRow.modified_at, UploadRow.repo))]


def newest(session: Session, limit: int | None, tree: str | None) -> list[Upload]:
    query = select(UploadRow).order_by(UploadRow.modified_at.desc(), UploadRow.repo).limit(limit)
    if tree is not None:
        query = query.join(PlacementRow, PlacementRow.repo == UploadRow.repo).where(PlacementRow.tree == tree)
    return [_record(row) for row in session.scalars(query)]


def watermark(session: Session, endpoint: str) -> datetime | None:
    row = session.get(CursorRow, endpoint)
    return row.watermark if row else None


def set_watermark(session: Session, endpoint: str, at: datetime) -> None:
    session.merge(CursorRow(endpoint=endpoint, watermark=at))


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _record(row: UploadRow) -> Upload:
    values: dict[str, Any] = {name: getattr(row, name) for name in FIELDS}
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Upload(**values)
