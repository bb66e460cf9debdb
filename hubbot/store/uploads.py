"""Uploads as they were listed, and how far each Hub's listing has been read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hubbot.records import Upload
from hubbot.store.tables import CursorRow, PlacementRow, UploadRow

FIELDS = tuple(f.name for f in fields(Upload))


def save(session: Session, upload: Upload) -> None:
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


def unfinished(session: Session) -> list[Upload]:
    """Those that were noticed and have not come to the end of the path, the oldest first."""
    query = select(UploadRow).where(UploadRow.finished.is_distinct_from(UploadRow.commit))
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
