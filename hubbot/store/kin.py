"""What is kept of weights: every model's sketch, and the rows by which roots are known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as packing
from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from hubbot.errors import StoreError
from hubbot.records import Judgement, Placement, Reading, Relative, Sketch, Upload
from hubbot.store import forest, judgements, readings, uploads
from hubbot.store.tables import PlacementRow, SketchRow, TreeRow

if TYPE_CHECKING:
    from hubbot.records import Floats

ROWS, SHAPE = "rows.", "shape."


@dataclass(frozen=True, slots=True)
class Family:
    """Unplaced models that resemble one another.

    Args:
        oldest: the one that was created first, and so may be the root.
    """

    oldest: str
    members: int


@dataclass(frozen=True, slots=True, eq=False)
class KnownBy:
    """Rows of a root's tensors, and their full shapes."""

    root: str
    aliases: tuple[str, ...]
    rows: Mapping[str, Floats]
    shapes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What is kept of one upload's weights.

    Args:
        coarse: what all members of its tree are searched by.
        tree: none where it stands in none, and then `family` is what those that it resembles go by.
    """

    one: Relative
    coarse: Floats
    tree: str | None
    family: str | None = None


def save(session: Session, entry: Entry) -> None:
    sketch = entry.one.sketch
    session.merge(
        SketchRow(
            repo=sketch.repo,
            tree=entry.tree,
            form=sketch.form,
            # Whom nobody resembles yet may be resembled.
            family=None if entry.tree else entry.family or sketch.repo,
            created_at=entry.one.created_at,
            merged=entry.one.merged,
            quantised=sketch.quantised,
            kurtosis=sketch.kurtosis,
            coarse=_packed(entry.coarse),
            weights=_packed(sketch.values),
        )
    )


def conclude(
    session: Session,
    upload: Upload,
    placements: Iterable[Placement],
    reading: Reading,
    entry: Entry | None,
    said: Sequence[Judgement],
) -> bool:
    """All that came of an upload; False where its reading was there before."""
    uploads.save(session, upload)
    session.flush()
    for placement in placements:
        forest.save_placement(session, placement)
    if entry:
        save(session, entry)
    judgements.hold(session, upload.repo, said)
    return readings.record(session, reading)


def coarse(session: Session, tree: str | None, form: str) -> list[tuple[str, Floats]]:
    """Of all members of a tree, or of no tree, whose sketches have this form."""
    query = select(SketchRow.repo, SketchRow.coarse).where(SketchRow.tree == tree, SketchRow.form == form)
    return [(repo, _unpacked(raw)) for repo, raw in session.execute(query)]


def relatives(
    session: Session, repos: Collection[str], tree: str | None, form: str
) -> tuple[list[Relative], dict[str, Placement]]:
    """Those of these repos that stand in the tree, in this order, then the parents of theirs that do.

    With them their placements, by repo.
    """
    rows = _rows(session, repos, tree, form)
    found = {repo: rows[repo] for repo in repos if repo in rows}
    parents = dict.fromkeys(parent for _, placement in found.values() for parent in placement.parents)
    found |= _rows(session, [parent for parent in parents if parent not in found], tree, form)
    placements = {repo: placement for repo, (_, placement) in found.items()}
    named = {parent for placement in placements.values() for parent in placement.declared}
    away = elsewhere(session, named, tree)
    return [_relative(*pair, away) for pair in found.values()], placements


def _rows(
    session: Session, repos: Collection[str], tree: str | None, form: str
) -> dict[str, tuple[SketchRow, Placement]]:
    query = (
        select(SketchRow, PlacementRow)
        .join(PlacementRow, PlacementRow.repo == SketchRow.repo)
        .where(SketchRow.repo.in_(repos), SketchRow.tree == tree, SketchRow.form == form)
        .options(undefer(SketchRow.weights))
    )
    return {row.repo: (row, forest.record_of(placed)) for row, placed in session.execute(query)}


def family_of(session: Session, repo: str) -> str | None:
    return session.scalar(select(SketchRow.family).where(SketchRow.repo == repo))


def families(session: Session) -> list[Family]:
    """The largest first; a model that nothing resembles is none."""
    size = func.count()
    query = select(SketchRow.family, size).where(SketchRow.tree.is_(None), SketchRow.family.is_not(None))
    named = session.execute(query.group_by(SketchRow.family).having(size > 1).order_by(size.desc()))
    return [Family(family_members(session, family)[0], count) for family, count in named if family]


def family_members(session: Session, family: str) -> list[str]:
    """The oldest first."""
    query = select(SketchRow.repo).where(SketchRow.family == family, SketchRow.tree.is_(None))
    return [*session.scalars(query.order_by(SketchRow.created_at, SketchRow.repo))]


def save_root(session: Session, known: KnownBy) -> None:
    forest.ensure_tree(session, known.root, known.aliases)
    arrays = {f"{ROWS}{name}": np.ascontiguousarray(rows, np.float32) for name, rows in known.rows.items()}
    arrays |= {f"{SHAPE}{name}": np.array(shape, np.int64) for name, shape in known.shapes.items()}
    session.get_one(TreeRow, known.root).fingerprint = packing.save(arrays)


def roots(session: Session) -> list[KnownBy]:
    """The roots that admins added."""
    query = select(TreeRow).where(TreeRow.fingerprint.is_not(None)).options(undefer(TreeRow.fingerprint))
    return [
        KnownBy(row.root, tuple(row.aliases), *_known(row.root, row.fingerprint))
        for row in session.scalars(query)
        if row.fingerprint
    ]


def _known(root: str, raw: bytes) -> tuple[dict[str, Floats], dict[str, tuple[int, ...]]]:
    try:
        arrays = packing.load(raw)
    except SafetensorError as error:
        raise StoreError(f"what the root is known by cannot be read: {error}", repo=root) from error
    shapes = {n.removeprefix(SHAPE): tuple(map(int, v)) for n, v in arrays.items() if n.startswith(SHAPE)}
    return {n.removeprefix(ROWS): v for n, v in arrays.items() if n.startswith(ROWS)}, shapes


def elsewhere(session: Session, repos: Collection[str], tree: str | None) -> set[str]:
    """Those that stand in another tree than this one, and so are nobody's parents in it."""
    if tree is None or not repos:
        return set()
    query = select(PlacementRow.repo).where(PlacementRow.repo.in_(repos), PlacementRow.tree != tree)
    return set(session.scalars(query))


def _relative(row: SketchRow, placement: Placement, away: Collection[str]) -> Relative:
    declared = tuple(parent for parent in placement.declared if parent not in away)
    sketch = Sketch(row.repo, row.form, _unpacked(row.weights), row.kurtosis, row.quantised)
    return Relative(sketch, row.created_at, row.merged, placement.parents, declared)


def _packed(vector: Floats) -> bytes:
    return vector.astype("<f4").tobytes()


def _unpacked(raw: bytes) -> Floats:
    return np.frombuffer(raw, "<f4").astype(np.float32)
