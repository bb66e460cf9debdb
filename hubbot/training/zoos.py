"""A recipe becomes models in folders, and a few of them become the demo's slice."""

from __future__ import annotations

from pathlib import Path

from hubbot.training.desk import progress_bar
from hubbot.zoo.layout import Zoo, open_zoo
from hubbot.zoo.recipes import named


def build_zoo(recipe: str, size: str, folder: Path, *, progress: bool = True) -> Zoo:
    """Build a zoo, or finish one that was begun.

    Raises:
        ZooError: there is no such recipe or size.
    """
    from hubbot.zoo.build import build

    made = named(recipe)
    total = len(made.roots) * (made.count(size) + 1)
    with progress_bar(progress) as bar:
        task = bar.add_task(f"zoo {recipe}", total=total)

        def advance(count: int, root: str) -> None:
            bar.update(task, advance=count, description=root)

        return build(made, size, folder, advance)


def slice_zoo(zoo: Path, out: Path, per_root: int = 13) -> int:
    """Copy a few test-split models of a zoo, for the demo's Hub; how many models that makes.

    Raises:
        ZooError: there is no such zoo, or its test split is too small.
    """
    from hubbot.zoo.slicing import slice_zoo as copy

    return len(copy(open_zoo(zoo), out, per_root))
