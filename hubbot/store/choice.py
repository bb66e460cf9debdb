"""Which models of a tree are led down the path again, as an admin chooses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hubbot.errors import EngineError, HubbotError, HubUnavailable, RateLimited, StoreError, UsageError
from hubbot.store.tables import PlacementRow, ReadingRow, TreeRow, UploadRow

FAULTS: tuple[type[HubbotError], ...] = (HubbotError, HubUnavailable, RateLimited, StoreError, EngineError)
FAILED = tuple(sorted({kind.code for kind in FAULTS} | {kind.code for kind in EngineError.__subclasses__()}))
"""Reasons that say something of the Hub or of this machine, and nothing of the model."""
ONLY = ("failed", "abstained")


@dataclass(frozen=True, slots=True)
class Choice:
    """Models of one tree.

    Args:
        since: an ISO date; those modified on it or later.
        only: `failed` for those that a fault kept from being read, `abstained` for those that were looked
            at and got no answer.
        expert: the beginning of a version of its expert; those that this one has not read.
        limit: so many at most, in the order of their names.
    """

    root: str
    since: str | None = None
    only: str | None = None
    expert: str | None = None
    limit: int | None = None

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> Choice:
        """As it came with an order.

        Raises:
            UsageError: there is no such choice.
        """
        choice = cls(**{name: args[name] for name in args if name in cls.__slots__})
        if choice.only is not None and choice.only not in ONLY:
            raise UsageError(f"there is no {choice.only!r}", hint=f"one of {', '.join(ONLY)}")
        choice.moment  # noqa: B018 - it says what is wrong with the date
        return choice

    @property
    def args(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def moment(self) -> datetime | None:
        try:
            found = datetime.fromisoformat(self.since) if self.since else None
        except ValueError:
            raise UsageError(f"{self.since!r} is no date", hint=f"such as {date.today()}") from None
        return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def chosen(session: Session, choice: Choice) -> list[str]:
    """Who that is, by name.

    Raises:
        UsageError: there is no such tree.
    """
    if session.get(TreeRow, choice.root) is None:
        raise UsageError(f"there is no tree {choice.root!r}", hint="`hubbot tree list` shows the trees")
    query = (
        select(PlacementRow.repo)
        .join(UploadRow, UploadRow.repo == PlacementRow.repo)
        .where(PlacementRow.tree == choice.root)
        .order_by(PlacementRow.repo)
        .limit(choice.limit)
    )
    if choice.moment:
        query = query.where(UploadRow.modified_at >= choice.moment)
    if choice.only or choice.expert:
        latest = (ReadingRow.repo == PlacementRow.repo) & ReadingRow.latest
        query = query.outerjoin(ReadingRow, latest)
    if choice.only:
        code = ReadingRow.abstention_code
        query = query.where(code.in_(FAILED) if choice.only == "failed" else code.not_in(FAILED))
    if choice.expert:
        version = func.coalesce(ReadingRow.version, "")
        query = query.where(~version.startswith(choice.expert, autoescape=True))
    return list(session.scalars(query))
