"""Search over a real database, with the real encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from read_models import COMMIT, CONCEPTS, UNHEARD, Shop, aligned, head, labelled

from hubbot.errors import UsageError
from hubbot.records import Abstention, Hit, Prediction, Reading
from hubbot.searching import Facet, SearchAnswer, Searcher

VIT, RESNET, PETS, DIT, UNET = "org/vit", "org/resnet", "org/pets", "emoji/dit", "emoji/unet"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "hubbot.db")
    with made.store:
        yield made


@pytest.fixture
def digits(shop: Shop) -> Shop:
    """Two trees of digits, and one of pets."""
    for info in (labelled("vit", VIT), labelled("resnet", RESNET)):
        shop.expert(info)
    shop.expert(labelled("pets", PETS, {"dog": "a dog", "cat": "a cat"}))
    shop.labels("a/sevens", "vit", {"seven": 0.99, "one": 0.9})
    shop.labels("b/evens", "vit", dict.fromkeys(("zero", "two", "four", "six", "eight"), 0.97))
    shop.labels("c/odds", "resnet", dict.fromkeys(("one", "three", "five", "seven", "nine"), 0.95))
    shop.labels("d/pets", "pets", {"dog": 0.98, "cat": 0.1})
    return shop


@pytest.fixture
def emoji(shop: Shop) -> Shop:
    """A tree of one model for each concept, and one of what the expert has no word for."""
    shop.expert(aligned("dit", DIT), head())
    for i, concept in enumerate([*CONCEPTS, UNHEARD]):
        shop.concept(f"lab/{i}", "dit", concept, seed=i)
    return shop


def repos(found: SearchAnswer | tuple[Hit, ...]) -> list[str]:
    return [hit.repo for hit in (found.hits if isinstance(found, SearchAnswer) else found)]


# --- by labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["seven", "7", "a handwritten 7", "pictures of sevens"])
def test_seven_finds_those_that_know_it(digits: Shop, text: str) -> None:
    hits = digits.searcher().search(text).hits
    assert repos(hits)[:2] == ["a/sevens", "c/odds"]
    assert hits[0].score > 0.65
    assert hits[0].because[0].label == "seven"
    assert "b/evens" not in {hit.repo for hit in hits if hit.score > 0.5}


def test_equal_texts_of_different_trees_are_one_label(digits: Shop) -> None:
    hits = digits.searcher().search("seven").hits
    assert {hit.tree for hit in hits[:2]} == {VIT, RESNET}


def test_another_tree_answers_for_its_own_things(digits: Shop) -> None:
    hits = digits.searcher().search("a puppy").hits
    assert repos(hits) == ["d/pets"]
    assert hits[0].because == (Prediction("dog", 0.98, True),)


def test_a_vague_text_is_shared_among_labels(digits: Shop) -> None:
    answer = digits.searcher().search("an even number", tree=VIT)
    assert answer.hits[0].repo == "b/evens"
    assert len(answer.hits[0].because) > 1
    assert "this could mean" in answer.note


@pytest.mark.parametrize("text", ["a recipe for soup", "chest x-rays", "sentiment of tweets"])
def test_texts_about_something_else_get_no_answer(digits: Shop, text: str) -> None:
    answer = digits.searcher().search(text)
    assert answer.hits == ()
    assert answer.note.startswith("Nothing certain: no expert knows anything like this.")


def test_a_label_is_met_by_its_text_or_its_name(shop: Shop) -> None:
    shop.expert(labelled("cars", "org/cars", {"sports_car": "a thing that nobody would type"}))
    shop.labels("m/m", "cars", {"sports_car": 0.95})
    assert repos(shop.searcher().search("sports car")) == ["m/m"]


def test_ties_go_by_name(shop: Shop) -> None:
    shop.expert(labelled("vit", VIT))
    for i in reversed(range(150)):
        shop.labels(f"m/{i:03}", "vit", {"seven": 0.95})
    assert repos(shop.searcher().search("seven", limit=3)) == ["m/000", "m/001", "m/002"]
    assert len(shop.searcher().search("seven", limit=140).hits) == 140


# --- by place ----------------------------------------------------------------------------------


def test_a_known_concept_is_found_by_its_name_and_explained_by_it(emoji: Shop) -> None:
    answer = emoji.searcher().search("dog")
    assert repos(answer) == ["lab/0"]
    assert answer.hits[0].score > 0.9
    assert [p.label for p in answer.hits[0].because] == ["dog"]
    assert answer.understood[0] == ("dog", pytest.approx(1.0, abs=0.01))


def test_other_words_for_it_find_it_too(emoji: Shop) -> None:
    searcher = emoji.searcher()
    assert repos(searcher.search("a wolf"))[0] == "lab/1"
    assert repos(searcher.search("a pizza"))[0] == "lab/4"


def test_what_the_expert_has_no_word_for_is_found_by_its_place(emoji: Shop) -> None:
    hits = emoji.searcher().search(UNHEARD).hits
    assert hits[0].repo == "lab/8"
    assert hits[0].score > 0.5
    assert hits[0].because[0].label == UNHEARD


def test_a_text_that_fits_several_concepts_finds_them_all(emoji: Shop) -> None:
    answer = emoji.searcher().search("a fruit")
    assert set(repos(answer)[:2]) == {"lab/2", "lab/3"}
    assert min(hit.score for hit in answer.hits[:2]) > 0.5
    assert {text for text, _ in answer.understood} >= {"pear", "watermelon"}


@pytest.mark.parametrize("text", ["sentiment of tweets", "legal contracts"])
def test_what_fits_no_model_finds_none(emoji: Shop, text: str) -> None:
    answer = emoji.searcher().search(text)
    assert answer.hits == ()
    assert answer.understood == ()


def test_a_score_is_the_models_own_whoever_else_is_there(emoji: Shop) -> None:
    alone = emoji.searcher().search("pear").hits[0].score
    for i in range(30):
        emoji.concept(f"more/{i}", "dit", "violin", seed=i)
    assert emoji.searcher().search("pear").hits[0].score == pytest.approx(alone, abs=1e-6)


def test_chances_of_one_model_and_all_texts_stay_chances(shop: Shop) -> None:
    shop.expert(aligned("dit", DIT), head())
    shop.concept("a/b", "dit", "dog", noise=0.2)
    for text in ("dog", UNHEARD, "an animal"):
        assert all(0 <= hit.score <= 1 for hit in shop.searcher().search(text).hits)


def test_none_of_the_concepts_is_a_candidate_too(shop: Shop) -> None:
    """The sharper it is, the less is left for what the vocabulary has a word for."""
    shop.expert(aligned("dit", DIT), head(none=25.0))
    shop.concept("a/b", "dit", "dog")
    assert shop.searcher().search("dog").hits[0].score < 0.6


def test_a_broken_embedding_does_no_harm(emoji: Shop) -> None:
    emoji.upload("z/z")
    key = ("z/z", COMMIT, ("c",), DIT, "dit", "v1", (Prediction("dog", 0.95, True),))
    emoji.store.record(Reading(*key, (0.0,) * 256))
    emoji.upload("z/short")
    emoji.store.record(Reading("z/short", *key[1:], (1.0, 2.0)))
    found = emoji.searcher().search("dog").hits
    assert found[0].repo == "lab/0"
    assert "z/short" not in repos(found)


# --- several trees -----------------------------------------------------------------------------


def test_answers_of_several_trees_are_one_ranking(emoji: Shop) -> None:
    emoji.expert(aligned("unet", UNET), head(seed=5))
    emoji.concept("b/dog", "unet", "dog", seed=3)
    hits = emoji.searcher().search("dog").hits
    assert set(repos(hits)) == {"lab/0", "b/dog"}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert repos(emoji.searcher().search("dog", tree=UNET)) == ["b/dog"]
    assert repos(emoji.searcher().search("dog tree:emoji/dit")) == ["lab/0"]
    assert repos(emoji.searcher().search("dog", tree="no/where")) == []


def test_where_another_tree_knows_the_name_this_ones_neighbours_are_not_meant(emoji: Shop) -> None:
    """A violin is near to a cello, but none where a tree that is asked knows cellos by name."""
    assert "lab/6" in repos(emoji.searcher().search("cello"))
    emoji.expert(aligned("unet", UNET, ("cello",)), head(("cello",), seed=5))
    emoji.concept("b/cello", "unet", "cello")
    hits = repos(emoji.searcher().search("cello"))
    assert hits[0] == "b/cello"
    assert "lab/6" not in hits
    assert "lab/6" in repos(emoji.searcher().search("cello", tree=DIT))


def test_a_text_near_a_known_name_may_still_be_another_thing(emoji: Shop) -> None:
    """The models of what the expert never met are found beside those of what it knows by a name like it."""
    emoji.concept("a/snowball", "dit", "snowmen and snowballs", noise=0)
    answer = emoji.searcher().search("snowmen and snowballs")
    assert repos(answer)[0] == "a/snowball"
    assert "lab/7" in repos(answer)


def test_only_the_word_of_the_version_that_holds_counts(digits: Shop) -> None:
    later = replace(labelled("vit", VIT), version="v2")
    digits.store.save_expert(later)
    searcher = digits.searcher()
    assert "a/sevens" in repos(searcher.search("seven"))
    said = tuple(Prediction(label.name, 0.02, False) for label in later.labels)
    digits.store.record(Reading("a/sevens", COMMIT, ("c",), VIT, "vit", "v2", said))
    assert "a/sevens" not in repos(searcher.search("seven"))
    digits.store.hold_again((VIT,), "vit", "v1")
    assert "a/sevens" in repos(searcher.search("seven"))


# --- filters, likeness, and what is not wanted ---------------------------------------------------


@pytest.fixture
def many(emoji: Shop) -> Searcher:
    """Dogs of several owners and licences."""
    for i, (owner, license_, task, changed) in enumerate(
        [
            ("Ann", "mit", "text-to-image", datetime(2024, 5, 1, tzinfo=UTC)),
            ("ann", "Apache-2.0", "text-to-image", datetime(2025, 5, 1, tzinfo=UTC)),
            ("bob", "mit", "image-classification", datetime(2025, 6, 1, tzinfo=UTC)),
        ]
    ):
        emoji.upload(f"{owner}/dog-{i}", changed, license=license_, pipeline_tag=task)
        emoji.concept(f"{owner}/dog-{i}", "dit", "dog", seed=20 + i)
    return emoji.searcher()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("dog author:ann", {"Ann/dog-0", "ann/dog-1"}),
        ("dog by:bob", {"bob/dog-2"}),
        ("dog license:MIT", {"Ann/dog-0", "bob/dog-2"}),
        ("dog licence:mit author:bob", {"bob/dog-2"}),
        ("dog task:text-to-image", {"Ann/dog-0", "ann/dog-1"}),
        ("dog since:2025 until:2025-05", {"ann/dog-1"}),
        ("dog until:2024", {"Ann/dog-0"}),
        ("dog author:nobody", set()),
        ("author:ann", {"Ann/dog-0", "ann/dog-1"}),
        ("tag:violin", {"lab/6"}),
        ("author:lab tag:dog", {"lab/0"}),
        ("tag:unheard-of", set()),
    ],
)
def test_filters(many: Searcher, asked: str, found: set[str]) -> None:
    answer = many.search(asked)
    assert set(repos(answer)) == found
    assert bool(answer.note) is not bool(found)


def test_filters_alone_show_the_newest_first(many: Searcher) -> None:
    assert repos(many.search("tree:emoji/dit license:mit")) == ["bob/dog-2", "Ann/dog-0"]
    assert len(many.search("tree:emoji/dit", limit=3).hits) == 3


def test_the_least_chance(many: Searcher) -> None:
    scores = [hit.score for hit in many.search("melon fruit").hits]
    assert min(scores) < 0.5 < max(scores)
    assert all(hit.score >= 0.5 for hit in many.search("melon fruit least:0.5").hits)
    assert many.search("melon fruit least:50%").hits


def test_what_is_not_wanted_is_left_out(emoji: Shop) -> None:
    searcher = emoji.searcher()
    assert set(repos(searcher.search("a fruit"))[:2]) == {"lab/2", "lab/3"}
    assert repos(searcher.search("a fruit -watermelon least:0.3")) == ["lab/2"]
    assert repos(searcher.search('a fruit -"a pear" least:0.3')) == ["lab/3"]


def test_models_like_another(many: Searcher) -> None:
    near = many.nearest("lab/0", limit=4)
    assert set(repos(near)[:3]) == {"Ann/dog-0", "ann/dog-1", "bob/dog-2"}
    assert min(hit.score for hit in near[:3]) > 0.9
    assert "lab/0" not in repos(near)
    assert repos(many.search("like:lab/0 license:mit")) == repos(many.search("like:lab/0 license:mit"))
    assert set(repos(many.search("like:lab/0 license:mit"))[:2]) == {"Ann/dog-0", "bob/dog-2"}


def test_models_like_one_of_what_nobody_has_a_word_for(emoji: Shop) -> None:
    emoji.concept("more/brass", "dit", UNHEARD, seed=99)
    assert repos(emoji.searcher().nearest("lab/8"))[0] == "more/brass"


def test_likeness_of_labels_is_what_both_have_of_what_either_has(digits: Shop) -> None:
    digits.labels("e/all", "vit", dict.fromkeys([label.name for label in labelled("x", VIT).labels], 0.97))
    digits.labels("e/evens-too", "vit", dict.fromkeys(("zero", "two", "four", "six", "eight"), 0.95))
    near = digits.searcher().nearest("b/evens")
    assert repos(near)[:2] == ["e/evens-too", "e/all"]
    assert near[0].score > 0.8
    assert near[1].score < 0.65


def test_likeness_crosses_trees_by_what_both_call_the_same(emoji: Shop) -> None:
    emoji.expert(aligned("unet", UNET), head(seed=5))
    emoji.concept("b/violin", "unet", "violin", seed=3)
    first, *others = emoji.searcher().nearest("lab/6")
    assert first.repo == "b/violin"
    assert first.score > 0.9
    assert all(hit.score < first.score for hit in others)


def test_a_model_that_was_never_read_is_like_none(emoji: Shop) -> None:
    assert emoji.searcher().nearest("no/body") == ()
    with pytest.raises(UsageError, match="no/body"):
        emoji.searcher().search("like:no/body")


def test_facets_count_what_was_recognised(many: Searcher) -> None:
    facets = many.facets()
    assert facets[0] == Facet("dog", "dog", 4)
    assert {facet.models for facet in facets[1:]} == {1}
    assert many.search("dog").facets == (Facet("dog", "dog", 4),)
    assert many.search("dog license:mit").facets == (Facet("dog", "dog", 2),)


# --- the index follows ---------------------------------------------------------------------------


def test_what_changes_is_seen_by_the_next_search(digits: Shop) -> None:
    searcher = digits.searcher()
    assert repos(searcher.search("nine", limit=1)) == ["c/odds"]
    digits.labels("e/nines", "vit", {"nine": 0.999})
    assert repos(searcher.search("nine", limit=1)) == ["e/nines"]
    digits.labels("e/nines", "vit", {"three": 0.999}, content="other weights")
    assert "e/nines" not in repos(searcher.search("nine"))
    assert "e/nines" in repos(searcher.search("three"))


def test_what_is_gone_or_private_is_not_found(digits: Shop) -> None:
    searcher = digits.searcher()
    upload = digits.store.upload("a/sevens")
    assert upload is not None
    digits.store.finish_upload(upload)
    assert "a/sevens" in repos(searcher.search("seven"))
    digits.store.forget("a/sevens")
    assert "a/sevens" not in repos(searcher.search("seven"))
    digits.store.notice([upload])
    assert "a/sevens" in repos(searcher.search("seven"))
    digits.store.save_upload(replace(upload, private=True))
    assert "a/sevens" not in repos(searcher.search("seven"))


def test_an_answer_taken_back_is_not_found(digits: Shop) -> None:
    searcher = digits.searcher()
    assert "a/sevens" in repos(searcher.search("seven"))
    nothing = Abstention("unlike-training", "far from all models of the tree")
    digits.store.record(Reading("a/sevens", COMMIT, ("new",), VIT, "vit", "v1", abstention=nothing))
    assert "a/sevens" not in repos(searcher.search("seven"))


def test_a_new_expert_is_heard_without_reopening(digits: Shop) -> None:
    searcher = digits.searcher()
    assert searcher.search("a violin").hits == ()
    digits.expert(aligned("dit", DIT), head())
    digits.concept("lab/violin", "dit", "violin")
    assert repos(searcher.search("a violin")) == ["lab/violin"]


def test_an_unchanged_database_is_read_once(digits: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = digits.searcher()
    searcher.search("seven")
    for way in ("all_findable", "findable", "changed", "clock"):
        monkeypatch.delattr(type(digits.store), way)
    assert searcher.search("two").hits


def test_hits_carry_what_is_shown_of_them(many: Searcher) -> None:
    glance = many.search("dog author:bob").hits[0].glance
    assert glance is not None
    assert (glance.author, glance.license, glance.task) == ("bob", "mit", "image-classification")
    assert glance.modified_at == datetime(2025, 6, 1, tzinfo=UTC)
    assert [p.label for p in glance.recognised] == ["dog"]


def test_limits_are_kept_within_reason(emoji: Shop) -> None:
    searcher = emoji.searcher()
    assert len(searcher.search("tree:emoji/dit", limit=10**9).hits) == 9
    assert len(searcher.search("tree:emoji/dit", limit=-5).hits) == 1
    assert np.isfinite([hit.score for hit in searcher.search("dog", limit=10**9).hits]).all()
