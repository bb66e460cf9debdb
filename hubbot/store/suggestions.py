"""Suggestions: one alive per repo, and behind it the history of what others saw.

As long as nobody outside has seen a suggestion it is replaced in place. What was merged or closed is
history: it stays, and the next suggestion of that repo is a row of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hubbot.errors import StoreError
from hubbot.records import Suggestion, SuggestionState
from hubbot.store.tables import SuggestionRow

DRAFT, REFUSED, REJECTED, APPROVED, OPENING, OPEN, MERGED, CLOSED = (
    SuggestionState.DRAFT,
    SuggestionState.REFUSED,
    SuggestionState.REJECTED,
    SuggestionState.APPROVED,
    SuggestionState.OPENING,
    SuggestionState.OPEN,
    SuggestionState.MERGED,
    SuggestionState.CLOSED,
)

FIRST = frozenset({DRAFT, REFUSED, APPROVED})
"""What a suggestion may begin as; an admin rejects what is there."""

UNSEEN = FIRST | {REJECTED}
"""Nobody outside knows of it."""

UNDER_WAY = (OPENING, OPEN)
ANSWERED = (MERGED, CLOSED)

NEXT: dict[SuggestionState, frozenset[SuggestionState]] = {
    DRAFT: UNSEEN | {OPENING},
    REFUSED: FIRST,
    REJECTED: UNSEEN,
    APPROVED: UNSEEN | {OPENING},
    OPENING: FIRST | {OPENING, OPEN, MERGED, CLOSED},  # back to the first: it did not come to a pull request
    OPEN: frozenset({OPEN, MERGED, CLOSED}),
    MERGED: frozenset({MERGED}),
    CLOSED: frozenset({CLOSED}),
}


def save(session: Session, suggestion: Suggestion, *, asked: bool) -> None:
    """Write a suggestion, or the next state of the one that is alive.

    Args:
        asked: the owner asked for it, which breaks the silence after a closed pull request.

    Raises:
        StoreError: no suggestion goes from its state to the new one, or the owner closed an earlier one.
    """
    row, now = _latest(session, suggestion.repo), datetime.now(UTC)
    if row is None or (row.state in ANSWERED and suggestion.state in FIRST):
        row = _begin(session, row, suggestion, asked, now)
    elif suggestion.state not in NEXT[SuggestionState(row.state)]:
        raise StoreError(
            f"a suggestion that is {row.state} cannot become {suggestion.state}", repo=suggestion.repo
        )
    _fill(row, suggestion, now)


def latest(session: Session, repo: str) -> Suggestion | None:
    row = _latest(session, repo)
    return record_of(row) if row else None


def shown(session: Session, repo: str) -> Suggestion | None:
    """The newest that others have seen: open, merged or closed."""
    query = _history(repo).where(SuggestionRow.state.in_((OPEN, *ANSWERED)))
    row = session.scalar(query.limit(1))
    return record_of(row) if row else None


def history(session: Session, repo: str) -> list[Suggestion]:
    """All of a repo, the newest first."""
    return [record_of(row) for row in session.scalars(_history(repo))]


def all_latest(
    session: Session, state: SuggestionState | None, within: str = "", limit: int | None = None
) -> list[Suggestion]:
    """The oldest first; of repos whose names hold what is in `within`."""
    query = select(SuggestionRow).where(SuggestionRow.latest).order_by(SuggestionRow.id).limit(limit)
    if state is not None:
        query = query.where(SuggestionRow.state == state.value)
    if within:
        query = query.where(SuggestionRow.repo.icontains(within, autoescape=True))
    return [record_of(row) for row in session.scalars(query)]


def by_state(session: Session) -> dict[str, int]:
    """How many repos have their latest in which state."""
    counted = select(SuggestionRow.state, func.count()).where(SuggestionRow.latest)
    return dict(session.execute(counted.group_by(SuggestionRow.state)).all())


def asked_at(session: Session, repo: str) -> datetime | None:
    """When the Hub was last asked to open the latest; None where it was not."""
    row = _latest(session, repo)
    return row.opened_at if row else None


def opened_since(session: Session, at: datetime, owner: str | None, besides: str | None) -> int:
    """How many the Hub was asked to open since then, whatever became of them."""
    return session.scalar(_count(owner, besides).where(SuggestionRow.opened_at >= at)) or 0


def open_now(session: Session, owner: str | None, besides: str | None) -> int:
    """How many wait for their owner's answer."""
    return session.scalar(_count(owner, besides).where(SuggestionRow.state.in_(UNDER_WAY))) or 0


def owner_of(repo: str) -> str:
    """In lower case, as the Hub holds `Ann` and `ann` to be one."""
    return repo.partition("/")[0].lower() if "/" in repo else ""


def _begin(
    session: Session, before: SuggestionRow | None, suggestion: Suggestion, asked: bool, now: datetime
) -> SuggestionRow:
    if suggestion.state not in FIRST:
        raise StoreError(f"no suggestion begins as {suggestion.state}", repo=suggestion.repo)
    closed = _history(suggestion.repo).where(SuggestionRow.state == CLOSED.value)
    if not asked and session.scalar(closed.limit(1)):
        raise StoreError("its owner closed an earlier suggestion: silence", repo=suggestion.repo)
    if before is not None:
        before.latest = False
        session.flush()
    row = SuggestionRow(
        repo=suggestion.repo, owner=owner_of(suggestion.repo), latest=True, created_at=now, opened_at=None
    )
    session.add(row)
    return row


def _fill(row: SuggestionRow, suggestion: Suggestion, now: datetime) -> None:
    if suggestion.state in UNSEEN:
        row.opened_at = None
    elif suggestion.state is OPENING:
        row.opened_at = now
    row.state = suggestion.state.value
    row.base_commit, row.title, row.body = suggestion.base_commit, suggestion.title, suggestion.body
    row.added, row.new_text, row.old_text = list(suggestion.added), suggestion.new_text, suggestion.old_text
    row.reason, row.pull_request = suggestion.reason, suggestion.pull_request
    row.content_ids, row.version = list(suggestion.content_ids), suggestion.version
    row.changed_at = now


def _latest(session: Session, repo: str) -> SuggestionRow | None:
    return session.scalar(select(SuggestionRow).where(SuggestionRow.repo == repo, SuggestionRow.latest))


def _history(repo: str) -> Select[SuggestionRow]:
    return select(SuggestionRow).where(SuggestionRow.repo == repo).order_by(SuggestionRow.id.desc())


def _count(owner: str | None, besides: str | None) -> Select[int]:
    query = select(func.count()).select_from(SuggestionRow)
    if owner is not None:
        query = query.where(SuggestionRow.owner == owner.lower())
    return query if besides is None else query.where(SuggestionRow.repo != besides)


def record_of(row: SuggestionRow) -> Suggestion:
    return Suggestion(
        repo=row.repo,
        base_commit=row.base_commit,
        state=SuggestionState(row.state),
        title=row.title,
        body=row.body,
        added=tuple(row.added),
        new_text=row.new_text,
        reason=row.reason,
        pull_request=row.pull_request,
        content_ids=tuple(row.content_ids),
        version=row.version,
        old_text=row.old_text,
    )
