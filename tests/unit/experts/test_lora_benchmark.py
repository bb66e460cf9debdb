from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import lora
from benchmarks.report import RESULTS


def test_the_benchmark_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in Path(RESULTS).glob("lora.*")}
    monkeypatch.setattr(sys, "argv", ["lora", "--smoke", "--json"])
    lora.main()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert len(rows) == 2 * 4 + 3
    for kind in ("probex", "mvprobe"):
        assert rows[f"{kind}: kept for backward"]["value"] > 5  # even at this size
    assert rows["expert: validation accuracy"]["value"] > 0.5  # 262 models, 50 labels
    assert {file: file.read_bytes() for file in Path(RESULTS).glob("lora.*")} == before


def test_the_published_numbers_reach_their_targets() -> None:
    rows = json.loads((RESULTS / "lora.json").read_text())["rows"]
    assert all(row["holds"] is not False for row in rows)
    assert sum(row["holds"] is True for row in rows) == 2 * 3 + 1
