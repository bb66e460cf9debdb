"""The bot's work in numbers."""

from __future__ import annotations

from sqlalchemy import ColumnExpressionArgument, func, select
from sqlalchemy.orm import Session

from hubbot.records import How, SuggestionState
from hubbot.store.tables import PlacementRow, ReadingRow, SuggestionRow, UploadRow

BY_WEIGHTS = (How.RECOVERED, How.CONFLICT)
"""The weights decided: the card said nothing, or something else."""


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
    state = SuggestionRow.state
    return {
        "uploads": uploads,
        "trees": session.scalar(select(func.count(func.distinct(PlacementRow.tree)))) or 0,
        "placed_declared": declared,
        "placed_recovered": recovered,
        "unplaced": uploads - declared - recovered,
        "readings": _count(session, ReadingRow, newest, gave),
        "abstentions": _count(session, ReadingRow, newest, ~gave),
        "suggestions": _count(
            session, SuggestionRow, SuggestionRow.latest, state != SuggestionState.REFUSED.value
        ),
        "refusals": _count(
            session, SuggestionRow, SuggestionRow.latest, state == SuggestionState.REFUSED.value
        ),
        "pull_requests": _count(session, SuggestionRow, SuggestionRow.pull_request.is_not(None)),
        "bytes_read": read or 0,
        "bytes_stored": stored or 0,
    }


def _count(session: Session, table: type, *conditions: ColumnExpressionArgument[bool]) -> int:
    return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
