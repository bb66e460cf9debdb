"""Trees and maps over a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from hubbot.encoders.loading import load
from hubbot.library import Library
from hubbot.records import (
    Abstention,
    ExpertInfo,
    How,
    Label,
    Placement,
    Prediction,
    Reading,
    TextHead,
    Upload,
    Wanted,
)
from hubbot.store.store import Store
from hubbot.surveying import COLOURS, CROWNS, MAPPED, NOTHING, OTHER, SILENT, UNREAD, UNSEEN

ROOT, NOW = "org/vit", datetime(2026, 1, 1, tzinfo=UTC)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def expert(
    version: str = "v1", root: str = ROOT, names: tuple[str, ...] = DIGITS, head: str = "labels"
) -> ExpertInfo:
    labels = tuple(Label(name, f"the digit {name}", f"digit-{name}") for name in names)
    return ExpertInfo(
        *(
            "digits",
            version,
            "/nowhere",
            (root,),
            (Wanted("w"),),
            labels,
            "sentence:all-MiniLM-L6-v2",
            "a zoo",
        ),
        head=head,
    )


def add(
    store: Store,
    repo: str,
    parent: str | None = ROOT,
    known: tuple[str, ...] | None = (),
    *,
    minute: int = 0,
    root: str = ROOT,
    others: tuple[str, ...] = (),
    version: str = "v1",
    embedding: tuple[float, ...] | None = None,
) -> None:
    """A member; `known` is None for one that gave no answer, and the first is the most certain."""
    store.save_upload(Upload(repo, "1" * 40, NOW + timedelta(minutes=minute)))
    store.save_placement(Placement(repo, "1" * 40, root, parent, How.DECLARED, others=others))
    chances = {name: 0.99 - 0.01 * i for i, name in enumerate(known or ())}
    said = tuple(
        Prediction(name, chances.get(name, 0.01 * i), name in chances) for i, name in enumerate(DIGITS)
    )
    silence = Abstention("odd", "far from all") if known is None else None
    store.record(
        Reading(
            *(repo, "1" * 40, (repo,), root, "digits", version, () if silence else said, embedding),
            abstention=silence,
        )
    )


def notice(store: Store, repo: str, parent: str | None = ROOT) -> None:
    """A member that nobody has read."""
    store.save_upload(Upload(repo, "1" * 40, NOW))
    store.save_placement(Placement(repo, "1" * 40, ROOT, parent, How.DECLARED))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'hubbot.db'}") as store:
        store.save_expert(expert())
        yield store


@pytest.fixture
def library(store: Store) -> Library:
    return Library(store, load)


def small(store: Store) -> None:
    add(store, "a/sevens", known=("seven", "one"), minute=3)
    add(store, "b/seven", "a/sevens", known=("seven",), minute=2)
    add(store, "c/ones", known=("one",), minute=1)
    add(store, "d/merge", "a/sevens", (), others=("c/ones", "x/y"), minute=4)
    add(store, "e/odd", "gone/away", None, minute=5)
    notice(store, "f/new")


def test_a_tree_is_drawn_as_it_is(library: Library, store: Store) -> None:
    small(store)
    picture = library.tree(ROOT)
    assert picture is not None
    assert (picture.tree.members, picture.tree.readings, picture.tree.abstentions, picture.unread) == (
        6,
        4,
        1,
        1,
    )
    marks = {mark.node.repo: mark for mark in picture.marks}
    parents = {
        repo: picture.marks[m.node.parent].node.repo for repo, m in marks.items() if m.node.parent >= 0
    }
    assert parents == {
        "a/sevens": ROOT,
        "b/seven": "a/sevens",
        "c/ones": ROOT,
        "d/merge": "a/sevens",
        "gone/away": ROOT,
        "e/odd": "gone/away",
        "f/new": ROOT,
    }
    groups = {repo: mark.node.group for repo, mark in marks.items()}
    assert groups == {
        ROOT: UNSEEN,
        "gone/away": UNSEEN,
        "a/sevens": 0,
        "b/seven": 0,
        "c/ones": 1,
        "d/merge": NOTHING,
        "e/odd": SILENT,
        "f/new": UNREAD,
    }
    assert [picture.marks[i].node.repo for i in marks["d/merge"].node.merged] == ["c/ones"]
    assert marks["a/sevens"].concepts == ("seven", "one")
    assert picture.models == 6


def test_concepts_are_counted_and_worded_by_the_expert(library: Library, store: Store) -> None:
    small(store)
    picture = library.tree(ROOT)
    assert picture is not None
    told = [(c.name, c.tag, c.text, c.group, c.models, c.main) for c in picture.concepts]
    assert told == [
        ("one", "digit-one", "the digit one", 1, 2, 1),
        ("seven", "digit-seven", "the digit seven", 0, 2, 2),
    ]
    legend = {group.number: (group.models, [c.name for c in group.concepts]) for group in picture.groups}
    assert legend == {
        0: (2, ["seven"]),
        1: (1, ["one"]),
        NOTHING: (1, []),
        SILENT: (1, []),
        UNREAD: (1, []),
        UNSEEN: (1, []),
    }


def test_colours_go_to_the_main_concepts_of_most(library: Library, store: Store) -> None:
    for i, name in enumerate(DIGITS):
        for j in range(len(DIGITS) - i):
            add(store, f"{name}/{j}", known=(name,))
    picture = library.tree(ROOT)
    assert picture is not None
    colours = {concept.name: concept.group for concept in picture.concepts}
    assert colours == {name: min(i, OTHER) for i, name in enumerate(DIGITS)}
    assert next(group.models for group in picture.groups if group.number == OTHER) == 3 + 2 + 1


def test_where_an_expert_knows_meanings_families_share_a_colour(library: Library, store: Store) -> None:
    names = tuple(f"{kind}-{i}" for kind in ("dog", "pear", "car") for i in range(6))
    rng = np.random.default_rng(0)
    meanings = np.repeat(np.eye(3, 8), 6, axis=0) + 0.05 * rng.normal(size=(18, 8))
    head = TextHead(
        np.eye(4, 8, dtype=np.float32), np.zeros(4, np.float32), meanings.astype(np.float32), 20.0
    )
    store.save_expert(expert("v2", names=names, head="text"), head)
    for name in names:
        store.save_upload(Upload(f"m/{name}", "1" * 40, NOW))
        store.save_placement(Placement(f"m/{name}", "1" * 40, ROOT, ROOT, How.DECLARED))
        said = (Prediction(name, 0.9, True),)
        store.record(Reading(f"m/{name}", "1" * 40, (name,), ROOT, "digits", "v2", said, (1.0, 0.0)))
    picture = library.tree(ROOT)
    assert picture is not None
    kinds: dict[int, set[str]] = {}
    for concept in picture.concepts:
        kinds.setdefault(concept.group, set()).add(concept.name.split("-")[0])
    assert len(kinds) == COLOURS
    assert all(len(kind) == 1 for kind in kinds.values()), "no family has two kinds of things"


def test_no_such_tree(library: Library, store: Store) -> None:
    small(store)
    assert library.tree("no/tree") is None
    assert library.map("no/tree") is None


def test_the_forest_adds_up(library: Library, store: Store) -> None:
    small(store)
    forest = library.forest()
    assert [tree.root for tree in forest.trees] == [ROOT]
    crown = forest.crowns[0]
    assert sum(group.models for group in crown.groups) == crown.tree.members == 6
    assert {group.number for group in crown.groups} == {0, 1, NOTHING, SILENT, UNREAD}
    assert [concept.name for concept in crown.main] == ["one", "seven"]


def test_the_forest_draws_the_largest_trees(library: Library, store: Store) -> None:
    for i in range(CROWNS + 40):
        for j in range(1 + (i < CROWNS + 20) * 3):
            add(store, f"m/{i}-{j}", f"org/{i}", None, root=f"org/{i}", version="")
    forest = library.forest()
    assert len(forest.trees) == CROWNS + 40 + 1
    assert [crown.tree for crown in forest.crowns] == list(forest.trees[:CROWNS])


def test_an_empty_database_has_no_forest(library: Library) -> None:
    assert library.forest().crowns == ()
    empty = library.tree(ROOT)
    assert empty is not None
    assert (empty.tree.members, len(empty.marks)) == (0, 1)
    assert library.map(ROOT) is None


def test_a_map_lays_the_alike_side_by_side(library: Library, store: Store) -> None:
    for i in range(30):
        add(store, f"m/{i}", known=(DIGITS[i % 3],), minute=i)
    found = library.map(ROOT)
    assert found is not None
    assert (found.expert, found.models, found.left_out, found.by) == ("digits", 30, 0, "probabilities")
    assert {name for name, _, _ in found.captions} == {"digit-zero", "digit-one", "digit-two"}
    places = np.array([(mark.x, mark.y) for mark in found.marks])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    groups = np.array([mark.node.group for mark in found.marks])
    assert (groups[apart.argmin(1)] == groups).all()
    assert sum(group.models for group in found.groups) == 30


def test_a_map_compares_no_vectors_of_different_versions(library: Library, store: Store) -> None:
    store.save_expert(expert("v2"))
    for i in range(12):
        add(store, f"old/{i}", known=(DIGITS[i % 5],))
    for i in range(10):
        add(store, f"new/{i}", known=(DIGITS[i % 5],), version="v2")
    found = library.map(ROOT)
    assert found is not None
    assert (found.models, found.left_out) == (10, 12)
    assert {mark.node.repo.split("/")[0] for mark in found.marks} == {"new"}


def test_a_text_expert_is_mapped_by_its_embeddings(library: Library, store: Store) -> None:
    store.save_expert(expert("v2", head="text"))
    rng = np.random.default_rng(0)
    for i in range(12):
        vector = np.eye(2, 6)[i % 2] + 0.1 * rng.normal(size=6)
        add(store, f"m/{i}", known=(DIGITS[i % 2],), version="v2", embedding=tuple(vector.tolist()))
    found = library.map(ROOT)
    assert found is not None
    assert (found.by, len(found.marks)) == ("embeddings", 12)


def test_too_few_for_a_map(library: Library, store: Store) -> None:
    small(store)
    found = library.map(ROOT)
    assert found is not None
    assert (found.marks, found.models) == ((), 4)
    assert found.models < found.fewest


def test_pictures_follow_the_database(library: Library, store: Store) -> None:
    small(store)
    before = library.tree(ROOT)
    assert library.tree(ROOT) is before
    add(store, "g/late", known=("nine",), minute=9)
    after = library.tree(ROOT)
    assert after is not None
    assert after.tree.members == 7
    assert library.forest().trees[0].members == 7


def test_pages_of_members(library: Library, store: Store) -> None:
    for i in range(25):
        add(store, f"m/{i:02}", known=(DIGITS[i % 2], "nine"), minute=i)
    pages, total = library.page(ROOT, 10)
    assert ([page.upload.repo for page in pages], total) == ([f"m/{i:02}" for i in range(24, 14, -1)], 25)
    assert [page.upload.repo for page in library.members(ROOT, 10, offset=20)] == [
        f"m/{i:02}" for i in (4, 3, 2, 1, 0)
    ]
    pages, total = library.page(ROOT, 10, label="one")
    assert total == 12
    assert all(page.reading and "one" in {p.label for p in page.reading.recognised} for page in pages)
    assert library.page(ROOT, 10, label="two") == ([], 0)
    assert library.page(ROOT, 10, offset=100) == ([], 25)


@pytest.mark.parametrize("n", [5, 60])
def test_as_many_queries_for_few_as_for_many(library: Library, store: Store, n: int) -> None:
    for i in range(n):
        add(store, f"m/{i}", known=(DIGITS[i % 3],))
    asked: list[str] = []
    event.listen(store._reader, "before_cursor_execute", lambda *args: asked.append(args[2]))
    library.members(ROOT, n)
    members, asked[:] = len(asked), []
    library.tree(ROOT)
    tree, asked[:] = len(asked), []
    library.map(ROOT)
    # BEGIN is counted as a query too.
    assert (members <= 14, tree <= 24, len(asked) <= 24) == (True, True, True), (members, tree, len(asked))


def test_a_map_takes_those_read_last(store: Store) -> None:
    for i in range(30):
        add(store, f"m/{i:02}", known=("one",))
    found = store.vectors(ROOT, 10, {("digits", "v1")})
    assert found is not None
    assert found.repos == tuple(f"m/{i:02}" for i in range(29, 19, -1))
    assert (found.left_out, found.values.shape) == (20, (10, 10))
    assert MAPPED == 1_000
