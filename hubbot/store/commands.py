"""What admins asked the bot to do: a queue while it waits, an audit trail for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hubbot.errors import StoreError
from hubbot.store.tables import CommandRow

TRIES = 3
"""A command that was begun so often and never finished is taken to be what stops the bot."""


@dataclass(frozen=True, slots=True)
class Command:
    """A verb with its arguments, who asked and when; `outcome` is a sentence once it is finished."""

    id: int
    verb: str
    args: Mapping[str, Any]
    by: str
    asked_at: datetime
    tries: int = 0
    finished_at: datetime | None = None
    outcome: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)


def enqueue(session: Session, verb: str, args: Mapping[str, Any], by: str) -> int:
    row = CommandRow(
        verb=verb,
        args=dict(args),
        asked_by=by,
        asked_at=datetime.now(UTC),
        tries=0,
        progress={},
        outcome="",
    )
    session.add(row)
    session.flush()
    return row.id


def begin_next(session: Session) -> Command | None:
    """The oldest unfinished one; it stays the next until it is finished, so that a crash forgets none."""
    query = select(CommandRow).where(CommandRow.finished_at.is_(None)).order_by(CommandRow.id)
    for row in session.scalars(query):
        if row.tries < TRIES:
            row.tries += 1
            return _record(row)
        row.finished_at, row.outcome = datetime.now(UTC), f"given up: begun {TRIES} times, never finished"
    return None


def finish(session: Session, command: int, outcome: str) -> None:
    """Raises StoreError where there is no such command, or it was finished before."""
    row = session.get(CommandRow, command)
    if row is None or row.finished_at is not None:
        raise StoreError(f"there is no unfinished command {command}")
    row.finished_at, row.outcome = datetime.now(UTC), outcome


def get(session: Session, command: int) -> Command | None:
    row = session.get(CommandRow, command)
    return _record(row) if row else None


def advance(session: Session, command: int, progress: Mapping[str, Any]) -> None:
    """How far it has come; it is no longer what stops the bot, so its tries begin anew."""
    row = session.get(CommandRow, command)
    if row is not None:
        row.progress, row.tries = dict(progress), 1


def newest(session: Session, limit: int) -> list[Command]:
    return [
        _record(row)
        for row in session.scalars(select(CommandRow).order_by(CommandRow.id.desc()).limit(limit))
    ]


def _record(row: CommandRow) -> Command:
    return Command(
        id=row.id,
        verb=row.verb,
        args=row.args,
        by=row.asked_by,
        asked_at=row.asked_at,
        tries=row.tries,
        finished_at=row.finished_at,
        outcome=row.outcome,
        progress=row.progress,
    )
