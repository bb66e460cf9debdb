"""`hubbot zoo build RECIPE`: models trained on known data, to train and to test experts on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubbot.cli.console import AsJson, emit, say

app = typer.Typer(help="Model zoos, laid out as Model-J is.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Model zoos, laid out as Model-J is."""


@app.command()
def build(
    recipe: Annotated[str, typer.Argument(help="Which zoo, e.g. digits.")],
    size: Annotated[str, typer.Option(help="tiny, demo or bench.")] = "tiny",
    out: Annotated[Path | None, typer.Option(help="Its folder; zoos/RECIPE by default.")] = None,
    json: AsJson = False,
) -> None:
    """Build a zoo, or go on where an earlier build was stopped."""
    from hubbot.training import build_zoo

    folder = out or Path("zoos") / recipe
    zoo = build_zoo(recipe, size, folder, progress=not json)
    told = {"recipe": zoo.recipe, "size": zoo.size, "recipe_hash": zoo.recipe_hash, "folder": str(folder)}
    emit(told) if json else say(f"the zoo {zoo.recipe} of size {zoo.size} is in {folder}")
