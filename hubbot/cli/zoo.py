"""`hubbot zoo build RECIPE`: models trained on known data, to train and to test experts on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubbot.cli.console import AsJson, emit, say, settings_of, size, table
from hubbot.errors import UsageError

app = typer.Typer(help="Model zoos, laid out as Model-J is.", no_args_is_help=True)


@app.command()
def build(
    recipe: Annotated[str, typer.Argument(help="Which zoo, e.g. digits.")],
    size: Annotated[str, typer.Option(help="tiny, demo or bench.")] = "tiny",
    out: Annotated[Path | None, typer.Option(help="Its folder; zoos/RECIPE by default.")] = None,
    json: AsJson = False,
) -> None:
    """Build a zoo, or go on where an earlier build was stopped."""
    from hubbot.training.zoos import build_zoo

    folder = out or Path("zoos") / recipe
    zoo = build_zoo(recipe, size, folder, progress=not json)
    told = {"recipe": zoo.recipe, "size": zoo.size, "recipe_hash": zoo.recipe_hash, "folder": str(folder)}
    emit(told) if json else say(f"the zoo {zoo.recipe} of size {zoo.size} is in {folder}")


@app.command("slice")
def slice_(
    zoo: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The zoo's folder.")],
    out: Annotated[Path, typer.Option(help="Where the slice goes.")],
    per_root: Annotated[int, typer.Option(min=1, help="Children of each root.")] = 13,
    concepts: Annotated[str, typer.Option(help="One child of each of these instead, by commas.")] = "",
    json: AsJson = False,
) -> None:
    """Copy the roots and a few test children in several dtypes, as the demo ships them."""
    from hubbot.training.zoos import slice_zoo

    names = [name.strip() for name in concepts.split(",") if name.strip()]
    count = slice_zoo(zoo, out, per_root, names)
    emit({"models": count, "folder": str(out)}) if json else say(f"{count} models are in {out}")


@app.command()
def shelves(
    context: typer.Context,
    clear: Annotated[str, typer.Option(help="Remove the one of this name, or `all`.")] = "",
    json: AsJson = False,
) -> None:
    """The layers of far zoos that lie on this disk, so that no training reads them twice."""
    from hubbot.training.shelf import clear as remove
    from hubbot.training.shelf import shelves as on_disk

    found = {folder.name: (folder, taken) for folder, taken in on_disk(settings_of(context).shelves).items()}
    if clear and clear != "all" and clear not in found:
        raise UsageError(f"there is no shelf {clear!r}", hint=f"there are {', '.join(found) or 'none'}")
    for name in found if clear == "all" else [clear] if clear else []:
        remove(found.pop(name)[0])
        say(f"{name} was removed")
    if json:
        emit({name: taken for name, (_, taken) in found.items()})
        return
    rows = [(name, size(taken), folder) for name, (folder, taken) in found.items()]
    table(["shelf", ">bytes", "folder"], rows, empty="no shelves")
