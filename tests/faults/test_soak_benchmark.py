"""The soak, in small: a synthetic Hub, all of whose uploads come to their end."""

from __future__ import annotations

import json
import sys

from benchmarks import soak


def test_it_runs_from_nothing(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["soak", "--smoke", "--json"])
    soak.main()
    printed = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(printed.splitlines()[-1])["rows"]}
    assert "400 synthetic uploads" in printed
    assert "8 of them with a reading" in printed, "one of fifty is a child of the demo's digits"
    assert rows["listing, ours to a bare loop"]["target"] == soak.LISTING
    assert rows["memory, last fifth to a fifth of the way"]["value"] > 0
