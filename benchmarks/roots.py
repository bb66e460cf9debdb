"""Does an upload that declares nothing find its root among many, and a stranger none?

    python -m benchmarks.roots [--held-out] [--smoke] [--json]

140 vision transformers of one architecture, trained on the same data from other seeds (zoo `orchard`, built
where it is not there yet). Of 40, hubbot knows the rows that it would read by range; their 160 children,
fine-tuned lightly and heavily, by LoRAs and rounded to int8, are asked which root they have. The other 100
and their 400 children are strangers: siblings of the known, and no child of theirs.

The zoo is the one that thresholds were chosen on; `--held-out` is its twin of other seeds. `--smoke` does all
of it on the smallest zoo in a temporary folder; its numbers mean nothing and are not kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.report import Row, arguments, at_least, machine, publish, table, told, verdict, zoos
from hubbot.records import Evidence, Tensors
from hubbot.training.zoos import build_zoo
from hubbot.trees.fingerprint import SAME_ROOT, Fingerprint, choose, take
from hubbot.trees.forest import Forest, KnownRoot
from hubbot.weights.local import read_header, read_local
from hubbot.weights.quantised import NARROW, multiplied, scale_of
from hubbot.zoo.families import read_graphs
from hubbot.zoo.heritage import ORCHARD_HELD_OUT, ORCHARD_TREES, HeritageRecipe, Node
from hubbot.zoo.layout import WEIGHTS, repo_folder
from hubbot.zoo.threads import one_thread

KNOWN = 2 / 7
"""Of the roots: 40 of 140."""
KINDS = ("full", "lora", "heavy", "int8")
STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Asked:
    """One model, and what its weights were found to say."""

    kind: str
    root: str | None
    said: Evidence

    @property
    def right(self) -> bool:
        return self.said.parent == self.root

    @property
    def chance(self) -> float:
        """That it has the root that is nearest; where no root is named the calibration was not asked."""
        return self.said.probability or 0.0


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("roots", __doc__, "the smallest zoo, nothing written", zoos=True)
    parser.add_argument("--held-out", action="store_true", help="the zoo that nothing was chosen on")
    given = parser.parse_args()
    recipe = ORCHARD_HELD_OUT if given.held_out else ORCHARD_TREES
    with tempfile.TemporaryDirectory() as scratch, one_thread():
        folder = zoos(given, Path(scratch)) / recipe.name
        build_zoo(recipe.name, "tiny" if given.smoke else "bench", folder)
        asked = [*ask(folder)]
    rows = [*judge(asked)]
    publish("roots-held-out" if given.held_out else "roots", rows, report(recipe, asked, rows), given)


def ask(folder: Path) -> Iterator[Asked]:
    """Every model of the zoo but the known roots themselves."""
    nodes = next(iter(read_graphs(folder).values()))
    roots = [node.repo for node in nodes if not node.parents]
    known = roots[: max(round(KNOWN * len(roots)), 1)]
    forest = Forest([KnownRoot(root, (), _fingerprint(folder, root)) for root in known])
    for node in nodes:
        if node.repo not in known:
            said = forest.recover(_rows(folder, node, forest))
            if said is None:
                raise ValueError(f"{node.repo} cannot be compared")
            own = node.tree in known
            yield Asked(node.made if own else STRANGER, node.tree if own else None, said)


def _fingerprint(folder: Path, root: str) -> Fingerprint:
    values = read_local(repo_folder(folder, root) / WEIGHTS)
    return take(choose({name: value.shape for name, value in values.items()}), values)


def _rows(folder: Path, node: Node, forest: Forest) -> Tensors:
    """What a reading by range would give."""
    file = repo_folder(folder, node.repo) / WEIGHTS
    entries, whole = read_header(file).tensors, read_local(file)
    shapes = {name: entry.shape for name, entry in entries.items()}
    values = {}
    for want in forest.wanted(shapes):
        values[want.name] = whole[want.name][: want.rows]
        if entries[want.name].dtype in NARROW and (scale := scale_of(want, shapes)):
            factors = whole[scale.name][: scale.rows]
            values[want.name] = multiplied(values[want.name], scale, factors, shapes[want.name])
    return Tensors(node.repo, "", values, {}, (), 0, 0)


# --- the report -----------------------------------------------------------------------------------


def by_kind(asked: Sequence[Asked]) -> Mapping[str, list[Asked]]:
    """The models by how they were made."""
    return {kind: [each for each in asked if each.kind == kind] for kind in (*KINDS, STRANGER)}


def judge(asked: Sequence[Asked]) -> Iterator[Row]:
    """The issue's targets."""
    children = [each for each in asked if each.root]
    strangers = [each for each in asked if not each.root]
    top = float(np.mean([each.right for each in children]))
    yield at_least("root of an undeclared upload", top, "top-1", 0.99)
    named = sum(each.said.parent is not None for each in strangers)
    yield Row("false roots among strangers", named, f"of {len(strangers)}", 0.0, None, named == 0)
    brier = float(np.mean([(each.chance - each.right * (each.root is not None)) ** 2 for each in asked]))
    yield told("Brier score of the calibrated chance", brier, "")
    nearest = max((each.said.score or 0.0 for each in strangers), default=0.0)
    yield told("most alike stranger", nearest, "cosine")
    yield told("least alike child", min(each.said.score or 0.0 for each in children), "cosine")


def report(recipe: HeritageRecipe, asked: Sequence[Asked], rows: Sequence[Row]) -> str:
    """docs/results/roots.md."""
    option = " --held-out" if recipe.name == ORCHARD_HELD_OUT.name else ""
    which = "which nothing was chosen on" if option else "which thresholds were chosen on"
    lines = []
    for kind, some in by_kind(asked).items():
        scores = np.array([each.said.score or 0.0 for each in some])
        right = sum(each.right for each in some)
        spread = [float(q) for q in (scores.min(), np.median(scores), scores.max())]
        lines.append((kind, len(some), right, *spread))
    columns = ("model", "asked", "right", "least cosine", "median", "largest")
    return f"""# Does an undeclared upload find its root?

    python -m benchmarks.roots{option}

Zoo `{recipe.name}` (recipe {recipe.hash}), {which}. {machine()}. Mean cosine with the nearest
known root, between the rows of the fingerprint alone; a root is named from {SAME_ROOT} on. A stranger is
right if no root is named.

{table(columns, lines)}

`heavy`: trained for twice as long and twice as fast as any of `full`. `int8`: a rounded copy, multiplied out.

{verdict(rows)}
"""


if __name__ == "__main__":
    main()
