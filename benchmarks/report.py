"""What every benchmark shares: rows beside their targets, what is missed, the files in docs/results."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent.parent / "docs" / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number; `holds` says whether it reaches its target, None where it has none."""

    name: str
    value: float
    unit: str
    target: float | None = None
    baseline: float | None = None
    holds: bool | None = None


def at_least(name: str, value: float, unit: str, target: float, baseline: float | None = None) -> Row:
    """A number that must reach its target."""
    return Row(name, value, unit, target, baseline, value >= target)


def told(name: str, value: float, unit: str, baseline: float | None = None) -> Row:
    """A number without a target."""
    return Row(name, value, unit, None, baseline, None)


def table(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers get three decimals."""
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    cells = ([f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in line] for line in lines)
    return "\n".join([*head, *(f"| {' | '.join(line)} |" for line in cells)])


def verdict(rows: Sequence[Row]) -> str:
    """One line for each target that was not reached, with how much is lacking."""
    missed = [
        f"- Missed: {row.name} is {row.value:.4g} {row.unit}, target {row.target:.4g}."
        for row in rows
        if row.holds is False and row.target is not None
    ]
    return "\n".join(missed) or "Every target is reached."


def machine() -> str:
    """The machine in a few words."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def arguments(name: str, about: str | None, smoke: str, *, zoos: bool = False) -> argparse.ArgumentParser:
    """The command line that all have; smoke: what is done in a hurry to see that it runs."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--smoke", action="store_true", help=smoke)
    parser.add_argument("--json", action="store_true", help="the rows as the last line")
    if zoos:
        parser.add_argument("--zoos", type=Path, help="where the zoos are, or go: zoos/ by default")
    return parser


def zoos(given: argparse.Namespace, scratch: Path) -> Path:
    """The folder that was named; by default the smoke test builds its zoos in one that is thrown away."""
    named: Path | None = given.zoos
    return named or (scratch / "zoos" if given.smoke else Path("zoos"))


def publish(name: str, rows: Sequence[Row], text: str, given: argparse.Namespace) -> None:
    """Print a report; but for the smoke test write docs/results/NAME.md and NAME.json."""
    print(text)
    if not given.smoke:
        _write(name, rows, text)
    if given.json:
        print(as_json(rows))


def _write(name: str, rows: Sequence[Row], text: str) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(as_json(rows) + "\n", encoding="utf-8")


def as_json(rows: Sequence[Row]) -> str:
    """The rows in one line."""
    return json.dumps({"rows": [asdict(row) for row in rows]})
