"""The bot's work in numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnExpressionArgument, func, select
from sqlalchemy.orm import Session

from hubbot.records import How, SuggestionState
from hubbot.store.tables import (
    CommandRow,
    CursorRow,
    PlacementRow,
    ReadingRow,
    SuggestionRow,
    UploadRow,
)
from hubbot.store.uploads import WAITING, backlog, later_than

SHOWN = (SuggestionState.OPEN, SuggestionState.MERGED, SuggestionState.CLOSED)
"""Owners have seen these."""

TURNED_DOWN = (SuggestionState.REFUSED, SuggestionState.REJECTED)

BY_WEIGHTS = (How.RECOVERED, How.CONFLICT)
"""The weights decided: the card said nothing, or something else."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where the bot stands, as its database knows.

    Args:
        watermarks: by Hub, how far its listing was read.
        due: uploads that the next poll takes up again; `waiting` are those whose next try comes later.
        next_due: when the first of them is tried again.
        orders: admins' orders that nobody has carried out yet.
        answered: uploads with a reading.
        reasons: why others have none, by the reason's word; the most frequent first.
        suggestions: the latest of each repo, by state.
    """

    watermarks: Mapping[str, datetime]
    due: int
    waiting: int
    next_due: datetime | None
    orders: int
    answered: int
    reasons: Mapping[str, int]
    suggestions: Mapping[str, int]


def status(session: Session, now: datetime) -> Status:
    """For `hubbot status`."""
    later = WAITING & UploadRow.due_at.is_not(None) & later_than(now)
    waiting = _count(session, UploadRow, later)
    code, state, many = ReadingRow.abstention_code, SuggestionRow.state, func.count().desc()
    reasons = select(code, func.count()).where(ReadingRow.latest, code.is_not(None)).group_by(code)
    suggested = select(state, func.count()).where(SuggestionRow.latest).group_by(state)
    return Status(
        watermarks={row.endpoint: row.watermark for row in session.scalars(select(CursorRow))},
        due=backlog(session) - waiting,
        waiting=waiting,
        next_due=session.scalar(select(func.min(UploadRow.due_at)).where(later)),
        orders=_count(session, CommandRow, CommandRow.finished_at.is_(None)),
        answered=_count(session, ReadingRow, ReadingRow.latest, code.is_(None)),
        reasons={word: count for word, count in session.execute(reasons.order_by(many, code)) if word},
        suggestions={word: n for word, n in session.execute(suggested.order_by(many, state)) if n},
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the pull requests that concern one tree or one tag.

    Args:
        accepted: merged ones of those that were answered; None where none was.
    """

    name: str
    merged: int
    closed: int
    open: int
    accepted: float | None


@dataclass(frozen=True, slots=True)
class Comment:
    """The last thing that somebody else said on a pull request of ours."""

    repo: str
    state: str
    pull_request: str
    text: str


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of all pull requests: by tree, by what they added, and what was said there last.

    A tag's count is of the pull requests that added it, whatever else they added.
    """

    by_tree: Sequence[Outcome]
    by_tag: Sequence[Outcome]
    comments: Sequence[Comment]


def outcomes(session: Session) -> Outcomes:
    """For `hubbot card outcomes`: the whole history, one row a pull request, the latest comments first."""
    seen = SuggestionRow.state.in_(SHOWN)
    placed = select(SuggestionRow, PlacementRow.tree).outerjoin(
        PlacementRow, PlacementRow.repo == SuggestionRow.repo
    )
    rows = session.execute(placed.where(seen).order_by(SuggestionRow.changed_at.desc())).all()
    trees, tags, comments = (
        defaultdict[str, Counter[str]](Counter),
        defaultdict[str, Counter[str]](Counter),
        [],
    )
    for row, tree in rows:
        trees[tree or ""][row.state] += 1
        for name in _offered(row.added):
            tags[name][row.state] += 1
        if row.reason:
            comments.append(Comment(row.repo, row.state, row.pull_request or "", row.reason))
    return Outcomes(_outcomes(trees), _outcomes(tags), comments)


def _offered(added: Sequence[str]) -> set[str]:
    """Tags by their names, everything else by its key."""
    pairs = [line.partition(": ") for line in added]
    return {value if key == "tags" else key for key, _, value in pairs}


def _outcomes(counted: Mapping[str, Counter[str]]) -> list[Outcome]:
    """Those with the most answers first."""
    found = []
    for name, states in counted.items():
        merged, closed = states[SuggestionState.MERGED], states[SuggestionState.CLOSED]
        accepted = merged / (merged + closed) if merged + closed else None
        found.append(Outcome(name, merged, closed, states[SuggestionState.OPEN], accepted))
    return sorted(found, key=lambda one: (-one.merged - one.closed, -one.open, one.name))


def counts(session: Session) -> dict[str, int]:
    """What `hubbot demo --json` and the metrics show.

    `placed_declared` + `placed_recovered` + `unplaced` = `uploads`. Of readings, abstentions and
    suggestions the latest of each repo counts. The bytes are those of repos that gave a reading.
    """
    uploads = _count(session, UploadRow, UploadRow.repo.is_not(None))
    placed = PlacementRow.tree.is_not(None)
    by_weights = PlacementRow.how.in_([how.value for how in BY_WEIGHTS])
    declared = _count(session, PlacementRow, placed, ~by_weights)
    recovered = _count(session, PlacementRow, placed, by_weights)
    gave, newest = ReadingRow.abstention_code.is_(None), ReadingRow.latest
    read, stored = session.execute(
        select(func.sum(ReadingRow.bytes_read), func.sum(ReadingRow.bytes_stored)).where(gave, newest)
    ).one()
    turned_down = SuggestionRow.state.in_([state.value for state in TURNED_DOWN])
    return {
        "uploads": uploads,
        "trees": session.scalar(select(func.count(func.distinct(PlacementRow.tree)))) or 0,
        "placed_declared": declared,
        "placed_recovered": recovered,
        "unplaced": uploads - declared - recovered,
        "readings": _count(session, ReadingRow, newest, gave),
        "abstentions": _count(session, ReadingRow, newest, ~gave),
        "suggestions": _count(session, SuggestionRow, SuggestionRow.latest, ~turned_down),
        "refusals": _count(session, SuggestionRow, SuggestionRow.latest, turned_down),
        "pull_requests": _count(session, SuggestionRow, SuggestionRow.pull_request.is_not(None)),
        "bytes_read": read or 0,
        "bytes_stored": stored or 0,
    }


def _count(session: Session, table: type, *conditions: ColumnExpressionArgument[bool]) -> int:
    return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
