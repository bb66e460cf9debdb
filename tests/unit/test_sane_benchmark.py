"""The SANE benchmark runs from nothing, and its intervals are what they say."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from benchmarks.sane import main
from benchmarks.sane_properties import Sums, drawn, interval
from hubbot.sane.properties import r2


def test_it_runs_from_nothing(capsys: pytest.CaptureFixture[str], smallest_zoos: Callable[..., str]) -> None:
    zoos = smallest_zoos("cnn-digits", "cnn-digits-grid", "cnn-digits-bn", "resnet-digits")
    main(["--smoke", "--json", "--zoos", zoos])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    wanted = {
        "s(W)+SANE over s(W), accuracy, grid: lower end of 95%",
        "accuracy rebuilt, digits",
        "SUB, epoch 0, at least KDE",
        "KDE, resnet, halo yes, conditioned yes",
        "KDE, bn, halo no, conditioned no",
        "digits turned by quarters: SUB at least prompts, epoch 1",
        "half as wide again: SUB above scratch, epoch 1",
        "one layer deeper: SUB above scratch, epoch 1",
    }
    assert wanted <= set(rows)
    assert all(row["value"] == row["value"] for row in rows.values()), "no number is missing"


def test_r2_of_a_drawing_is_that_of_the_checkpoints_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, models = torch.randn(60, 2, generator=generator), torch.arange(12).repeat_interleave(5)
    said = truth + 0.5 * torch.randn(60, 2, generator=generator)
    weights = drawn(12)
    scores = Sums.of(said, truth, models).r2(weights)
    torch.testing.assert_close(scores[0], r2(said.double(), truth.double()))
    again = torch.cat(
        [torch.nonzero(models == i)[:, 0] for i in range(12) for _ in range(int(weights[7, i]))]
    )
    torch.testing.assert_close(scores[7], r2(said[again].double(), truth[again].double()))
    value, low, high = interval(scores)
    assert (low < value).all()
    assert (value < high).all()
