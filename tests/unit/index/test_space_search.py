"""Search in an expert's own space, with the real encoder and a head that knows where models lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hubbot.encoders.loading import OFFLINE_DEFAULT, load
from hubbot.index.found import Found, mixed
from hubbot.index.labels import Entry
from hubbot.index.space import Member, TextSpace, relevance
from hubbot.records import Hit, Prediction, TextHead

CONCEPTS = ["dog", "wolf face", "pear", "watermelon", "slice of pizza", "fire engine", "violin", "snowman"]
UNHEARD = "trombone"
"""What one model knows and the expert has no word for."""
ENCODER = load(OFFLINE_DEFAULT)
TEXTS = ENCODER.encode(CONCEPTS)
RANDOM = np.random.default_rng(0)
W = np.linalg.qr(RANDOM.normal(size=(384, 384)))[0][:256].astype(np.float32)
HEAD = TextHead(W, RANDOM.normal(size=256).astype(np.float32) / 100, TEXTS, 25.0)


def member(repo: str, concept: str, tree: str = "emoji/dit") -> Member:
    """A model whose embedding lies near where its concept's text goes."""
    place = ENCODER.encode([concept])[0] @ W.T + HEAD.b
    place = place / np.linalg.norm(place) + RANDOM.normal(size=256) / 60
    said = {concept: Prediction(concept.replace(" ", "-"), 0.9, True)}
    return Member(Entry(repo, tree, said), tuple(7 * place))


SPACE = TextSpace(
    [member(f"lab/{i}", concept) for i, concept in enumerate([*CONCEPTS, UNHEARD])], CONCEPTS, HEAD
)


def ask(text: str, space: TextSpace = SPACE, tree: str | None = None, limit: int = 10) -> Found:
    vector = ENCODER.encode([text])[0]
    return space.find(text, vector, TEXTS @ vector, tree=tree, limit=limit)


def repos(found: Found) -> list[str]:
    return [hit.repo for hit in found.hits]


def test_a_known_concept_is_found_by_its_name_and_explained_by_it() -> None:
    found = ask("dog")
    assert repos(found) == ["lab/0"]
    assert found.hits[0].score > 0.9
    assert [p.label for p in found.hits[0].because] == ["dog"]
    assert found.understood[0] == ("dog", pytest.approx(1.0, abs=0.01))


def test_other_words_for_it_find_it_too() -> None:
    assert repos(ask("a wolf"))[0] == "lab/1"
    assert repos(ask("a pizza"))[0] == "lab/4"


def test_what_the_expert_has_no_word_for_is_found_by_its_vector() -> None:
    found = ask(UNHEARD)
    assert found.hits[0].repo == "lab/8"
    assert found.hits[0].score > 0.5
    assert found.hits[0].because[0].label == UNHEARD


def test_a_text_that_fits_several_concepts_finds_them_all() -> None:
    found = ask("a fruit")
    assert set(repos(found)[:2]) == {"lab/2", "lab/3"}
    assert min(hit.score for hit in found.hits[:2]) > 0.5
    assert {text for text, _ in found.understood} >= {"pear", "watermelon"}


@pytest.mark.parametrize("text", ["sentiment of tweets", "legal contracts"])
def test_what_fits_no_model_finds_none(text: str) -> None:
    found = ask(text)
    assert found.hits == ()
    assert found.understood == ()


def test_chances_of_one_model_and_all_texts_sum_to_one() -> None:
    assert SPACE.chances.sum(1) == pytest.approx(np.ones(9), abs=1e-5)
    one = TextSpace([member("a/b", "dog")], CONCEPTS, HEAD)
    for text in ("dog", UNHEARD, "an animal"):
        assert sum(hit.score for hit in ask(text, one).hits) <= 1


def test_none_of_the_concepts_is_a_candidate_too() -> None:
    """The sharper it is, the less is left for what the vocabulary has a word for."""
    shy = TextSpace([member("a/b", "dog")], CONCEPTS, replace(HEAD, none=HEAD.scale))
    assert shy.chances.sum() < 0.6
    assert ask("dog", shy).hits[0].score < 0.6


def test_a_score_is_the_models_own_whoever_else_is_there() -> None:
    alone = TextSpace([member("lab/0", "dog")], CONCEPTS, HEAD)
    members = [Member(e, SPACE._models[i].tolist()) for i, e in enumerate(SPACE.entries)]
    again = TextSpace(members[:3], CONCEPTS, HEAD)
    assert ask("pear", again).hits[0].score == pytest.approx(ask("pear").hits[0].score, abs=1e-5)
    assert len(ask("dog", alone).hits) == 1


def test_the_tree_filter_and_the_limit() -> None:
    two = TextSpace([member("a/a", "dog", "emoji/dit"), member("b/b", "dog", "emoji/unet")], CONCEPTS, HEAD)
    assert repos(ask("dog", two, tree="emoji/unet")) == ["b/b"]
    assert repos(ask("dog", two, tree="no/where")) == []
    assert len(ask("dog", two, limit=1).hits) == 1
    assert ask("dog", TextSpace([], CONCEPTS, HEAD)).hits == ()


def test_a_broken_embedding_and_an_odd_vector_do_no_harm() -> None:
    zero = Member(Entry("z/z", "t", {}), (0.0,) * 256)
    space = TextSpace([zero, member("a/a", "dog")], CONCEPTS, HEAD)
    assert repos(ask("dog", space)) == ["a/a", "z/z"][: len(ask("dog", space).hits)]
    silent = space.find("x", np.zeros(384, np.float32), np.zeros(len(CONCEPTS), np.float32))
    assert all(0 <= hit.score <= 1 for hit in silent.hits)


def test_relevance_falls_with_distance_from_the_nearest() -> None:
    meant = relevance(np.array([0.9, 0.8, 0.2], np.float32))
    assert meant[0] > 0.98
    assert meant[1] / meant[0] == pytest.approx(np.exp(-1), rel=1e-3)
    assert relevance(np.array([0.3], np.float32))[0] < 0.05
    assert relevance(np.array([], np.float32)).shape == (0,)


def test_answers_of_several_trees_are_one_ranking() -> None:
    labels = Found((Hit("c/c", "digits", 0.7), Hit("b/b", "digits", 0.2)), (("a seven", 0.6),), clear=False)
    space = Found((Hit("a/a", "emoji", 0.7),), (("keycap seven", 0.9), ("a seven", 0.5)))
    silent = Found((), (("coin", 0.4),))
    both = mixed([labels, space, silent], limit=2)
    assert [hit.repo for hit in both.hits] == ["a/a", "c/c"]
    assert both.understood == (("keycap seven", 0.9), ("a seven", 0.6))
    assert both.clear
    assert not mixed([labels, silent], limit=2).clear
    assert mixed([silent, Found()], limit=2) == Found((), (("coin", 0.4),))
    assert mixed([], limit=2) == Found()
