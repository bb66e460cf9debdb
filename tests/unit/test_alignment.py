"""The benchmark of alignment: how gains are told, and that it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from benchmarks import alignment
from benchmarks.alignment import Measured, difference


def measured(met: list[float], concepts: list[int]) -> Measured:
    return Measured(0.0, met, concepts, met, concepts)


def test_models_of_one_concept_stand_and_fall_together() -> None:
    """Ten models of one concept are hardly more evidence than one: the interval knows."""
    nothing = [0.0] * 20
    many = measured([1.0] * 10 + [0.0] * 10, list(range(20)))
    few = measured([1.0] * 10 + [0.0] * 10, [0] * 10 + [1] * 10)
    (gain, low, _), (same, lowest, _) = (
        difference([one], [measured(nothing, list(one.met_concepts))], "met") for one in (many, few)
    )
    assert gain == same == 0.5
    assert low > 0.2 > lowest == 0


def test_seeds_are_drawn_too() -> None:
    concepts = list(range(20))
    steady = [measured([1.0] * 10 + [0.0] * 10, concepts)]
    shaky = [measured([float(seed)] * 20, concepts) for seed in (0, 1)]
    gain, low, high = difference(steady, shaky, "unmet")
    assert gain == 0
    assert low < -0.4 < 0.4 < high


@pytest.mark.usefixtures("emoji_font")
def test_it_runs_from_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], smallest_zoos: Callable[..., str]
) -> None:
    zoos = smallest_zoos("emoji-200")
    monkeypatch.setattr(sys, "argv", ["alignment", "--smoke", "--json", "--zoos", zoos])
    alignment.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["emoji-200 zero-shot: ours"]["target"] == 0.90
    assert 0 <= rows["emoji-200 in distribution: ours"]["value"] <= 1
    assert {f"emoji-200 zero-shot: ours above {paper}" for paper in ("ProbeX", "MVProbe")} <= rows.keys()
