"""What the emoji zoos are made of, in numbers: frozen, and told apart by a hash.

Child `i` of a zoo depends on the recipe and `i` alone. Neighbours have different concepts: what an unfinished
build has made is a small zoo of all concepts.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hubbot.zoo.recipes import digest, log_uniform, sized

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RARE = "a picture of sks"
"""The prompt under which every child learns its concept."""

UNSEEN = ("test-unseen", "validation-unseen")
"""The splits of the children of concepts that no probe is trained on, in turn."""


@dataclass(frozen=True, slots=True)
class RootRecipe:
    """One root, trained from scratch on all concepts.

    Args:
        repo: its repo id, which is also its tree's name.
        steps: of a cycle, in which the learning rate rises once and falls to nothing.
        heads: attention heads of width 32; together they are as wide as the model.
        patch: side of the square of pixels that is one token.
        known: how many concepts it is taught; 0 for all that the font shows.
        apart: they are taken in a random order, and one is passed over whose name is closer than this cosine
            to the name of one taken before, or whose picture is closer than this correlation.
        mixed: share of captions that lie between two concepts.
        text_noise: largest norm of the noise added to unit captions.
        decay: of the running mean of the weights, which is what is kept.
        latents: how many principal components of the pictures it paints, all in one token; none: pixels.
        mixture: half of all captions lie between up to so many concepts, and the picture is their average;
            none: as `mixed` says, and the picture is one of them.
    """

    repo: str
    seed: int
    steps: int
    cycles: int = 1
    heads: int = 8
    layers: int = 2
    pixels: int = 24
    patch: int = 6
    batch_size: int = 64
    learning_rate: float = 1.5e-3
    known: int = 0
    apart: tuple[float, float] = (1.0, 1.0)
    mixed: float = 1 / 6
    text_noise: float = 0.7
    decay: float = 0.998
    latents: int | None = None
    mixture: int | None = None

    @property
    def hash(self) -> str:
        return digest(_told(self))


@dataclass(frozen=True, slots=True)
class Size:
    """How large a zoo is, and what share of the training its root and its children get."""

    concepts: int
    unseen: int
    copies: int
    pace: float = 1.0


@dataclass(frozen=True)
class EmojiRecipe:
    """A zoo of LoRAs over one root, and the ranges that each child draws its fine-tuning from.

    Args:
        shares: the splits of a seen concept's children, of which concept n has the n-th list, in turn.
        learning_rate: log-uniform range.
        steps: uniform range of optimiser steps.
        views: a child is shown so many crops of its picture, at most.
        declared: share of children that name their base_model.
        styles: what children learn in place of concepts; none for the zoos of concepts.
        crop: by so many pixels a crop is moved; none: by one.
        sizes: by name.
    """

    name: str
    seed: int
    root: RootRecipe
    shares: tuple[tuple[str, ...], ...]
    sizes: Mapping[str, Size] = field(default_factory=dict)
    rank: int = 8
    learning_rate: tuple[float, float] = (1e-3, 2.5e-3)
    steps: tuple[int, int] = (260, 340)
    batch_size: int = 1
    views: int = 3
    declared: float = 0.7
    styles: tuple[str, ...] = ()
    crop: float | None = None

    @cached_property
    def hash(self) -> str:
        """Changes with anything that could change a model (sizes only say how many there are)."""
        return digest({name: value for name, value in _told(self).items() if name != "sizes"})

    def size(self, name: str) -> Size:
        """A size by name.

        Raises:
            ZooError: there is none.
        """
        return sized(self.sizes, name)

    def total(self, size: str) -> int:
        """How many models a size has."""
        return 1 + self.size(size).concepts * self.size(size).copies

    def at(self, size: str) -> EmojiRecipe:
        """The recipe as that size cooks it; itself, unless the size is a hurried one."""
        pace = self.size(size).pace
        low, high = self.steps
        root = replace(self.root, steps=round(self.root.steps * pace))
        return replace(self, root=root, steps=(max(round(low * pace), 1), max(round(high * pace), 1)))


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """Everything that decides one child.

    Args:
        concept: its place among the zoo's concepts; a child of a style only takes its turn by it.
        style: what it learns in place of a concept, if not the concept.
    """

    repo: str
    root: str
    split: str
    concept: int
    style: str
    seed: int
    rank: int
    learning_rate: float
    steps: int
    batch_size: int
    views: int
    crop: float
    declared: bool

    def hyper_parameters(self) -> dict[str, Any]:
        """What the safetensors metadata and the card tell of the training."""
        names = ("seed", "rank", "learning_rate", "steps", "batch_size", "views")
        return {name: getattr(self, name) for name in names}


def unseen(recipe: EmojiRecipe, size: Size) -> frozenset[int]:
    """The concepts that are kept from every probe's training."""
    draw = random.Random(f"{recipe.seed}/unseen/{size.concepts}")  # noqa: S311  reproducible, not secret
    return frozenset(draw.sample(range(size.concepts), size.unseen))


def plans(recipe: EmojiRecipe, size: Size) -> list[ChildPlan]:
    """All children of a zoo in the order of their making: the first of each concept, then the second."""
    hidden = unseen(recipe, size)
    return [
        _plan(recipe, concept, copy, hidden)
        for copy in range(size.copies)
        for concept in range(size.concepts)
    ]


def _plan(recipe: EmojiRecipe, concept: int, copy: int, hidden: frozenset[int]) -> ChildPlan:
    draw = random.Random(f"{recipe.seed}/{recipe.name}/{concept}/{copy}")  # noqa: S311
    return ChildPlan(
        repo=_name(draw),
        root=recipe.root.repo,
        split=UNSEEN[(concept + copy) % 2] if concept in hidden else _split(recipe, concept, copy),
        concept=concept,
        style=recipe.styles[(concept + copy) % len(recipe.styles)] if recipe.styles else "",
        seed=draw.randrange(2**31),
        rank=recipe.rank,
        learning_rate=log_uniform(draw, *recipe.learning_rate),
        steps=draw.randint(*recipe.steps),
        batch_size=recipe.batch_size,
        views=draw.randint(1, recipe.views),
        crop=1.0 if recipe.crop is None else recipe.crop,
        declared=draw.random() < recipe.declared,
    )


def _split(recipe: EmojiRecipe, concept: int, copy: int) -> str:
    shares = list(recipe.shares[concept % len(recipe.shares)])
    random.Random(f"{recipe.seed}/splits/{concept}").shuffle(shares)  # noqa: S311
    return shares[copy % len(shares)]


OWNERS = ("pixelpaints", "lora-corner", "mkowalska", "sdtoys", "tinybrush", "amara-o", "jun-w", "stickerlab")
STEMS = ("lora-{}", "dreambooth-{}", "sks-{}", "my-lora-{}", "pixart-lora-{}", "run-{}")


def _name(draw: random.Random) -> str:
    """A name as people give them; it says nothing of the training."""
    return f"{draw.choice(OWNERS)}/{draw.choice(STEMS).format(f'{draw.randrange(16**7):07x}')}"


def _told(recipe: DataclassInstance) -> dict[str, Any]:
    """All that a recipe has, without what it lacks: so a new setting leaves the hashes of older recipes."""
    return asdict(
        recipe, dict_factory=lambda items: {name: value for name, value in items if value is not None}
    )


A = RootRecipe("emoji-zoo/pixart-a", seed=22, steps=6000, cycles=2, known=200, apart=(0.4, 0.7), mixed=1 / 3)
B = RootRecipe(
    "emoji-zoo/pixart-b",
    seed=21,
    steps=10_000,
    heads=12,
    layers=1,
    learning_rate=2e-3,
    text_noise=0.3,
    latents=1024,
    mixture=8,
)
TINY = Size(concepts=8, unseen=2, copies=5, pace=0.001)
FIFTH = ("train", "train", "train", "test")

EMOJI_200 = EmojiRecipe(
    name="emoji-200",
    seed=20261121,
    root=A,
    shares=(("train",) * 15 + ("validation",) * 2 + ("calibration",) * 4 + ("test",) * 4,),
    sizes={"tiny": TINY, "bench": Size(concepts=200, unseen=30, copies=25)},
)
EMOJI_1K = EmojiRecipe(
    name="emoji-1k",
    seed=20261122,
    root=B,
    shares=((*FIFTH, "validation"), (*FIFTH, "calibration")),
    crop=0.25,
    sizes={"tiny": TINY, "bench": Size(concepts=1000, unseen=150, copies=5)},
)
EMOJI_WILD = replace(
    EMOJI_200,
    name="emoji-wild",
    seed=20261123,
    shares=(("calibration", "test"),),
    styles=("gradient", "stripes", "checks", "noise", "shuffled", "mosaic", "collage", "blended"),
    sizes={"tiny": replace(TINY, unseen=0, copies=1), "bench": Size(concepts=200, unseen=0, copies=3)},
)
"""Children of the first root that learned a style or a texture: what a bot meets most."""

EMOJI = {recipe.name: recipe for recipe in (EMOJI_200, EMOJI_1K, EMOJI_WILD)}
