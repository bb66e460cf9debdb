"""The library over a real database, with the real encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from hubbot.encoders.loading import load
from hubbot.library import Family, Library
from hubbot.records import (
    Abstention,
    Evidence,
    ExpertInfo,
    How,
    Label,
    Placement,
    Prediction,
    Reading,
    Source,
    Suggestion,
    SuggestionState,
    TextHead,
    Upload,
    Wanted,
)
from hubbot.store.forest import COUNTED, Brood
from hubbot.store.store import Store

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TREE = "org/vit"
EXPERT = ExpertInfo(
    "digits-vit",
    "v1",
    "/nowhere",
    (TREE,),
    (Wanted("layer.3.weight"),),
    tuple(Label(d, f"a handwritten digit {d}", f"digit-{d}") for d in DIGITS),
    "sentence:all-MiniLM-L6-v2",
    "a zoo of digits",
    scores={"accuracy": 0.93},
)


def reading(repo: str, *known: str, content: str = "c1", abstention: Abstention | None = None) -> Reading:
    predictions = tuple(Prediction(d, 0.99 if d in known else 0.01, d in known) for d in DIGITS)
    return Reading(
        repo,
        "1" * 40,
        (content,),
        TREE,
        "digits-vit",
        "v1",
        () if abstention else predictions,
        abstention=abstention,
    )


def upload(repo: str, **card: object) -> Upload:
    return Upload(repo, "1" * 40, datetime(2026, 1, 1, tzinfo=UTC), card=card)


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'hubbot.db'}"
    with Store.open(url) as store:
        store.save_expert(EXPERT)
        card = {"tags": ["digit-seven", "mine"], "datasets": "mnist", "license": "mit"}
        for repo, said in (("a/sevens", card), ("b/evens", {}), ("c/odd-one", {}), ("d/unread", {})):
            store.save_upload(upload(repo, **said))
            evidence = (Evidence(Source.CARD, "the card names org/vit as parent", TREE),)
            store.save_placement(Placement(repo, "1" * 40, TREE, TREE, How.DECLARED, evidence))
        store.record(reading("a/sevens", "one", "seven"))
        store.record(reading("b/evens", "two", "four"))
        store.record(
            reading("c/odd-one", abstention=Abstention("unfamiliar", "far from all models of the tree"))
        )
        store.save_suggestion(
            Suggestion("a/sevens", "1" * 40, SuggestionState.DRAFT, "Add tags", added=("- x",))
        )
    return url


@pytest.fixture
def library(database: str) -> Iterator[Library]:
    with Store.open(database, read_only=True) as store:
        yield Library(store, load, endpoint="http://127.0.0.1:1/")


def test_search_finds_and_explains(library: Library) -> None:
    answer = library.search("  seven\n")
    assert [hit.repo for hit in answer.hits] == ["a/sevens"]
    assert answer.note == ""
    assert answer.understood[0][0] == "a handwritten digit seven"
    assert answer.hits[0].because[0].label == "seven"


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("", "Describe"),
        ("   \n", "Describe"),
        ("a recipe for soup", "Nothing certain: no expert knows"),
        ("nine", "no model that was read is likely to fit"),
    ],
)
def test_search_says_when_nothing_is_certain(library: Library, text: str, note: str) -> None:
    answer = library.search(text)
    assert answer.hits == ()
    assert note in answer.note


def test_an_unclear_text_gets_a_caution(library: Library) -> None:
    answer = library.search("an even number")
    assert "could mean a handwritten digit" in answer.note
    assert len(answer.understood) > 1


def test_a_very_long_text_is_cut(library: Library) -> None:
    assert library.search("seven " * 100_000).hits


def test_new_readings_are_found_without_reopening(library: Library, database: str) -> None:
    assert library.search("nine").hits == ()
    with Store.open(database) as store:
        store.save_upload(upload("e/nines"))
        store.record(reading("e/nines", "nine"))
    assert [hit.repo for hit in library.search("nine").hits] == ["e/nines"]
    with Store.open(database) as store:
        store.record(reading("e/nines", "three", content="c2"))
    assert library.search("nine").hits == ()


def test_an_unchanged_database_is_read_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.search("seven")
    monkeypatch.delattr(Store, "all_findable")
    monkeypatch.delattr(Store, "changed")
    assert library.search("two").hits


CONCEPTS = ("dog", "wolf face", "pear", "watermelon", "snowman")
EMOJI = replace(
    EXPERT,
    name="emoji-dit",
    roots=("emoji/dit",),
    labels=tuple(Label(text.replace(" ", "-"), text, text.replace(" ", "-")) for text in CONCEPTS),
    head="text",
    prompt="a picture of a {}",
)


def aligned(database: str, encoder: str = EXPERT.text_encoder) -> None:
    """Two models of an expert with a text head join the database."""
    info = replace(EMOJI, text_encoder=encoder)
    vocabulary = load(EXPERT.text_encoder).encode([EMOJI.prompt.format(text) for text in CONCEPTS])
    head = TextHead(np.eye(384, dtype=np.float32), np.zeros(384, np.float32), vocabulary, 30.0)
    with Store.open(database) as store:
        store.save_expert(info, head)
        for repo, place in (("y/dogs", 0), ("z/pears", 2)):
            store.save_upload(upload(repo))
            said = (Prediction(EMOJI.labels[place].name, 0.9, True),)
            store.record(
                Reading(
                    *(repo, "1" * 40, ("c",), "emoji/dit", info.name, info.version),
                    said,
                    tuple(vocabulary[place].tolist()),
                )
            )


def test_both_kinds_of_trees_answer_one_search(library: Library, database: str) -> None:
    aligned(database)
    answer = library.search("a dog")
    assert [hit.repo for hit in answer.hits] == ["y/dogs"]
    assert answer.hits[0].because[0].label == "dog"
    assert answer.note == ""
    assert [hit.repo for hit in library.search("a fruit").hits] == ["z/pears"]
    assert [hit.repo for hit in library.search("seven").hits] == ["a/sevens"]
    assert library.search("dog", tree=TREE).hits == ()
    assert library.search("dog", tree="emoji/dit").hits
    assert "They know: a handwritten digit eight, dog, " in library.search("sentiment of tweets").note


def test_a_tree_whose_encoder_is_missing_does_not_silence_the_others(library: Library, database: str) -> None:
    aligned(database, encoder="clip:ViT-Z/nobody")
    answer = library.search("seven")
    assert [hit.repo for hit in answer.hits] == ["a/sevens"]
    assert "The tree of emoji/dit was not searched: " in answer.note


def test_a_model_page_joins_what_is_known(library: Library) -> None:
    page = library.model("a/sevens")
    assert page is not None
    assert page.placement is not None
    assert page.placement.how is How.DECLARED
    assert page.reading is not None
    assert page.expert == EXPERT
    assert page.suggestion is not None
    assert page.declared == {"tags": ("digit-seven", "mine"), "datasets": ("mnist",), "license": ("mit",)}
    assert page.confirmed == {"seven"}
    assert page.label("seven").text == "a handwritten digit seven"
    assert page.label("unheard").text == "unheard"


def placed(repo: str, parent: str | None, *others: str) -> Placement:
    return Placement(repo, "1" * 40, TREE, parent, How.DECLARED, relation="finetune", others=others)


def test_a_family(library: Library, database: str) -> None:
    with Store.open(database) as store:
        for repo, parent in ((TREE, None), ("g/son", "a/sevens"), ("g/grandson", "g/son")):
            store.save_upload(upload(repo))
            store.save_placement(placed(repo, parent))
    page = library.model("g/grandson")
    assert page is not None
    assert library.family(page).ancestors == (TREE, "a/sevens", "g/son")
    page = library.model("a/sevens")
    assert page is not None
    family = library.family(page)
    assert family.ancestors == (TREE,)
    assert (set(family.siblings.names), family.siblings.count) == ({"b/evens", "c/odd-one", "d/unread"}, 3)
    assert (family.children.names, family.children.count) == (("g/son",), 1)
    root = library.model(TREE)
    assert root is not None
    assert library.family(root) == Family((), Brood(), library.family(root).children)
    assert library.family(root).children.count == 4


def test_a_family_that_goes_round_in_circles_ends(library: Library, database: str) -> None:
    with Store.open(database) as store:
        for repo, parent in (("l/egg", "l/hen"), ("l/hen", "l/egg")):
            store.save_upload(upload(repo))
            store.save_placement(placed(repo, parent))
    page = library.model("l/egg")
    assert page is not None
    assert library.family(page).ancestors == ("l/hen",)


def test_a_root_with_a_great_many_children_is_not_counted_out(library: Library, database: str) -> None:
    with Store.open(database) as store:
        for i in range(COUNTED + 5):
            store.save_upload(upload(f"many/{i}"))
            store.save_placement(placed(f"many/{i}", "a/sevens"))
        brood = store.brood("a/sevens", 8)
    assert (len(brood.names), brood.count) == (8, COUNTED + 1)


def test_which_version_of_an_expert_answers(library: Library, database: str) -> None:
    later = replace(EXPERT, version="v2")
    with Store.open(database) as store:
        store.save_expert(later)
    first, second = library.expert_versions()
    assert (first.info.version, first.answers, first.readings, first.abstentions) == ("v1", False, 2, 1)
    assert (second.info.version, second.answers, second.promoted, second.readings) == ("v2", True, False, 0)
    with Store.open(database) as store:
        store.promote(TREE, "digits-vit", "v1")
    first, second = library.expert_versions()
    assert (first.answers, first.promoted, second.answers) == (True, True, False)


def test_experts_are_parsed_once_for_each_state_of_the_database(
    library: Library, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    given = Store.experts

    def counted(store: Store) -> list[ExpertInfo]:
        asked.append(1)
        return given(store)

    monkeypatch.setattr(Store, "experts", counted)
    assert library.members(TREE)
    assert library.model("a/sevens") is not None
    assert len(asked) == 1
    with Store.open(database) as store:
        store.save_expert(replace(EXPERT, trained_on="something else"))
    page = library.model("a/sevens")
    assert page is not None
    assert page.expert is not None
    assert page.expert.trained_on == "something else"
    assert len(asked) == 2


def test_all_suggestions_that_were_made(library: Library, database: str) -> None:
    with Store.open(database) as store:
        (draft,) = store.suggestion_history("a/sevens")
        for state in (SuggestionState.OPENING, SuggestionState.OPEN, SuggestionState.MERGED):
            store.save_suggestion(replace(draft, state=state))
        store.save_suggestion(draft)
    found = [suggestion.state for suggestion in library.history("a/sevens")]
    assert found == [SuggestionState.DRAFT, SuggestionState.MERGED]


def test_pages_of_the_unread_and_the_unknown(library: Library) -> None:
    assert library.model("no/body") is None
    page = library.model("d/unread")
    assert page is not None
    assert page.reading is None
    assert page.confirmed == frozenset()
    odd = library.model("c/odd-one")
    assert odd is not None
    assert odd.reading is not None
    assert odd.reading.abstention is not None


def test_trees_experts_counts_and_addresses(library: Library) -> None:
    assert [tree.root for tree in library.trees()] == [TREE]
    assert library.experts() == [EXPERT]
    assert library.counts()["uploads"] == 4
    assert library.address("a/sevens") == "http://127.0.0.1:1/a/sevens"


def test_members_of_a_tree_and_of_none(library: Library, database: str) -> None:
    with Store.open(database) as store:
        store.save_upload(upload("f/lost"))
    assert {page.upload.repo for page in library.members(TREE)} == {
        "a/sevens",
        "b/evens",
        "c/odd-one",
        "d/unread",
    }
    assert len(library.members(TREE, limit=2)) == 2
    assert [page.upload.repo for page in library.members(None)] == ["f/lost"]
    assert library.members("no/tree") == []


def test_an_empty_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    Store.open(url).close()
    with Store.open(url, read_only=True) as store:
        assert "Nothing has been read" in Library(store, load).search("seven").note
