"""Trees, who stands in them, and the experts that read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import case, func, literal, select
from sqlalchemy.orm import Session

from hubbot.records import (
    Bin,
    Evidence,
    ExpertInfo,
    How,
    Kind,
    Label,
    LayerScore,
    Placement,
    Reliability,
    Source,
    TextHead,
    Trust,
    Wanted,
)
from hubbot.store import changes, heads
from hubbot.store.tables import ExpertRow, PlacementRow, PromotionRow, ReadingRow, TreeRow

DEEPEST = 50
"""Generations that are followed upwards."""

COUNTED = 1000
"""Children of one parent that are counted: a root may have a million, and nobody waits for that number."""


@dataclass(frozen=True, slots=True)
class Brood:
    """Children of one parent: the names of a few, and how many there are, `COUNTED` and one more at most."""

    names: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """A model tree in numbers; `expert` is the one that was promoted or saved last, if any was."""

    root: str
    aliases: tuple[str, ...]
    members: int
    expert: str | None
    readings: int
    abstentions: int


def ensure_tree(session: Session, root: str, aliases: Iterable[str] = ()) -> None:
    row = session.get(TreeRow, root)
    if row is None:
        row = TreeRow(root=root, aliases=[])
        session.add(row)
    row.aliases = sorted({*row.aliases, *aliases} - {root})
    session.flush()


def save_placement(session: Session, placement: Placement) -> None:
    if placement.tree is not None:
        ensure_tree(session, placement.tree)
    values = {name: getattr(placement, name) for name in ("repo", "commit", "tree", "parent", "relation")}
    session.merge(
        PlacementRow(
            **values,
            how=placement.how.value,
            others=list(placement.others),
            evidence=[asdict(evidence) for evidence in placement.evidence],
            bytes_read=placement.bytes_read,
        )
    )


def placement(session: Session, repo: str) -> Placement | None:
    row = session.get(PlacementRow, repo)
    return record_of(row) if row else None


def members(session: Session, root: str) -> list[Placement]:
    query = select(PlacementRow).where(PlacementRow.tree == root).order_by(PlacementRow.repo)
    return [record_of(row) for row in session.scalars(query)]


def children(session: Session, parent: str) -> list[Placement]:
    """Whoever has this parent, or has it first of several."""
    query = select(PlacementRow).where(PlacementRow.parent == parent).order_by(PlacementRow.repo)
    return [record_of(row) for row in session.scalars(query)]


def ancestors(session: Session, repo: str) -> list[str]:
    """Its parent, that one's parent and so on, as far as it is known; of a merge, the first one's."""
    parent = select(PlacementRow.parent, literal(1).label("depth")).where(PlacementRow.repo == repo)
    line = parent.where(PlacementRow.parent.is_not(None)).cte("line", recursive=True)
    above = select(PlacementRow.parent, line.c.depth + 1).where(
        PlacementRow.repo == line.c.parent,
        PlacementRow.parent.is_not(None),
        line.c.depth < DEEPEST,  # parents may go round in circles
    )
    line = line.union_all(above)
    found = session.scalars(select(line.c.parent).order_by(line.c.depth))
    return [name for name in dict.fromkeys(found) if name != repo]


def brood(session: Session, parent: str, limit: int) -> Brood:
    """The first children of a parent, in the order in which they came; none is counted beyond `COUNTED`."""
    names = select(PlacementRow.repo).where(PlacementRow.parent == parent)
    counted = session.scalar(select(func.count()).select_from(names.limit(COUNTED + 1).subquery()))
    return Brood(tuple(session.scalars(names.limit(limit))), counted or 0)


def trees(session: Session) -> list[Tree]:
    """All of them, the largest first."""
    placed = _tally(session, select(PlacementRow.tree, func.count()).group_by(PlacementRow.tree))
    abstained = case((ReadingRow.abstention_code.is_not(None), 1), else_=0)
    latest = select(ReadingRow.tree, func.count(), func.sum(abstained)).where(ReadingRow.latest)
    said = {row[0]: (row[1], row[2]) for row in session.execute(latest.group_by(ReadingRow.tree))}
    by_age = select(ExpertRow.tree, ExpertRow.name).order_by(ExpertRow.saved_at)
    promoted = select(PromotionRow.tree, PromotionRow.expert).order_by(PromotionRow.id)
    readers = _tally(session, by_age) | _tally(session, promoted)
    rows = []
    for row in session.scalars(select(TreeRow)):
        total, abstentions = said.get(row.root, (0, 0))
        rows.append(
            Tree(
                root=row.root,
                aliases=tuple(row.aliases),
                members=placed.get(row.root, 0),
                expert=readers.get(row.root),
                readings=total - abstentions,
                abstentions=abstentions,
            )
        )
    return sorted(rows, key=lambda tree: (-tree.members, tree.root))


def save_expert(session: Session, info: ExpertInfo, head: TextHead | None) -> None:
    ensure_tree(session, info.tree, info.roots)
    known = session.get(ExpertRow, (info.name, info.version))
    changes.touch(session)
    session.merge(
        ExpertRow(
            name=info.name,
            version=info.version,
            tree=info.tree,
            info=asdict(info),
            saved_at=known.saved_at if known else datetime.now(UTC),
            text_head=heads.packed(head) if head else None,
        )
    )


def experts(session: Session) -> list[ExpertInfo]:
    """Every version ever saved, in the order in which they came."""
    query = select(ExpertRow).order_by(ExpertRow.saved_at, ExpertRow.name, ExpertRow.version)
    return [_expert(row.info) for row in session.scalars(query)]


def expert_versions(session: Session) -> set[tuple[str, str]]:
    return {(name, version) for name, version in session.execute(select(ExpertRow.name, ExpertRow.version))}


def text_head(session: Session, name: str, version: str) -> TextHead | None:
    packed = session.scalar(
        select(ExpertRow.text_head).where(ExpertRow.name == name, ExpertRow.version == version)
    )
    return heads.unpacked(packed) if packed else None


def _tally(session: Session, query: Any) -> dict[str, Any]:
    return dict(session.execute(query).all())


def record_of(row: PlacementRow) -> Placement:
    evidence = tuple(Evidence(**(item | {"source": Source(item["source"])})) for item in row.evidence)
    return Placement(
        repo=row.repo,
        commit=row.commit,
        tree=row.tree,
        parent=row.parent,
        how=How(row.how),
        evidence=evidence,
        relation=row.relation,
        others=tuple(row.others),
        bytes_read=row.bytes_read,
    )


def _expert(info: Mapping[str, Any]) -> ExpertInfo:
    values = dict(info)
    values["roots"] = tuple(values["roots"])
    values["datasets"] = tuple(values["datasets"])
    values["labels"] = tuple(Label(**label) for label in values["labels"])
    values["wanted"] = tuple(
        Wanted(
            item["name"],
            item["rows"],
            None if item["shape"] is None else tuple(item["shape"]),
            Kind(item.get("kind", Kind.DENSE)),
        )
        for item in values["wanted"]
    )
    values["trust"] = _trust(values["trust"]) if values.get("trust") else None
    return ExpertInfo(**values)


def _trust(told: Mapping[str, Any]) -> Trust:
    layers = tuple(LayerScore(**layer) for layer in told["layers"])
    found = told["reliability"]
    if found is not None:
        recognised = Bin(**found["recognised"]) if found["recognised"] else None
        bins = tuple(Bin(**item) for item in found["bins"])
        found = Reliability(**(found | {"bins": bins, "recognised": recognised}))
    return Trust(told["threshold"], told["known"], layers, found)
