"""What is said of an expert is what was measured; without a browser."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hubbot import Bin, ExpertInfo, LayerScore, Reliability, Trust
from space.charts import reliability, sweep
from space.tile import tile
from space.trust import CARE, GOOD, MIXED, believed, reasons

SURE = Bin(90, 0.03, 0.97, 0.98, 0.9, 1.0)
FOUND = Reliability("test", 75, 230, (Bin(30, 0.01, 0.75, 0.4, 0.3, 0.5), SURE), SURE)
LAYERS = tuple(LayerScore(f"layers.{i}.weight", 0.5 - 0.1 * i, 0.7 + 0.1 * i, i == 2) for i in range(3))
INFO = ExpertInfo(
    *("digits-vit", "5f0c2ab14e77", "/nowhere", ("lab/vit",), (), (), "sentence:all-MiniLM-L6-v2", "a zoo"),
    scores={"accuracy": 0.9044, "precision": 0.949, "abstained": 0.0},
    baselines={"nearest task vector": 0.8378},
    trust=Trust(0.9, 0.05, LAYERS, FOUND),
)


def told(info: ExpertInfo) -> dict[str, str]:
    return {what: tone for tone, what, _ in reasons(info)}


def measured(right: float, least: float, *, meant: float = 0.99, known: float = 1.0) -> ExpertInfo:
    one = Bin(100, 1.0, meant, right, least, 1.0)
    return replace(INFO, trust=Trust(0.9, known, (), Reliability("test", 75, 0, (one,), one)))


@pytest.mark.parametrize(
    ("right", "least", "tone", "what"),
    [
        (0.99, 0.96, GOOD, "Believe what it recognises."),
        (0.95, 0.88, MIXED, "Mostly believe what it recognises."),
        (0.99, 0.70, CARE, "Check what it recognises."),
    ],
)
def test_what_is_recognised_is_believed_as_far_as_it_is_certain(
    right: float, least: float, tone: str, what: str
) -> None:
    assert told(measured(right, least))[what] == tone


@pytest.mark.parametrize(
    ("coverage", "what"),
    [
        (0.99, "Its silence says something."),
        (0.7, "Its silence says little."),
        (0.3, "Read nothing into its silence."),
    ],
)
def test_silence(coverage: float, what: str) -> None:
    assert what in told(replace(INFO, scores={"coverage": coverage}))


@pytest.mark.parametrize(
    ("right", "what"),
    [
        (0.98, "Take its percentages at their word."),
        (0.94, "Take its percentages as rough."),
        (0.6, "Take its percentages with care."),
    ],
)
def test_percentages(right: float, what: str) -> None:
    assert what in told(measured(right, 0.5))


def test_who_boasts_and_who_is_modest() -> None:
    boast, modest = Bin(50, 0.5, 0.8, 0.4, 0.3, 0.5), Bin(50, 0.5, 0.2, 0.6, 0.5, 0.7)
    for one, what, tone in (
        (boast, "Around 80% it is too sure.", CARE),
        (modest, "Around 20% it is too modest.", MIXED),
    ):
        found = Reliability("test", 9, 0, (one,))
        assert told(replace(INFO, trust=Trust(0.9, reliability=found)))[what] == tone
    unsure = replace(boast, most=0.9)
    found = Reliability("test", 9, 0, (unsure,))
    assert not any("too sure" in what for what in told(replace(INFO, trust=Trust(0.9, reliability=found))))


def test_strangers_and_simpler_methods_are_named() -> None:
    assert told(measured(0.99, 0.98))["It has met no strangers."] == CARE
    assert told(measured(0.99, 0.98, known=0.05))["It expects 95% strangers."] == MIXED
    assert "It is worth its weights: simpler methods know less." in told(INFO)
    better = replace(INFO, baselines={"nearest task vector": 0.9})
    assert told(better)["A simpler method answers as well."] == MIXED


def test_nothing_is_claimed_of_what_an_older_hubbot_saved() -> None:
    old = told(replace(INFO, trust=None))
    assert old["Its percentages were not checked."] == CARE
    assert not any("strangers" in what for what in old)
    assert "was not measured" in believed(replace(INFO, trust=None), 0.99)
    assert believed(replace(INFO, trust=None, scores={}), 0.99) == ""
    assert told(replace(INFO, trust=Trust(None)))["It never stands by a label."] == CARE


def test_a_percentage_is_told_what_its_like_were_worth() -> None:
    assert "Of 30 labels that digits-vit told with about that probability, 40.0% were right" in believed(
        INFO, 0.71
    )
    assert "Of 90 labels" in believed(INFO, 1.0)
    assert "told nothing with such a percentage" in believed(INFO, 0.5)


def test_charts_of_little() -> None:
    assert reliability(replace(FOUND, bins=()), None).count("<circle") == 0
    flat = [replace(layer, accuracy=1.0) for layer in LAYERS]
    assert "nan" not in sweep(flat)
    assert sweep([replace(LAYERS[0], accuracy=0.0)] * 2).count("<circle") == 2


def test_a_tile_is_always_the_same_and_different_concepts_differ() -> None:
    assert tile("wolf-face") == tile("wolf-face") != tile("pear")
    assert "wolf" in tile("wolf-face")
    assert tile() == ""
    for count in (1, 2, 3, 4, 5):
        drawn = tile(*("one", "two", "three", "four", "five")[:count])
        assert drawn.count("<rect") == min(count, 4)
    hostile = tile("<script>owned()</script>${x}", "", "x" * 5_000)
    assert "<script" not in hostile
    assert "${" not in hostile
    assert len(hostile) < 3_000
