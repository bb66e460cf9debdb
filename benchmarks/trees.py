"""Is it recovered from weights who descends from whom?

    python -m benchmarks.trees [--held-out] [--smoke] [--json]

Graphs of `heritage`, whose every parent is known (see `zoo.heritage`): 5 trees each, fine-tuned in full,
by LoRAs of one rank and of varying rank, merged in, and of what else people make of models. No card is read.

- ours, with the times of upload, and without.
- MoTHer (arXiv 2405.18432), as its paper has it: distance (full fine-tuning: mean |ΔW|; LoRAs: rank of ΔW), a
  penalty against the direction of kurtosis, the cheapest arborescence. It knows no times.
- nearest older: no rule but that (Model Atlas's greedy order, arXiv 2503.10633, without its priors).
- ours, as the bot has it: models come in an order that has nothing to do with their age, each is compared
  with its nearest alone, by the rows of the fingerprint, and the root is known by them. The same again where
  a third of all models came into repos of another date than their own.

Ours is also given the first rows of each matrix alone, as a reading by range would. Which models are of one
tree, the number of trees not given, is what cosines of .5 and more between fingerprints connect; beside it
stands Ward's linkage as in MoTHer, which is told the number. The zoo is one that ours was developed on;
`--held-out` is its twin of other seeds. `--smoke` does all of it on the smallest zoo in a temporary folder;
its numbers mean nothing and are not kept.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from safetensors.torch import load_file
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from benchmarks.report import Row, arguments, at_least, machine, publish, table, told, verdict, zoos
from hubbot.records import Relative, Sketch
from hubbot.training.zoos import build_zoo
from hubbot.trees.fingerprint import choose
from hubbot.trees.kin import Crowd, coarse, join, resemble
from hubbot.trees.kinship import Member, log_kurtosis, relate
from hubbot.trees.sketch import sketch
from hubbot.zoo.families import read_graphs
from hubbot.zoo.heritage import GRAPHS, HELD_OUT, HERITAGE, HeritageRecipe, Node
from hubbot.zoo.layout import WEIGHTS, repo_folder
from hubbot.zoo.threads import one_thread

ROWS = (None, 8, 2)
"""How many of each matrix ours is shown; all in the first place."""
LAMBDA = 0.3
"""MoTHer's weight of a violated direction, in mean distances."""
SAME_RANK = 1e-3
"""Singular values under this share of the largest are rounding."""
FAIR = (0.80, 0.95)
"""What MoTHer should reach on `full`, for the graphs to be neither too easy nor hopeless."""

BOT = "ours, as the bot has it"
LIARS = 1 / 3
"""Of the models, so many have a date that is not theirs."""
HOUR_0 = datetime(2026, 1, 1, tzinfo=UTC)

Parents = Mapping[str, tuple[str, ...]]
Recover = Callable[[Sequence["Model"]], Parents]


@dataclass(frozen=True)
class Model:
    """A node and its hidden matrices, (d_H, d_W) each."""

    node: Node
    matrices: Mapping[str, Tensor]

    def member(self, *, timed: bool, rows: int | None) -> Member:
        some = [matrix[:rows] for matrix in self.matrices.values()]
        return Member(
            self.node.repo,
            torch.cat([matrix.flatten() for matrix in some]).numpy(),
            log_kurtosis([matrix.numpy() for matrix in some]),
            self.node.created if timed else None,
            self.node.made == "int8",
        )

    @property
    def sketch(self) -> Sketch:
        """What the bot keeps of it."""
        wanted = choose({name: tuple(matrix.shape) for name, matrix in self.matrices.items()})
        values = {name: matrix.numpy() for name, matrix in self.matrices.items()}
        found = sketch(self.node.repo, wanted, values, quantised=self.node.made == "int8")
        if found is None:
            raise ValueError(f"{self.node.repo} has weights that are not finite")
        return found


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("trees", __doc__, "the smallest zoo, nothing written", zoos=True)
    parser.add_argument("--held-out", action="store_true", help="the zoo that nothing was chosen on")
    given = parser.parse_args()
    recipe = HELD_OUT if given.held_out else HERITAGE
    with tempfile.TemporaryDirectory() as scratch, one_thread():
        folder = zoos(given, Path(scratch)) / recipe.name
        build_zoo(recipe.name, "tiny" if given.smoke else "bench", folder)
        graphs = opened(folder)
        found = {graph: score(models) for graph, models in graphs.items()}
        alike = {graph: clustered([m for tree in models for m in tree]) for graph, models in graphs.items()}
    rows = [*judge(found, alike)]
    text = report(recipe, found, alike, rows)
    publish("trees-held-out" if given.held_out else "trees", rows, text, given)


def opened(folder: Path) -> dict[str, list[list[Model]]]:
    """By graph and tree, all models."""
    found = {}
    for graph, nodes in read_graphs(folder).items():
        models = [Model(node, hidden(folder, node.repo)) for node in nodes]
        trees = sorted({node.tree for node in nodes})
        found[graph] = [[model for model in models if model.node.tree == tree] for tree in trees]
    return found


def hidden(folder: Path, repo: str) -> dict[str, Tensor]:
    """The matrices of a model's encoder, those of a quantised copy multiplied out."""
    values = load_file(repo_folder(folder, repo) / WEIGHTS)
    found = {}
    for name, value in values.items():
        if "encoder" in name and value.ndim == 2 and name.endswith("weight"):
            scale = values.get(f"{name}_scale")
            found[name] = value.float() if scale is None else value.float() * scale
    return found


# --- methods --------------------------------------------------------------------------------------


def ours(models: Sequence[Model], *, timed: bool, rows: int | None = None) -> Parents:
    """The house's own."""
    return relate([model.member(timed=timed, rows=rows) for model in models])


def mother(models: Sequence[Model]) -> Parents:
    """The cheapest arborescence over distance and direction."""
    adapted = any(model.node.rank for model in models)
    n = len(models)
    D = np.array([[_apart(a, b, adapted) if a is not b else 0.0 for b in models] for a in models])  # (n, n)
    kurtosis = [float(np.exp(model.member(timed=False, rows=None).kurtosis)) for model in models]
    penalty = LAMBDA * D.sum() / (n * (n - 1))
    graph = nx.DiGraph()
    for i in range(n):
        for j in range(n):
            if i != j:
                graph.add_edge(i, j, weight=D[i, j] + penalty * (kurtosis[j] > kurtosis[i]))
    found: dict[str, tuple[str, ...]] = {model.node.repo: () for model in models}
    for parent, child in nx.minimum_spanning_arborescence(graph).edges:
        found[models[child].node.repo] = (models[parent].node.repo,)
    return found


def _apart(a: Model, b: Model, adapted: bool) -> float:
    if not adapted:
        total = sum(matrix.numel() for matrix in a.matrices.values())
        return float(sum((m - b.matrices[name]).abs().sum() for name, m in a.matrices.items())) / total
    ranks = []
    for name, matrix in a.matrices.items():
        S = torch.linalg.svdvals(matrix - b.matrices[name])
        ranks.append(float((SAME_RANK * S[0].clamp_min(1e-12) < S).sum()))
    return float(np.mean(ranks))


def nearest_older(models: Sequence[Model]) -> Parents:
    """No rule but one."""
    members = [model.member(timed=True, rows=None) for model in models]
    found: dict[str, tuple[str, ...]] = {}
    for one in members:
        older = [m for m in members if (m.created or 0) < (one.created or 0)]
        near = min(older, key=lambda m: float(np.linalg.norm(m.weights - one.weights)), default=None)
        found[one.repo] = (near.repo,) if near else ()
    return found


def as_they_come(models: Sequence[Model], *, liars: float = 0.0) -> Parents:
    """In an order of their own, each joining those that are there."""
    draw = random.Random(f"{models[0].node.repo}/{liars}")  # noqa: S311  reproducible, not secret
    root, *others = sorted(models, key=lambda model: model.node.level)
    draw.shuffle(others)
    kept: dict[str, Relative] = {}
    crowd, known = Crowd(), root.sketch
    for model in others:
        lies = draw.random() < liars
        hours = draw.uniform(0, 3000) if lies else model.node.created
        one = Relative(model.sketch, HOUR_0 + timedelta(hours=hours))
        repo, near = one.sketch.repo, coarse(one.sketch)
        names = crowd.near(repo, near)
        parents = [parent for name in names for parent in kept[name].parents if parent in kept]
        kept[repo] = one
        stands = join(one, [kept[name] for name in dict.fromkeys([*names, *parents])], known)
        kept |= {name: replace(kept[name], parents=now.parents) for name, now in stands.items()}
        crowd.add(repo, near)
    return {known.repo: (), **{repo: one.parents for repo, one in kept.items()}}


def clustered(models: Sequence[Model]) -> tuple[float, float]:
    """How well the trees of a graph are told apart: ours, and Ward's linkage; adjusted Rand indexes."""
    truth, sketches = [model.node.tree for model in models], [model.sketch for model in models]
    graph = nx.Graph()
    graph.add_nodes_from(range(len(models)))
    graph.add_edges_from(
        (i, j) for i, j in combinations(range(len(models)), 2) if resemble(sketches[i], sketches[j])
    )
    parts = {i: k for k, part in enumerate(nx.connected_components(graph)) for i in part}
    X = np.stack([each.values for each in sketches])
    wards = fcluster(linkage(X, "ward"), len(set(truth)), "maxclust")
    return (
        float(adjusted_rand_score(truth, [parts[i] for i in range(len(models))])),
        float(adjusted_rand_score(truth, wards)),
    )


METHODS: dict[str, Recover] = {
    "ours, with times": partial(ours, timed=True),
    **{f"ours, with times, {n} rows": partial(ours, timed=True, rows=n) for n in ROWS if n},
    BOT: as_they_come,
    f"{BOT}, dates lying": partial(as_they_come, liars=LIARS),
    "nearest older": nearest_older,
    "ours, without times": partial(ours, timed=False),
    **{f"ours, without times, {n} rows": partial(ours, timed=False, rows=n) for n in ROWS if n},
    "MoTHer": mother,
}


# --- the report -----------------------------------------------------------------------------------

Scores = Mapping[str, Mapping[str, tuple[int, int]]]
"""By method and kind of model: how many have the right parents, of how many."""


def score(trees: Sequence[Sequence[Model]]) -> Scores:
    """All methods on all trees of a graph."""
    return {name: _right(trees, recover) for name, recover in METHODS.items()}


def _right(trees: Sequence[Sequence[Model]], recover: Recover) -> dict[str, tuple[int, int]]:
    right: dict[str, tuple[int, int]] = {}
    for models in trees:
        found = recover(models)
        for node in (model.node for model in models if model.node.parents):
            good, of = right.get(node.made, (0, 0))
            right[node.made] = good + (set(found[node.repo]) == set(node.parents)), of + 1
    return right


def share(right: Mapping[str, tuple[int, int]]) -> float:
    """Of all models, how many have the right parents."""
    return sum(good for good, _ in right.values()) / sum(of for _, of in right.values())


Alike = Mapping[str, tuple[float, float]]


def judge(found: Mapping[str, Scores], alike: Alike) -> Iterator[Row]:
    """The issue's targets."""
    for graph, (own, wards) in alike.items():
        yield at_least(f"{graph}, trees as clusters", own, "adjusted Rand index", 1.0, wards)
    unit, full = "share of edges", found["full"]
    mothers = share(full["MoTHer"])
    yield Row("MoTHer on full", mothers, unit, FAIR[0], None, FAIR[0] <= mothers <= FAIR[1])
    timed = share(full["ours, with times"])
    yield at_least("full, with times", timed, unit, 0.95, mothers)
    yield told("full, with times, above MoTHer", timed - mothers, unit)
    yield at_least("full, without times", share(full["ours, without times"]), unit, 0.89, mothers)
    for graph in ("lora", "ranks"):
        scores = found[graph]
        yield at_least(
            f"{graph}, with times", share(scores["ours, with times"]), unit, 0.95, share(scores["MoTHer"])
        )
        yield told(f"{graph}, as the bot has it", share(scores[BOT]), unit)
    yield at_least("full, as the bot has it", share(full[BOT]), unit, 0.95, mothers)
    yield told("full, as the bot has it, dates lying", share(full[f"{BOT}, dates lying"]), unit)
    good, of = found["mixed"]["ours, with times"]["merge"]
    yield at_least("merges, both parents", good / of, "share of merges", 0.90)
    for kind, (good, of) in found["mixed"]["ours, with times"].items():
        yield told(f"mixed, {kind}", good / of, unit)


def report(recipe: HeritageRecipe, found: Mapping[str, Scores], alike: Alike, rows: Sequence[Row]) -> str:
    """docs/results/trees.md."""
    option = " --held-out" if recipe.name == HELD_OUT.name else ""
    which = "which nothing was chosen on" if option else "which ours was developed on"
    by_graph = [(name, *(share(found[graph][name]) for graph in GRAPHS)) for name in METHODS]
    kinds = list(found["mixed"]["ours, with times"])
    mixed = [
        (name, *(f"{good} of {of}" for good, of in (found["mixed"][name][kind] for kind in kinds)))
        for name in ("ours, with times", BOT, "nearest older", "ours, without times", "MoTHer")
    ]
    return f"""# Is it recovered from weights who descends from whom?

    python -m benchmarks.trees{option}

Graphs of `{recipe.name}` (recipe {recipe.hash}), {which}. {machine()}.
The share of models whose parents are named, all of them and no other; roots are not counted. No card is read.

{table(("method", *GRAPHS), by_graph)}

`full`: fine-tuned in full. `lora`, `ranks`: by LoRAs of one rank, of varying rank, merged in. `mixed`, by how
models were made:

{table(("method", *kinds), mixed)}

Which models are of one tree, as adjusted Rand indexes; Ward's linkage is told how many trees there are:

{table(("graph", "ours", "Ward"), [(graph, *both) for graph, both in alike.items()])}

Where rows are given, so many of each matrix are all that was read. As the bot has it: models come in random
order, each is compared with its nearest by the rows of its fingerprint, and the root is known. With lying
dates a third of all models is said to be of another time than its own. MoTHer knows no times; the graphs
count as fair if it reaches {FAIR[0]} to {FAIR[1]} on `full`.

{verdict(rows)}
"""


if __name__ == "__main__":
    main()
