"""An index on the disk answers as the database does, whatever came since; one that cannot is left aside."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from read_models import CONCEPTS, DIGITS, UNHEARD, Shop, aligned, head, labelled

from hubbot import indexing
from hubbot.index import base, writing
from hubbot.index.generations import index_folder
from hubbot.indexing import build, outgrown
from hubbot.searching import SearchAnswer, Searcher

DIT, VIT = "emoji/dit", "org/vit"
QUESTIONS = (
    "dog",
    "a wolf",
    "a fruit",
    "something to eat",
    UNHEARD,
    "seven",
    "an even number",
    "dog author:owner3",
    "a fruit license:mit -pear",
    "like:owner1/m-001",
    "like:owner2/digits-002",
    "tag:violin",
    "tree:org/vit",
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Some hundred models of two kinds, enough for an inverted file of their own; closed."""
    made = Shop(tmp_path_factory.mktemp("shop") / "hubbot.db")
    with made.store:
        made.expert(aligned("dit", DIT), head())
        made.expert(labelled("vit", VIT))
        for i in range(240):
            fill(made, i)
    return made


@pytest.fixture
def shop(filled: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A copy of it, to change as one likes."""
    monkeypatch.setattr(writing, "SMALL", 100)
    monkeypatch.setattr(base, "FEW", 10)
    copy = Shop(shutil.copy(filled.store.path, tmp_path / "hubbot.db"))
    copy.experts = dict(filled.experts)
    with copy.store:
        yield copy


def fill(shop: Shop, i: int) -> None:
    random = np.random.default_rng(i)
    repo = f"owner{i % 7}/m-{i:03}"
    shop.upload(repo, license=("mit", "apache-2.0")[i % 2])
    shop.concept(repo, "dit", [*CONCEPTS, UNHEARD][i % 9], seed=i, noise=random.uniform(0.01, 0.06))
    if i % 4 == 2:
        known = random.choice(len(DIGITS), 5, replace=False)
        chances = {DIGITS[j]: float(random.uniform(0.5, 0.999)) for j in known}
        shop.labels(f"owner{i % 7}/digits-{i:03}", "vit", chances)


def answers(searcher: Searcher) -> list[SearchAnswer]:
    return [searcher.search(question, limit=12) for question in QUESTIONS]


def same(some: list[SearchAnswer], others: list[SearchAnswer]) -> None:
    for question, one, other in zip(QUESTIONS, some, others, strict=True):
        told, again = ([(hit.repo, hit.score) for hit in answer.hits] for answer in (one, other))
        assert [score for _, score in told] == pytest.approx([s for _, s in again], abs=1e-5), question
        # Names decide among equals, and equal scores may differ in their last digit.
        assert {repo for repo, score in told if score > told[-1][1] + 1e-5} <= {r for r, _ in again}, question
        assert one.facets == other.facets, question
        assert one.note == other.note, question


def test_a_base_answers_as_the_database_does(shop: Shop) -> None:
    in_memory = answers(shop.searcher())
    assert build(shop.store) == 300
    assert list(index_folder(shop.store.path).glob("*/*/codes.faiss"))
    same(in_memory, answers(shop.searcher()))


def test_what_came_changed_and_went_since_is_heeded(shop: Shop) -> None:
    build(shop.store)
    for i in range(240, 260):
        fill(shop, i)
    shop.concept("owner1/m-001", "dit", "violin", content="new weights", seed=1)
    gone = shop.store.upload("owner2/m-009")
    assert gone is not None
    shop.store.finish_upload(gone)
    shop.store.forget(gone.repo)
    with_base = shop.searcher()
    found = answers(with_base)
    assert "owner2/m-009" not in {hit.repo for answer in found for hit in answer.hits}
    folder = index_folder(shop.store.path)
    folder.rename(folder.with_suffix(".away"))
    same(found, answers(shop.searcher()))


def test_a_searcher_goes_over_to_a_new_index_while_it_is_asked(shop: Shop) -> None:
    searcher = shop.searcher()
    expected = answers(searcher)
    stop, failed = threading.Event(), list[BaseException]()

    def ask() -> None:
        try:
            while not stop.is_set():
                same(expected[:3], [searcher.search(question, limit=12) for question in QUESTIONS[:3]])
        except BaseException as error:
            failed.append(error)

    def same(some: list[SearchAnswer], others: list[SearchAnswer]) -> None:
        for one, other in zip(some, others, strict=True):
            assert [h.score for h in one.hits] == pytest.approx([h.score for h in other.hits], abs=1e-5)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        build(shop.store)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed


def test_centroids_are_kept_until_they_are_outgrown(shop: Shop) -> None:
    def trained() -> int:
        folder = next(index_folder(shop.store.path).glob("*/*/codes.faiss")).parent
        return int(json.loads((folder / "config.json").read_text())["trained"])

    build(shop.store)
    assert trained() == 240
    for i in range(240, 400):
        fill(shop, i)
    build(shop.store)
    assert trained() == 240
    for i in range(400, 500):
        fill(shop, i)
    build(shop.store)
    assert trained() == 500


def test_an_index_is_outgrown_by_what_came_since(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "ASTRAY", 10)
    assert not outgrown(shop.store)  # so few are compared one by one
    monkeypatch.setattr(indexing, "MANY", 250)
    assert outgrown(shop.store)
    build(shop.store)
    assert not outgrown(shop.store)
    for i in range(240, 280):
        fill(shop, i)
    assert outgrown(shop.store)
    build(shop.store)
    assert not outgrown(shop.store)


@pytest.mark.parametrize(
    "harm", ["CURRENT", "manifest.json", "config.json", "codes.faiss", "vectors", "rest.npy"]
)
def test_a_damaged_index_is_left_aside(shop: Shop, harm: str) -> None:
    expected = answers(shop.searcher())
    build(shop.store)
    for file in index_folder(shop.store.path).rglob(harm):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    same(expected, answers(shop.searcher()))


@pytest.mark.parametrize("name", ["../../etc", "/etc", "", "..", "no-such-folder"])
def test_an_index_that_points_elsewhere_is_left_aside(shop: Shop, name: str) -> None:
    expected = shop.searcher().search("dog").hits
    build(shop.store)
    (index_folder(shop.store.path) / "CURRENT").write_text(name)
    assert shop.searcher().search("dog").hits == expected


def test_the_index_of_another_database_is_left_aside(shop: Shop, tmp_path: Path) -> None:
    build(shop.store)
    other = Shop(tmp_path / "other.db")
    with other.store:
        other.expert(aligned("dit", DIT), head())
        other.concept("mine/dog", "dit", "dog")
        index_folder(shop.store.path).rename(index_folder(other.store.path))
        assert [hit.repo for hit in other.searcher().search("dog").hits] == ["mine/dog"]


def test_old_generations_go_and_a_failed_one_leaves_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = index_folder(shop.store.path)
    build(shop.store)
    build(shop.store)
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1
    monkeypatch.setattr(writing.Writer, "_finish", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(shop.store)
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1
    assert shop.searcher().search("dog").hits
