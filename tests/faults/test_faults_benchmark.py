"""Exactly once, and nothing lost, in small: a bot killed twice, and a Hub that fails three times in ten."""

from __future__ import annotations

import json
import sys

from benchmarks import faults
from benchmarks.report import RESULTS


def test_it_runs_from_nothing(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["faults", "--smoke", "--json"])
    monkeypatch.setattr("hubbot.courtesy.SETTLING", faults.courtesy.SETTLING)  # put back afterwards
    faults.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["kills"]["value"] == faults.SMOKE_KILLS
    assert rows["faults per request"]["target"] == faults.SHARE
    assert all(row["holds"] is not False for row in rows.values()), rows


def test_the_published_run_is_a_full_one_and_the_targets_are_reached() -> None:
    rows = {row["name"]: row for row in json.loads((RESULTS / "faults.json").read_text())["rows"]}
    assert rows["kills"]["value"] >= faults.KILLS
    assert rows["killed: one reading per expert version"]["target"] == faults.REPOS
    assert all(row["holds"] is not False for row in rows.values())
