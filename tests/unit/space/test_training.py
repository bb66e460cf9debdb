"""Estimates on a model's page: the picture and the sentence say the same."""

from __future__ import annotations

import re

import pytest

from hubbot import Estimate, Judgement
from hubbot.records import Abstention
from space.training import training


def shown(*estimates: Estimate) -> str:
    return training((Judgement("ann/net", "a" * 40, ("id",), "digits-cnn", "v1", estimates),))


def test_a_share_is_told_in_percent_within_its_interval() -> None:
    page = shown(Estimate("accuracy", 0.8, 0.7, 0.85, 0.9, 0.0, 1.0))
    assert "about 80%" in page
    assert "In 9 of 10 such models the truth lies between 70% and 85%." in page
    assert "left:70.0%;width:15.0%" in page
    assert "left:80.0%" in page
    assert "Nobody measured it on this model." in page
    assert 'aria-hidden="true"' in page, "the sentence says it to whoever sees no picture"


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate("generalisation_gap", -0.1, -0.2, 0.0, 0.95, -1.0, 1.0), "In 19 of 20 .* -20 and 0 points"),
        (Estimate("gap", 0.004, -0.004, 0.01, 0.9, -1.0, 1.0), "about 0 points.* between 0 and 1 point[.]"),
        (Estimate("epoch", 12.34, 9.0, 15.6, 0.8, 0.0), "In 4 of 5 .* 9 and 15.6"),
        (Estimate("epoch", 12.34, 9.0, 15.6, 0.8, 0.0, 25.0), "about 12<.* between 9 and 16[.]"),
        (Estimate("loss", -3.0, -4.0, -2.0, 0.9), "between -4 and -2"),
        (Estimate("nothing", 0.0, 0.0, 0.0, 0.9, 0.0, 0.0), "between 0 and 0"),
    ],
)
def test_every_scale_holds_its_interval(estimate: Estimate, words: str) -> None:
    page = shown(estimate)
    assert re.search(words, page)
    places = [float(found) for found in re.findall(r"(?:left|width):(-?[\d.]+)%", page)]
    below_nothing = estimate.least is None or estimate.least < 0
    assert len(places) == 3 + (below_nothing and "<s " in page)
    assert all(0 <= place <= 100 for place in places)
    assert places[0] + places[1] <= 100.05


def test_silence_has_a_reason_and_names_are_text() -> None:
    why = Abstention("unlike-training", "its weights are unlike those that <b>digits</b> learned from")
    page = training((Judgement("ann/net", "a" * 40, ("id",), "<i>x</i>", "v1", abstention=why),))
    assert "No estimate." in page
    assert "Its weights are unlike" in page
    assert "<b>digits" not in page
    assert "<i>x" not in page
    assert training(()) == "", "of another architecture there is no section"
