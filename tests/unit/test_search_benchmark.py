"""The benchmark of search runs, finds what it should, and says what it missed."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import search


def test_the_smoke_run_measures_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["search", "--smoke", "--json"])
    search.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["recall@10 against exact"]["value"] >= 0.98
    assert rows["adding one model, until it is found: slowest"]["holds"]
    assert rows["p50 of a search"]["baseline"] > 0
