"""The benchmark of layers runs from nothing, and its numbers are those of plain calculations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from benchmarks.sane_layers import correlations, inner_step, main
from benchmarks.sane_properties import drawn


def test_it_runs_from_nothing(
    capsys: pytest.CaptureFixture[str], smallest_zoos: Callable[..., str], tmp_path: Path
) -> None:
    folder = smallest_zoos("cnn-digits", "resnet-digits")
    plot = tmp_path / "layers.png"
    main(["digits-0", "resnet", "--smoke", "--json", "--zoos", folder, "--plot", str(plot)])
    said = capsys.readouterr().out.splitlines()
    rows = {row["name"]: row for row in json.loads(said[-1])["rows"]}
    assert "resnet-digits: highest step before the last layer is in the middle third" in rows
    for kind in ("deviation of embeddings", "deviation of tokens", "log spectral norm", "weighted alpha"):
        assert -1 <= rows[f"cnn-digits: Spearman, {kind}, all epochs"]["value"] <= 1
    assert all(row["value"] == row["value"] for row in rows.values()), "no number is missing"
    assert any(line.startswith("| fc2 | 0.288 |") for line in said)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_correlations_of_a_drawing_are_those_of_the_checkpoints_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 5, generator=generator).double().mul(3).round()  # so that some are equal
    y = x + 2 * torch.randn(12, 5, generator=generator)
    x[3, 2] = float("nan")
    weights = drawn(12)
    found = correlations(x, y, weights[:300])
    for at in (0, 7, 299):
        again = [i for i in range(12) for _ in range(int(weights[at, i]))]
        a, b = x[again].flatten(), y[again].flatten()
        a, b = a[x[again].flatten().isfinite()], b[x[again].flatten().isfinite()]
        expected = [spearmanr(a, b).statistic, pearsonr(a, b).statistic]
        torch.testing.assert_close(found[at], torch.tensor(expected, dtype=torch.float64))


def test_the_highest_inner_step_is_found() -> None:
    middle, early = [0.0, 0.1, 0.1, 0.9, 1.0, 1.0, 5.0], [0.0, 0.9, 1.0, 1.0, 1.0, 1.0, 5.0]
    assert inner_step(torch.tensor([middle, middle, early, early, middle])) == (3, 0.5)
