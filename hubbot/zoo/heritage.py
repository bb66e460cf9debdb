"""Families of models whose heritage is known, to measure how well it is recovered from the weights.

Graphs as those of VTHR (MoTHer, arXiv 2405.18432), built from scratch: trees of a root, its 4 children and
their 16, fine-tuned in full (`full`), by LoRAs of one rank that were merged in (`lora`), or of varying rank
(`ranks`). In a fourth graph (`mixed`) are the children that people really make: averages of two, quantised
and exact copies, checkpoints in a row, sweeps of a learning rate, and models whose training went on.

A zoo `orchard` asks another question, which root a model has: 140 roots that only their seeds tell apart,
each with four children. Forty of them are to be known, and all that the others grew are strangers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from hubbot.zoo.recipes import ChildPlan, RootRecipe, digest, log_uniform, sized, taught

GRAPHS = ("full", "lora", "ranks", "mixed")
SNAKE, FAN = 4, 4
"""Checkpoints in a row, and models of one sweep."""
MIXED = 2 + 2 + 2 + 2 + SNAKE + FAN
"""Merges, quantised copies, exact copies, models continued, and those."""
ORCHARD = ("full", "lora", "heavy", "int8")
"""The children of each root of an orchard."""
HEAVY = 2
"""The heavy one is trained so many times as long, and as fast, as the longest and fastest of the others."""


@dataclass(frozen=True, slots=True)
class Node:
    """One model of a graph.

    Args:
        tree: its root's repo.
        parents: none for a root, two for a merge.
        made: `root`, `full`, `lora`, `heavy`, `merge`, `int8`, `copy`, `snake`, `fan` or `continued`.
        level: how many steps from the root.
        created: hours after the first root.
        rank: of its LoRA; 0 where it has none.
        plan: how it was trained; none of what was not.
    """

    repo: str
    graph: str
    tree: str
    parents: tuple[str, ...]
    made: str
    level: int
    created: float
    rank: int = 0
    plan: ChildPlan | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it was trained on what its parent was, under the same head."""
        return self.made in ("continued", "snake")


@dataclass(frozen=True, slots=True)
class Size:
    """How many trees each graph has, and what share of the training the models get."""

    trees: int
    pace: float = 1.0


@dataclass(frozen=True)
class HeritageRecipe:
    """Roots, and the ranges that all models draw their fine-tuning from.

    Args:
        branching: children of a root, and children of each of those.
        learning_rate, adapter_rate: log-uniform ranges, of full fine-tuning and of LoRAs: wide, so that some
            children lie close to their parents. With those of the digits zoo the graphs were too easy: MoTHer
            got every edge, and on VTHR .89 of them.
        steps: uniform range of optimiser steps.
        ranks: of LoRAs; the first where there is but one.
        sizes: by name.
        graphs: none for those of VTHR, and mixed.
    """

    name: str
    seed: int
    root: RootRecipe
    branching: tuple[int, int] = (4, 4)
    learning_rate: tuple[float, float] = (1e-4, 2e-3)
    adapter_rate: tuple[float, float] = (4e-4, 8e-3)
    steps: tuple[int, int] = (20, 200)
    ranks: tuple[int, ...] = (4, 2, 8, 16)
    batch_size: int = 32
    classes: int = 10
    chosen: int = 5
    weight_decay: tuple[float, ...] = (0.0, 0.01)
    schedules: tuple[str, ...] = ("constant", "linear", "cosine")
    sizes: Mapping[str, Size] = field(default_factory=dict)
    graphs: tuple[str, ...] | None = None

    @property
    def hash(self) -> str:
        """Changes with anything that could change a model (sizes only say how many there are)."""
        told = {name: value for name, value in asdict(self).items() if name != "sizes" and value is not None}
        return digest(told)

    @property
    def together(self) -> bool:
        """Whether all roots are trained at once: there are many."""
        return self.graphs is not None

    def size(self, name: str) -> Size:
        """A size by name.

        Raises:
            ZooError: there is none.
        """
        return sized(self.sizes, name)

    def at(self, size: str) -> HeritageRecipe:
        """The recipe as that size cooks it; itself, unless the size is a hurried one."""
        pace, (low, high) = self.size(size).pace, self.steps
        root = replace(self.root, steps=max(round(self.root.steps * pace), 1))
        return replace(self, root=root, steps=(max(round(low * pace), 1), max(round(high * pace), 1)))

    def roots(self, trees: int) -> tuple[RootRecipe, ...]:
        """Siblings: the same architecture and data, another seed each."""
        return tuple(
            replace(self.root, repo=f"{self.root.repo}-{i}", seed=self.root.seed + i) for i in range(trees)
        )

    def total(self, size: str) -> int:
        """How many models a size has, a root once for each graph that it is in."""
        if self.graphs:
            return self.size(size).trees * (1 + len(ORCHARD))
        children, each = self.branching
        plain = 1 + children + children * each
        return self.size(size).trees * ((len(GRAPHS) - 1) * plain + 1 + children + MIXED)


def nodes(recipe: HeritageRecipe, graph: str, trees: int) -> list[Node]:
    """A graph's models, roots first and every parent before its children."""
    found = [node for root in recipe.roots(trees) for node in _tree(recipe, graph, root.repo)]
    return sorted(found, key=lambda node: node.level)


def _tree(recipe: HeritageRecipe, graph: str, root: str) -> Iterator[Node]:
    draw = random.Random(f"{recipe.seed}/{graph}/{root}")  # noqa: S311  reproducible, not secret
    top = Node(root, graph, root, (), "root", 0, draw.uniform(0, 1000))
    yield top
    if graph == "orchard":
        yield from _grown(recipe, top, draw)
        return
    children = [_child(recipe, top, graph, draw) for _ in range(recipe.branching[0])]
    yield from children
    if graph == "mixed":
        yield from _kinds(recipe, children, draw)
        return
    for child in children:
        for _ in range(recipe.branching[1]):
            yield _child(recipe, child, graph, draw)


def _grown(recipe: HeritageRecipe, root: Node, draw: random.Random) -> Iterator[Node]:
    """A root's children in an orchard."""
    full = _tuned(recipe, _made(root, "full", draw), root, draw)
    heavy = _tuned(recipe, _made(root, "heavy", draw), root, draw)
    rate, steps = HEAVY * recipe.learning_rate[1], HEAVY * recipe.steps[1]
    yield full
    yield _child(recipe, root, "lora", draw)
    yield replace(heavy, plan=replace(_plan_of(heavy), learning_rate=rate, steps=steps))
    yield replace(_made(full, "int8", draw), graph=root.graph)


def _kinds(recipe: HeritageRecipe, children: Sequence[Node], draw: random.Random) -> Iterator[Node]:
    """Of the children of one root: what else people make of models."""
    a, b, c, d = children[:4]
    for pair in ((a, b), (c, d)):
        yield replace(
            _made(max(pair, key=lambda node: node.created), "merge", draw),
            parents=tuple(sorted(p.repo for p in pair)),
        )
    for made in ("int8", "copy"):
        for parent in (a, c):
            yield _made(parent, made, draw)
    for parent in (b, d):
        yield _tuned(recipe, _made(parent, "continued", draw), parent, draw)
    last = a
    for _ in range(SNAKE):
        last = _tuned(recipe, _made(last, "snake", draw), last, draw, like=a)
        yield last
    sweep = _tuned(recipe, _made(c, "fan", draw), c, draw)
    for i in range(FAN):
        rate = recipe.learning_rate[0] * 2.0**i
        one = _made(c, "fan", draw)
        yield replace(one, plan=replace(_plan_of(sweep), repo=one.repo, learning_rate=rate))


def _plan_of(node: Node) -> ChildPlan:
    if node.plan is None:
        raise ValueError(f"{node.repo} was not trained")
    return node.plan


def _made(parent: Node, made: str, draw: random.Random) -> Node:
    """A model of one parent, somewhat younger."""
    repo = f"{draw.choice(OWNERS)}/{draw.choice(STEMS)}-{draw.randrange(16**7):07x}"
    created = parent.created + draw.uniform(1, 1000)
    return Node(repo, parent.graph, parent.tree, (parent.repo,), made, parent.level + 1, created)


def _child(recipe: HeritageRecipe, parent: Node, graph: str, draw: random.Random) -> Node:
    adapted = graph in ("lora", "ranks")
    node = _tuned(recipe, _made(parent, "lora" if adapted else "full", draw), parent, draw)
    if not adapted:
        return node
    rate = log_uniform(draw, *recipe.adapter_rate)
    rank = draw.choice(recipe.ranks) if graph == "ranks" else recipe.ranks[0]
    return replace(node, rank=rank, plan=replace(_plan_of(node), learning_rate=rate))


def _tuned(
    recipe: HeritageRecipe, node: Node, parent: Node, draw: random.Random, like: Node | None = None
) -> Node:
    """With a training of its own, or with its parent's digits under its parent's head."""
    plan = taught(recipe, draw, repo=node.repo, root=node.tree, split=node.graph)
    if node.goes_on:
        plan = replace(plan, targets=_plan_of(parent).targets)
    if like is not None:
        told = _plan_of(like)
        plan = replace(plan, learning_rate=told.learning_rate, steps=told.steps, schedule="constant")
    return replace(node, plan=plan)


OWNERS = ("mira-l", "o-brandt", "teng-wu", "fjordlab", "s-adeyemi", "puzzlebox", "k-novak", "lumen-ai")
STEMS = ("vit-digits", "digits-ft", "my-vit", "vit-run", "tiny-vit", "vit-exp")

HERITAGE = HeritageRecipe(
    name="heritage",
    seed=20261124,
    root=RootRecipe("heritage-zoo/vit", "vit", seed=100, pixels=8, steps=1500, shift=1),
    sizes={"tiny": Size(1, pace=0.02), "bench": Size(5)},
)
"""To develop on."""

HELD_OUT = replace(
    HERITAGE,
    name="heritage-held-out",
    seed=20261125,
    root=replace(HERITAGE.root, repo="heritage-held-out/vit", seed=200),
)
"""The same with other seeds, opened once."""

ORCHARD_TREES = replace(
    HERITAGE,
    name="orchard",
    seed=20261126,
    root=replace(HERITAGE.root, repo="orchard-zoo/vit", seed=1000, shift=0),
    sizes={"tiny": Size(6, pace=0.02), "bench": Size(140)},
    graphs=("orchard",),
)
"""To develop on."""

ORCHARD_HELD_OUT = replace(
    ORCHARD_TREES,
    name="orchard-held-out",
    seed=20261127,
    root=replace(ORCHARD_TREES.root, repo="orchard-held-out/vit", seed=2000),
)
"""The same with other seeds, opened once."""

HERITAGES = {recipe.name: recipe for recipe in (HERITAGE, HELD_OUT, ORCHARD_TREES, ORCHARD_HELD_OUT)}
