"""Label search: weights from similarities, scores from both."""

from __future__ import annotations

import numpy as np
import pytest

from hubbot.encoders.loading import OFFLINE_DEFAULT, load
from hubbot.index.labels import Entry, LabelIndex
from hubbot.index.query import FLOOR, rank, weigh
from hubbot.records import Hit, Prediction

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def entry(repo: str, tree: str = "org/vit", **probabilities: float) -> Entry:
    told = dict.fromkeys(DIGITS, 0.02) | probabilities
    return Entry(repo, tree, {f"a handwritten digit {d}": Prediction(d, p, p > 0.9) for d, p in told.items()})


INDEX = LabelIndex(
    [
        entry("a/sevens", seven=0.99, one=0.9),
        entry("b/evens", zero=0.97, two=0.97, four=0.97, six=0.97, eight=0.97),
        entry("c/odds", "org/resnet", one=0.95, three=0.95, five=0.95, seven=0.95, nine=0.95),
        Entry(
            "d/pets",
            "org/pets",
            {"a dog": Prediction("dog", 0.98, True), "a cat": Prediction("cat", 0.1, False)},
        ),
    ]
)


def ask(text: str, tree: str | None = None, limit: int = 10) -> tuple[Hit, ...] | None:
    encoder = load(OFFLINE_DEFAULT)
    weights = weigh(INDEX, encoder.encode(INDEX.wordings) @ encoder.encode([text])[0])
    return None if weights is None else rank(INDEX, weights, tree=tree, limit=limit)


@pytest.mark.parametrize("text", ["seven", "7", "a handwritten 7", "pictures of sevens"])
def test_seven_finds_those_that_know_it(text: str) -> None:
    hits = ask(text)
    assert hits is not None
    assert [hit.repo for hit in hits[:2]] == ["a/sevens", "c/odds"]
    assert hits[0].score > 0.7
    assert hits[0].because[0].label == "seven"
    assert "b/evens" not in {hit.repo for hit in hits if hit.score > 0.5}


def test_equal_texts_of_different_trees_are_one_label() -> None:
    assert len(INDEX.texts) == len(DIGITS) + 2
    hits = ask("seven")
    assert hits is not None
    assert {hit.tree for hit in hits[:2]} == {"org/vit", "org/resnet"}


def test_another_tree_answers_for_its_own_things() -> None:
    hits = ask("a puppy")
    assert hits is not None
    assert [hit.repo for hit in hits] == ["d/pets"]
    assert hits[0].because == (Prediction("dog", 0.98, True),)


def test_a_vague_text_is_shared_among_labels() -> None:
    hits = ask("an even number")
    assert hits is not None
    assert hits[0].repo == "b/evens"
    assert len(hits[0].because) > 1


@pytest.mark.parametrize("text", ["a recipe for soup", "chest x-rays", "sentiment of tweets"])
def test_texts_about_something_else_get_no_answer(text: str) -> None:
    assert ask(text) is None


def test_the_tree_filter_and_the_limit() -> None:
    hits = ask("seven", tree="org/resnet")
    assert hits is not None
    assert [hit.repo for hit in hits] == ["c/odds"]
    assert ask("seven", tree="org/nowhere") == ()
    assert len(ask("seven", limit=1) or ()) == 1


def test_weights_are_a_softmax_over_a_floor() -> None:
    three = LabelIndex([Entry("m/m", "t", {name: Prediction(name, 0.5, False) for name in ("x", "y", "z")})])
    weights = weigh(three, np.array([0.9, 0.8, 0.2], np.float32))
    assert weights is not None
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] / weights[1] == pytest.approx(np.exp(0.1 / 0.03), rel=1e-3)
    assert weigh(three, np.array([FLOOR - 0.01, 0.0, 0.0], np.float32)) is None
    assert weigh(three, np.array([FLOOR + 0.01, 0.0, 0.0], np.float32)) is not None
    assert weigh(three, np.array([np.nan] * 3, np.float32)) is None
    assert weigh(LabelIndex(()), np.array([], np.float32)) is None


def test_a_label_is_met_by_its_text_or_its_name() -> None:
    index = LabelIndex([Entry("m/m", "t", {"a photo of a sports car": Prediction("sports_car", 0.9, True)})])
    assert index.wordings == ("a photo of a sports car", "sports car")
    assert index.columns.tolist() == [0, 0]
    assert weigh(index, np.array([0.1, 0.6], np.float32)) == pytest.approx([1.0])


def test_scores_are_the_sum_and_ties_go_by_name() -> None:
    index = LabelIndex(
        Entry(f"m/{i:03}", "t", {"x": Prediction("x", 0.5, False)}) for i in reversed(range(50))
    )
    hits = rank(index, np.array([1.0], np.float32), limit=3)
    assert [hit.repo for hit in hits] == ["m/000", "m/001", "m/002"]
    assert [hit.score for hit in hits] == [0.5] * 3
    mixed = LabelIndex(
        [Entry("m/m", "t", {"x": Prediction("x", 1.0, True), "y": Prediction("y", 0.5, False)})]
    )
    assert rank(mixed, np.array([0.5, 0.5], np.float32))[0].score == pytest.approx(0.75)


def test_unlikely_models_are_not_shown() -> None:
    index = LabelIndex([Entry("m/m", "t", {"x": Prediction("x", 0.05, False)})])
    assert rank(index, np.array([1.0], np.float32)) == ()
    assert LabelIndex(()).texts == ()
