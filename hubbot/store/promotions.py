"""Which expert an admin chose for a tree: a pile for each, of which the top one answers.

Who chose, and what for, stands in the audit trail; here stands what a rollback goes back to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hubbot.store import forest
from hubbot.store.tables import PromotionRow


@dataclass(frozen=True, slots=True)
class Promotion:
    """A version of an expert that answers for a tree, because an admin said so."""

    tree: str
    expert: str
    version: str
    promoted_at: datetime


def promote(session: Session, tree: str, expert: str, version: str) -> None:
    """Put it on top, unless it is there; an order that a crash cut short is carried out twice."""
    top = _top(session, tree)
    if top is None or (top.expert, top.version) != (expert, version):
        forest.ensure_tree(session, tree)
        now = datetime.now(UTC)
        session.add(PromotionRow(tree=tree, expert=expert, version=version, promoted_at=now))


def take_back(session: Session, tree: str, expert: str, version: str) -> bool:
    """Take it from the top; False where it is not there, or no longer."""
    top = _top(session, tree)
    if top is None or (top.expert, top.version) != (expert, version):
        return False
    session.delete(top)
    return True


def present(session: Session) -> list[Promotion]:
    """The top of each pile, the one promoted last comes last."""
    tops = select(func.max(PromotionRow.id)).group_by(PromotionRow.tree)
    rows = session.scalars(select(PromotionRow).where(PromotionRow.id.in_(tops)).order_by(PromotionRow.id))
    return [Promotion(row.tree, row.expert, row.version, row.promoted_at) for row in rows]


def _top(session: Session, tree: str) -> PromotionRow | None:
    query = select(PromotionRow).where(PromotionRow.tree == tree)
    return session.scalar(query.order_by(PromotionRow.id.desc()).limit(1))
