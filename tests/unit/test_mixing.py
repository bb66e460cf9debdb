"""The benchmark of mixing: what its numbers mean, and that it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks import mixes, mixing, queries
from benchmarks.mixes import Asked, Ranked, Tree
from hubbot.index.kinds import Ask, Concepts
from hubbot.index.meaning import relevance
from hubbot.records import ExpertInfo, Label, TextHead

RANDOM = np.random.default_rng(0)


def tree(models: int = 7, concepts: int = 4) -> Tree:
    W = RANDOM.normal(size=(6, 5)).astype(np.float32)
    vocabulary = mixes.unit(RANDOM.normal(size=(concepts, 5)))
    labels = tuple(Label(str(i), str(i), str(i)) for i in range(concepts))
    info = ExpertInfo("e", "1", "", ("t",), (), labels, "x", "")
    head = TextHead(W, np.zeros(6, np.float32), vocabulary, 20.0)
    repos = tuple(f"m/{i}" for i in range(models))
    embeddings = mixes.unit(RANDOM.normal(size=(models, 6)))
    return Tree(info, head, repos, repos, embeddings, np.ones(models, np.bool_))


def test_the_formula_for_all_at_once_is_the_searchs() -> None:
    one = tree()
    concepts = Concepts(tuple(one.texts), one.head)
    vectors, near = mixes.unit(RANDOM.normal(size=(3, 5))), RANDOM.uniform(0.4, 0.9, size=(3, 4))
    near[2, 1] = 0.99  # says a known name
    nearest = np.array([[0.95], [near[1].max()], [0.99]])
    scores = mixes.ours(mixing.NOW)(one, Asked(one.cosines(vectors), near, nearest))
    _, rest = concepts.known(one.embeddings)
    for row, place in enumerate(concepts.placed(vectors)):
        ask = Ask(relevance(near[row], float(nearest[row, 0])), None if row == 2 else place)
        assert concepts.scores(one.embeddings, rest, ask).fit == pytest.approx(scores[row], abs=1e-5)


def test_ndcg_counts_the_first_ten_and_what_could_have_been_there() -> None:
    relevant = np.zeros((3, 30), np.bool_)
    relevant[0, [0, 2]], relevant[1, :15] = True, True
    places = np.tile(np.arange(10), (3, 1))
    places[0, 1:] = -1  # a rule that shows one hit
    found = mixes.ndcg(Ranked(places, np.ones((3, 10), np.float32)), relevant)
    assert found[0] == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert found[1] == pytest.approx(1)
    assert np.isnan(found[2])


def test_what_was_not_read_is_not_found_and_names_decide_among_equals() -> None:
    ranked = mixes.rank(np.zeros((1, 3), np.float32), np.array([True, False, True]))
    assert ranked.places.tolist() == [[0, 2, -1]]


def test_a_model_that_is_always_there_is_a_hub() -> None:
    relevant = np.zeros((50, 100), np.bool_)
    relevant[np.arange(50), np.arange(50)] = True
    spread = RANDOM.permuted(np.tile(np.arange(100), (50, 1)), axis=1)[:, :10]
    stuck = spread.copy()
    stuck[:, 0] = 99
    fair, hubby = (mixes.hubs(Ranked(each, np.ones(each.shape)), relevant) for each in (spread, stuck))
    assert hubby.skewness > 5 > fair.skewness
    assert hubby.wrong == 50
    assert hubby.worst == 1


def test_calibration_is_the_distance_of_what_was_told_from_what_was() -> None:
    scores, right = np.array([0.75] * 4 + [0.2] * 5), np.array([True] * 3 + [False] * 5 + [True])
    assert mixes.calibration(scores, right)[0] == pytest.approx(0)
    assert mixes.calibration(np.ones(4), np.array([True, True, False, False])) == (0.5, 0.5)


def test_the_chance_of_a_meaning_is_found_again_in_what_it_made() -> None:
    cosines = RANDOM.uniform(0, 1, 20_000)
    meant = RANDOM.uniform(size=20_000) < 1 / (1 + np.exp(-12 * (cosines - 0.6)))
    middle, slope = mixes.logistic(cosines, meant)
    assert middle == pytest.approx(0.6, abs=0.02)
    assert slope == pytest.approx(12, rel=0.1)


def test_halves_share_no_concept_and_each_text_belongs_to_its_half() -> None:
    for half, told in enumerate(queries.PARAPHRASES):
        assert {queries.half(right[0]) for right in told.values()} == {half}
    assert not set(queries.NOTHING[0]) & set(queries.NOTHING[1])
    assert not queries.KINDS[0].keys() & queries.KINDS[1].keys()


@pytest.mark.usefixtures("emoji_font")
def test_it_runs_from_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], smallest_zoos: Callable[..., str]
) -> None:
    zoos = smallest_zoos("emoji-200", "emoji-1k")
    monkeypatch.setattr(sys, "argv", ["mixing", "--smoke", "--json", "--zoos", zoos])
    mixing.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["calibration error"]["target"] == 0.05
    assert rows["formula and search apart"]["value"] < 1e-4
    assert {"both trees above pixart-a alone", "ours above raw cosine"} <= rows.keys()
    assert 0 <= rows["nothing certain, where there is nothing"]["value"] <= 1
