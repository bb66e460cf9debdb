"""The benchmark of strangers runs from nothing, and counts what it says it counts."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from benchmarks.sane_strangers import Told, main


def test_it_runs_from_nothing(capsys: pytest.CaptureFixture[str], smallest_zoos: Callable[..., str]) -> None:
    folder = smallest_zoos("cnn-digits", "cnn-digits-grid", "cnn-rotated")
    main(["digits-0", "--smoke", "--json", "--zoos", folder])
    said = capsys.readouterr().out.splitlines()
    rows = {row["name"]: row for row in json.loads(said[-1])["rows"]}
    for kind in ("its own zoo", "cnn-digits-grid", "cnn-rotated", "untrained, kaiming", "BOOT by estimate"):
        now = rows[f"cnn-digits asked of {kind}: told nothing"]
        assert 0 <= now["baseline"] <= now["value"] <= 1, "the guard before is a part of this one"
        assert 0 <= rows[f"cnn-digits asked of {kind}: told nothing wrong"]["value"] <= 1


def test_told_wrong_is_answered_and_not_held() -> None:
    yes, no = True, False
    holds = torch.tensor([[yes], [no], [no], [no]])
    one = Told(
        models=torch.tensor([0, 0, 1, 1]),
        true=torch.zeros(4),
        value=torch.zeros(4),
        holds=holds,
        before=torch.tensor([yes, yes, yes, no]),
        now=torch.tensor([yes, yes, no, no]),
    )
    assert one.share(one.wrong(one.before))[0] == 0.5
    assert one.share(one.wrong(one.now)) == (0.25, 0.0, 0.5)
    assert one.share(~holds[:, 0], one.now)[0] == 0.5
