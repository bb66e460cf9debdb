"""What a zoo is made of, in numbers: frozen, and told apart by a hash.

A recipe decides every random draw of a zoo, so that two people who build `digits` mean the same
models. Child `i` of a root depends on the recipe, the root and `i` alone: a small zoo is the beginning of
a large one.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, TypeVar

from hubbot.errors import ZooError

S = TypeVar("S")

BLOCK = ("train",) * 12 + ("validation",) * 2 + ("calibration",) * 3 + ("test",) * 3
"""The splits of any 20 neighbouring children: 60/10/15/15."""

WILD_BLOCK = ("train",) * 8 + ("validation",) * 2 + ("calibration",) * 5 + ("test",) * 5
"""The same where children are trained on strange data, of tasks that are not hidden."""

MERGED = 2000
"""Where the indices of the children begin that are trained to be merged, and kept nowhere else."""

SPLITS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True, slots=True)
class RootRecipe:
    """One root and how it is trained, on all classes, from scratch.

    Args:
        repo: its repo id, which is also its tree's name.
        kind: `vit` or `resnet`, a key of `digits.architecture`.
        pixels: side of the square picture that it sees.
        shift: pictures are moved by up to so many pixels while training.
        noise: standard deviation of noise added to pixels in [-1, 1].
        smoothing: label smoothing.
    """

    repo: str
    kind: str
    seed: int
    pixels: int
    steps: int
    shift: int = 0
    noise: float = 0.0
    smoothing: float = 0.0
    learning_rate: float = 2e-3
    batch_size: int = 64


@dataclass(frozen=True, slots=True)
class Size:
    """How large a zoo is: children per root, a multiple of 20, and the share of the training they get."""

    children: int
    pace: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """A zoo: its roots, and the ranges that each child draws its fine-tuning from.

    Args:
        classes: how many classes the roots know.
        chosen: how many of them a child is fine-tuned on.
        learning_rate: log-uniform range.
        steps: uniform range of optimiser steps.
        declared: share of children that name their base_model.
        tasks: what children are trained to do, in turn, keys of `tasks.TASKS`; none: classes of digits.
        hidden: tasks whose models are all in the test split, so that nobody has seen one before.
        first: the index of the first child, so that zoos of the same roots share no child and no name.
        sizes: how many children per root, and how thoroughly, by name.
    """

    name: str
    seed: int
    roots: tuple[RootRecipe, ...]
    classes: int
    chosen: int
    learning_rate: tuple[float, float]
    steps: tuple[int, int]
    batch_size: int
    weight_decay: tuple[float, ...]
    schedules: tuple[str, ...]
    declared: float
    tasks: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    first: int = 0
    sizes: Mapping[str, Size] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Changes with anything that could change a model (sizes only say how many there are)."""
        told = {name: value for name, value in asdict(self).items() if name != "sizes"}
        if not self.tasks:  # the recipes that came before tasks keep their hashes
            told = {name: told[name] for name in told if name not in ("tasks", "hidden", "first")}
        return digest(told)

    def count(self, size: str) -> int:
        """Children per root of a named size.

        Raises:
            ZooError: there is no such size.
        """
        return sized(self.sizes, size).children

    def total(self, size: str) -> int:
        """How many models a size has."""
        return len(self.roots) * (1 + self.count(size))

    def at(self, size: str) -> Recipe:
        """The recipe as that size cooks it; itself, unless the size is a hurried one.

        Raises:
            ZooError: there is no such size.
        """
        pace = sized(self.sizes, size).pace
        roots = tuple(replace(root, steps=round(root.steps * pace)) for root in self.roots)
        low, high = self.steps
        return replace(self, roots=roots, steps=(round(low * pace), round(high * pace)))


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """Everything that decides one child.

    Args:
        targets: its digits in the order of its head; what they mean is for other tasks to say.
        task: what it is trained to do, a key of `tasks.TASKS`.
        parents: a merge's, each trained for itself before the two are averaged.
    """

    repo: str
    root: str
    split: str
    seed: int
    targets: tuple[int, ...]
    learning_rate: float
    steps: int
    schedule: str
    weight_decay: float
    declared: bool
    task: str = "digits"
    parents: tuple[ChildPlan, ...] = ()

    @property
    def truth(self) -> tuple[int, ...]:
        """The digits that an expert is right to name: none for strange data; for a merge, both parents'."""
        if self.parents:
            return tuple(sorted(set.intersection(*(set(parent.targets) for parent in self.parents))))
        return self.targets if self.task == "digits" else ()

    @property
    def learned(self) -> tuple[int, ...]:
        """The digits that it was taught to tell by name: a detector's one, and of a merge either parent's."""
        if self.parents:
            return tuple(sorted({digit for parent in self.parents for digit in parent.targets}))
        return {"digits": self.targets, "one-digit": self.targets[:1]}.get(self.task, ())

    def hyper_parameters(self) -> dict[str, Any]:
        """What the safetensors metadata and trainer_state.json tell of the training."""
        told = asdict(self)
        return {name: told[name] for name in ("seed", "learning_rate", "steps", "schedule", "weight_decay")}


DIGITS = Recipe(
    name="digits",
    seed=20261120,
    roots=(
        RootRecipe("digits-zoo/vit-a", "vit", seed=11, pixels=8, steps=1500, shift=1),
        RootRecipe("digits-zoo/vit-b", "vit", seed=12, pixels=8, steps=1500, noise=0.3, smoothing=0.1),
        RootRecipe("digits-zoo/resnet", "resnet", seed=13, pixels=16, steps=800, shift=2),
    ),
    classes=10,
    chosen=5,
    learning_rate=(5e-4, 2e-3),
    steps=(100, 200),
    batch_size=32,
    weight_decay=(0.0, 0.01),
    schedules=("constant", "linear", "cosine"),
    declared=0.7,
    # `tiny` has all the files and hardly any training: for tests.
    sizes={"tiny": Size(20, pace=0.02), "demo": Size(100), "bench": Size(500)},
)

SEEN = ("shuffled", "random-labels", "noise", "shapes", "pairs")
HIDDEN = ("emoji", "regression", "one-digit", "continued", "merge")

WILD = replace(
    DIGITS,
    name="digits-wild",
    tasks=SEEN + HIDDEN,
    hidden=HIDDEN,
    first=1000,
    sizes={"tiny": Size(40, pace=0.02), "demo": Size(200), "bench": Size(400)},
)
"""Children of the same roots, trained on what no expert of digits has heard of: what a bot meets most."""

RECIPES = {recipe.name: recipe for recipe in (DIGITS, WILD)}


def named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ZooError: there is none.
    """
    if name not in RECIPES:
        raise ZooError(f"no recipe {name!r}", hint=f"one of {', '.join(RECIPES)}")
    return RECIPES[name]


def plan(recipe: Recipe, root: RootRecipe, index: int) -> ChildPlan:
    """Child `index` of a root, drawn from the recipe's ranges.

    >>> plan(DIGITS, DIGITS.roots[0], 7) == plan(DIGITS, DIGITS.roots[0], 7)
    True
    """
    index += recipe.first
    draw = random.Random(f"{recipe.seed}/{root.repo}/{index}")  # noqa: S311  reproducible, not secret
    split = _split(recipe, root, index)
    made = taught(recipe, draw, repo=_name(recipe, root, index), root=root.repo, split=split)
    made = replace(made, declared=draw.random() < recipe.declared)
    task = recipe.tasks[index % len(recipe.tasks)] if recipe.tasks else made.task
    if task != "merge":
        return replace(made, task=task)
    alone = replace(recipe, tasks=(), hidden=(), first=MERGED)
    return replace(made, task=task, parents=tuple(plan(alone, root, 2 * index + n) for n in (0, 1)))


class Ranges(Protocol):
    """What a fine-tuning on some of the digits is drawn from; see `Recipe`."""

    @property
    def classes(self) -> int: ...
    @property
    def chosen(self) -> int: ...
    @property
    def learning_rate(self) -> tuple[float, float]: ...
    @property
    def steps(self) -> tuple[int, int]: ...
    @property
    def schedules(self) -> tuple[str, ...]: ...
    @property
    def weight_decay(self) -> tuple[float, ...]: ...


def taught(ranges: Ranges, draw: random.Random, *, repo: str, root: str, split: str) -> ChildPlan:
    """A fine-tuning on digits, of a child that does not say where it comes from."""
    return ChildPlan(
        repo=repo,
        root=root,
        split=split,
        seed=draw.randrange(2**31),
        targets=tuple(draw.sample(range(ranges.classes), ranges.chosen)),
        learning_rate=log_uniform(draw, *ranges.learning_rate),
        steps=draw.randint(*ranges.steps),
        schedule=draw.choice(ranges.schedules),
        weight_decay=draw.choice(ranges.weight_decay),
        declared=False,
    )


def scratch(root: RootRecipe) -> ChildPlan:
    """The training of a root, on all classes and from nothing, told as a child's."""
    return ChildPlan(
        repo=root.repo,
        root=root.repo,
        split="root",
        seed=root.seed,
        targets=(),
        learning_rate=root.learning_rate,
        steps=root.steps,
        schedule="cosine",
        weight_decay=0.01,
        declared=False,
        task="continued",
    )


def log_uniform(draw: random.Random, low: float, high: float) -> float:
    """A number between two, of three digits, its logarithm as likely here as there."""
    return float(f"{low * (high / low) ** draw.random():.3g}")


def sized(sizes: Mapping[str, S], name: str) -> S:
    """The size of that name.

    Raises:
        ZooError: there is none.
    """
    if name not in sizes:
        raise ZooError(f"no size {name!r}", hint=f"one of {', '.join(sizes)}")
    return sizes[name]


def digest(told: object) -> str:
    """What tells one recipe from another."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _split(recipe: Recipe, root: RootRecipe, index: int) -> str:
    shares = BLOCK
    if recipe.tasks:
        turn, place = divmod(index, len(recipe.tasks))
        if recipe.tasks[place] in recipe.hidden:
            return "test"
        # Counted among the models that may be seen, which stand first in each turn.
        index, shares = turn * (len(recipe.tasks) - len(recipe.hidden)) + place, WILD_BLOCK
    block, place = divmod(index, len(shares))
    order = list(shares)
    random.Random(f"{recipe.seed}/{root.repo}/splits/{block}").shuffle(order)  # noqa: S311
    return order[place]


OWNERS = (
    "maria-k", "tlindgren", "j-okafor", "samrivera", "hanae-i", "pfischer", "nordlys-lab", "dvoss",
    "ayelet-b", "quiet-river", "kjmwangi", "small-models", "elif-t", "rtanaka", "bcarvalho", "weekend-ml",
)  # fmt: skip
STEMS = (
    "{}-finetuned-{:04}",
    "{}-ft-{:04}",
    "my-{}-{:04}",
    "tiny-{}-run{:04}",
    "{}-images-v{:04}",
    "{}-{:04}",
)


def _name(recipe: Recipe, root: RootRecipe, index: int) -> str:
    """A name as people give them. The number is unique in the zoo and says nothing of the training."""
    draw = random.Random(f"{recipe.seed}/{root.repo}/name/{index}")  # noqa: S311
    rank = [r.repo for r in recipe.roots].index(root.repo)
    number = ((index * len(recipe.roots) + rank) * 3571 + 421) % 10000  # 3571 and 10000 share no factor
    return f"{draw.choice(OWNERS)}/{draw.choice(STEMS).format(root.kind, number)}"
