"""The benchmark of search runs, finds what it should, and says what it missed."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_smoke_run_measures_everything() -> None:
    command = [sys.executable, "-m", "benchmarks.search", "--smoke", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, ran.stderr
    rows = {row["name"]: row for row in json.loads(ran.stdout.splitlines()[-1])["rows"]}
    assert rows["recall@10 against exact"]["value"] >= 0.98
    assert rows["adding one model, until it is found: slowest"]["holds"]
    assert rows["p50 of a search"]["baseline"] > 0
