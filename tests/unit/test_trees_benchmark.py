"""The benchmarks of trees run, and their published numbers hold what they say."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import placing, roots, trees
from benchmarks.report import RESULTS


def test_it_runs_from_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["trees", "--smoke", "--json"])
    trees.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["full, with times"]["target"] == 0.95
    assert rows["mixed, copy"]["value"] == 1  # at any pace


def test_roots_are_recovered_from_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["roots", "--smoke", "--json"])
    roots.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["root of an undeclared upload"]["value"] == 1
    assert rows["false roots among strangers"]["value"] == 0
    assert rows["most alike stranger"]["value"] < rows["least alike child"]["value"]


def test_a_small_forest_is_placed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["placing", "--smoke", "--json"])
    placing.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["parents found"]["value"] > 0.95
    assert rows["time per upload, last to thousandth"]["target"] == placing.FLAT


def test_the_graphs_are_fair_and_the_targets_reached() -> None:
    rows = {row["name"]: row for row in json.loads((RESULTS / "trees.json").read_text())["rows"]}
    assert rows["MoTHer on full"]["holds"]
    assert all(row["holds"] is not False for row in rows.values())
