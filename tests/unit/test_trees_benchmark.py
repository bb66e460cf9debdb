"""The benchmark of trees runs, and its published numbers hold what they say."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import trees
from benchmarks.report import RESULTS


def test_it_runs_from_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["trees", "--smoke", "--json"])
    trees.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["full, with times"]["target"] == 0.95
    assert rows["mixed, copy"]["value"] == 1  # at any pace


def test_the_graphs_are_fair_and_the_targets_reached() -> None:
    rows = {row["name"]: row for row in json.loads((RESULTS / "trees.json").read_text())["rows"]}
    assert rows["MoTHer on full"]["holds"]
    assert all(row["holds"] is not False for row in rows.values())
