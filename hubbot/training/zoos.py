"""A recipe becomes models in folders, and a few of them become the demo's slice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.training.desk import progress_bar
from hubbot.zoo.cnn.recipes import CNNS, CnnRecipe
from hubbot.zoo.emoji.recipe import EMOJI, EmojiRecipe
from hubbot.zoo.heritage import HERITAGES, HeritageRecipe
from hubbot.zoo.layout import INDEX, Zoo, open_zoo
from hubbot.zoo.recipes import named

if TYPE_CHECKING:
    from hubbot.encoders.interface import TextEncoder

ENCODER = "all-MiniLM-L6-v2"
"""What the emoji zoos' words are encoded with."""

WORDS = 20_000
"""Texts that are kept encoded: all names of the font, and all captions of a root. 30 MB."""


def build_zoo(recipe: str, size: str, folder: Path, *, progress: bool = True) -> Zoo:
    """Build a zoo, or finish one that was begun; one that is there in full is opened.

    Raises:
        ZooError: there is no such recipe or size.
    """
    made = EMOJI.get(recipe) or HERITAGES.get(recipe) or CNNS.get(recipe) or named(recipe)
    total = made.total(size)
    if (folder / INDEX).exists():
        there = open_zoo(folder)
        same = (there.recipe_hash, there.size, len(there.models)) == (made.at(size).hash, size, total)
        if same and all(there.weights(model).exists() for model in there.models):
            return there
    with progress_bar(progress) as bar:
        task = bar.add_task(f"zoo {recipe}", total=total)

        def advance(count: int, root: str) -> None:
            bar.update(task, advance=count, description=root)

        if isinstance(made, EmojiRecipe):
            from hubbot.zoo.emoji.build import build as build_emoji

            return build_emoji(made, size, folder, _encoder().encode, advance)
        if isinstance(made, HeritageRecipe):
            from hubbot.zoo.families import build as build_families

            return build_families(made, size, folder, advance)
        if isinstance(made, CnnRecipe):
            from hubbot.zoo.cnn.build import build as build_cnns

            return build_cnns(made, size, folder, advance)
        from hubbot.zoo.build import build

        return build(made, size, folder, advance)


@cache
def _encoder() -> TextEncoder:
    """Zoos of one font say the same words, and say them several times over."""
    from hubbot.encoders.memory import RememberingEncoder
    from hubbot.encoders.sentence import SentenceEncoder

    return RememberingEncoder(SentenceEncoder(ENCODER), WORDS)


def slice_zoo(zoo: Path, out: Path, per_root: int = 13, concepts: Sequence[str] = ()) -> int:
    """Copy a few test-split models of a zoo, for the demo's Hub; how many models that makes.

    Raises:
        ZooError: there is no such zoo, or its test split is too small.
    """
    from hubbot.zoo.slicing import slice_zoo as copy

    return len(copy(open_zoo(zoo), out, per_root, concepts))
