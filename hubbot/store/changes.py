"""What a search must look at again: a clock that ticks with every change, and who changed when.

A searcher remembers the time at which it last looked, and asks who changed since. The clock has a name of its
own, so that an index made of one database is never taken for another's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hubbot.store.tables import ClockRow, UploadRow

AT_ONCE = 500
"""Names in one statement: SQLite takes no more than some thousands of values."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The database's name, and how often it has changed; both say nothing of a database without changes."""

    identity: str = ""
    at: int = 0


def clock(session: Session) -> Clock:
    row = session.get(ClockRow, 1)
    return Clock(row.identity, row.at) if row else Clock()


def touch(session: Session, repos: Iterable[str] = ()) -> None:
    """These repos are not what a search found them to be; without any, something that concerns all did."""
    now = _tick(session)
    listed = list(repos)
    for i in range(0, len(listed), AT_ONCE):
        some = listed[i : i + AT_ONCE]
        session.execute(update(UploadRow).where(UploadRow.repo.in_(some)).values(changed=now))


def _tick(session: Session) -> int:
    row = session.get(ClockRow, 1)
    if row is None:
        row = ClockRow(id=1, identity=uuid.uuid4().hex, at=0)
        session.add(row)
    row.at += 1
    session.flush()
    return row.at


def changed(session: Session, since: int) -> list[str]:
    """Who changed after that time, by name."""
    # In no order: SQLite would go through all repos by name to save itself the sorting of a few.
    return sorted(session.scalars(select(UploadRow.repo).where(UploadRow.changed > since)))
