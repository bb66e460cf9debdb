"""Embedding a large model by range, in small; and the run that was published."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import sane_streaming
from benchmarks.report import RESULTS


def test_it_runs_from_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["sane_streaming", "--smoke", "--json"])
    sane_streaming.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["1 GB: seconds per GB"]["value"] > 0
    assert "seconds per GB at 1 GB over those at 0.25 GB" in rows


def test_the_published_run_is_a_full_one() -> None:
    rows = {row["name"]: row for row in json.loads((RESULTS / "sane-streaming.json").read_text())["rows"]}
    assert {f"{case.name}: peak memory" for case in sane_streaming.FULL} <= set(rows)
    assert rows["1 GB: peak memory"]["holds"]
