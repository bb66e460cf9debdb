"""Do the experts read the training data off the weights? `python -m benchmarks.experts [--smoke] [--json]`

Builds the `digits` zoo at bench size where it is not there yet (about 20 minutes on one core, resumed after
an interruption), trains one expert per root on it, and measures each on the test split beside two baselines
that see the same layers. The models are the same on the same machine, so that the scores are those of the
shipped experts.

`--smoke` does all of it on the smallest zoo in a temporary folder, to show that it runs; its numbers mean
nothing, and docs/results stays as it is.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hubbot.experts.schema import FLOOR
from hubbot.experts.train import Schedule
from hubbot.records import ExpertInfo
from hubbot.training.experts import train_expert
from hubbot.training.zoos import build_zoo
from hubbot.zoo.recipes import named

RECIPE = "digits"
RESULTS = Path(__file__).parent.parent / "docs" / "results"
CHANCE = 0.5
CLEARLY = 0.7
"""Where "beats chance clearly" begins, as set before the experts were trained."""
PRECISION = 0.95


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number; `holds` says whether it reaches its target."""

    name: str
    value: float
    unit: str
    target: float | None
    baseline: float | None
    holds: bool | None


def main() -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experts", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="the smallest zoo, nothing written")
    parser.add_argument("--json", action="store_true", help="the rows as the last line")
    parser.add_argument("--zoo", type=Path, default=Path("zoos/digits"), help="where the zoo is, or goes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.smoke:
            infos = measure(Path(scratch) / "zoo", "tiny", Path(scratch) / "experts", Schedule(epochs=5))
        else:
            infos = measure(given.zoo, "bench", Path(scratch), Schedule())
    rows = list(judge(infos))
    print(table(infos), *missed(rows), sep="\n")
    result = json.dumps({"rows": [asdict(row) for row in rows]})
    if not given.smoke:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "experts.json").write_text(result + "\n", encoding="utf-8")
        (RESULTS / "experts.md").write_text(report(infos, rows), encoding="utf-8")
    if given.json:
        print(result)


def measure(zoo: Path, size: str, out: Path, how: Schedule) -> list[ExpertInfo]:
    """A freshly trained expert for each root, with its scores and the baselines' on the test split."""
    recipe = named(RECIPE)
    build_zoo(RECIPE, size, zoo)
    return [train_expert(zoo, root.repo, out / root.repo, how=how) for root in recipe.roots]


def judge(infos: Sequence[ExpertInfo]) -> Iterator[Row]:
    """The numbers beside their targets."""
    for info in infos:
        root, score, best = info.tree, info.scores, max(info.baselines.values())
        accuracy = score["accuracy"]
        reached = accuracy >= CLEARLY and accuracy > best
        yield Row(f"{root} accuracy", accuracy, "mean per-label accuracy", CLEARLY, best, reached)
        precise = score["precision"] >= PRECISION
        yield Row(f"{root} precision", score["precision"], "share of recognised", PRECISION, None, precise)
        yield Row(f"{root} coverage", score["coverage"], "share of true labels", None, None, None)


def missed(rows: Sequence[Row]) -> list[str]:
    """A sentence for each target that was not reached, with how much is lacking."""
    told = []
    for row in rows:
        if row.holds is False:
            goal = max(row.target or 0.0, row.baseline or 0.0)
            told.append(
                f"Missed: {row.name} is {row.value:.4f}, {goal - row.value:.4f} short of its target {goal}."
            )
    return told


def table(infos: Sequence[ExpertInfo]) -> str:
    """The scores as Markdown."""
    columns = ("accuracy", "nearest task vector", "weight statistics", "precision", "coverage", "abstained")
    lines = [f"| root | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for info in infos:
        measured = {**info.scores, **info.baselines}
        lines.append(f"| {info.tree} | {' | '.join(f'{measured[name]:.3f}' for name in columns)} |")
    return "\n".join(lines)


def report(infos: Sequence[ExpertInfo], rows: Sequence[Row]) -> str:
    """docs/results/experts.md."""
    recipe = named(RECIPE)
    verdict = "\n".join(f"- {sentence}" for sentence in missed(rows)) or "Every target is reached."
    return f"""# Do the experts read the training data off the weights?

    python -m benchmarks.experts

Zoo `{RECIPE}` (recipe {recipe.hash}), {recipe.count("bench")} children per root, each fine-tuned on 5 of 10
digits; {platform.machine()}, one core. Chance is {CHANCE}.

{table(infos)}

Two targets: an accuracy of at least {CLEARLY}, set before the experts were trained, that is above both
baselines too; and a precision of at least {PRECISION}, for which the thresholds are made.

{verdict}

What the columns mean:

- accuracy: mean per-label accuracy on the test split, as are the two baselines beside it, each on the hidden
  layer that validation likes best for it.
- precision, coverage: of the labels over the expert's threshold, made on the calibration split for a
  precision of {PRECISION} and never under {FLOOR}: how many are right, and how many of the true labels they
  are.
- abstained: models of the test split that the expert calls unlike its training.

One seed each. Every model here was fine-tuned on digits; how precise the experts are where most
models were trained on something else is not measured here.
"""


if __name__ == "__main__":
    main()
