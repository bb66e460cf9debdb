"""The benchmark of silence: how its rates are made, and that it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
import torch

from benchmarks import silence
from benchmarks.silence import Met, Read, rates
from hubbot.experts.calibrate import KNOWN

pytestmark = pytest.mark.usefixtures("emoji_font")


def read(said: list[list[int]], truth: list[list[int]]) -> Read:
    labels = torch.tensor(said).bool()
    return Read(labels.double(), labels, torch.tensor(truth).bool(), labels.double().amax(1))


OWN = read([[1, 1, 0]] * 9 + [[0, 0, 0]], [[1, 1, 0]] * 10)


def met(wrong: int, of: int) -> Met:
    strangers = read([[1, 0, 0]] * wrong + [[0, 0, 0]] * (of - wrong), [[0, 0, 0]] * of)
    return Met("root", ("layer",), OWN, strangers, ("noise",) * of, torch.zeros(of, 3).bool())


def test_strangers_count_as_often_as_the_stream_has_them() -> None:
    found = rates([met(1, 200)])
    right, wrong = KNOWN * 1.8, (1 - KNOWN) / 200
    assert found.precision == pytest.approx(right / (right + wrong))
    assert found.coverage == pytest.approx(0.9)
    assert found.by_clopper_pearson < found.by_bootstrap < found.precision


def test_no_mistake_among_few_strangers_is_no_proof() -> None:
    few, many = rates([met(0, 50)]), rates([met(0, 5000)])
    assert few.precision == many.precision == few.by_bootstrap == 1
    assert few.by_clopper_pearson < 0.6 < 0.95 < many.by_clopper_pearson


def test_an_expert_that_says_nothing_is_not_precise() -> None:
    silent = read([[0, 0, 0]] * 10, [[1, 1, 0]] * 10)
    found = rates([Met("root", ("layer",), silent, silent, ("noise",) * 10, OWN.truth)])
    assert (found.precision, found.coverage, found.by_clopper_pearson) == (0, 0, 0)


def test_strangers_can_be_told_apart_by_what_they_learned() -> None:
    strangers, tasks = read([[1], [0], [0]], [[0], [0], [0]]), ("noise", "emoji", "noise")
    both = Met("root", ("layer",), OWN, strangers, tasks, torch.tensor([[True], [False], [False]]))
    assert both.in_fact().strangers.truth.tolist() == [[True], [False], [False]]
    assert both.of(["emoji"]).strangers.said.tolist() == [[False]]
    assert both.of(["noise"]).tasks == ("noise", "noise")


def test_it_runs_from_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], smallest_zoos: Callable[..., str]
) -> None:
    zoos = smallest_zoos("emoji-200", "emoji-wild")
    monkeypatch.setattr(sys, "argv", ["silence", "--smoke", "--json", "--zoos", zoos])
    silence.main()
    shown = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(shown.splitlines()[-1])["rows"]}
    assert rows["stream precision"]["target"] == 0.98
    assert rows["AUROC against random weights"]["value"] > 0.9
    assert "docs/results" not in shown
