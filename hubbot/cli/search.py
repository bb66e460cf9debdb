"""`hubbot search TEXT`: find models by saying what you want; `hubbot index`: so that it stays quick."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.app import LANGUAGE
from hubbot.cli.console import AsJson, emit, percent, say, settings_of, table


def search(
    context: typer.Context,
    text: Annotated[
        str, typer.Argument(help=f"What the model should know, e.g. 'a handwritten seven'. {LANGUAGE}")
    ],
    tree: Annotated[str | None, typer.Option(help="Only models of this root.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    json: AsJson = False,
) -> None:
    """Find models by what they were trained on."""
    library = wiring.library_of(settings_of(context))
    answer = library.search(text, tree=tree, limit=limit)
    concepts = "  ".join(f"{facet.tag} {facet.models}" for facet in answer.facets)
    if json:
        emit(answer)
        return
    if not answer.hits:
        say(answer.note or "nothing certain was found")
        return
    if answer.note:
        say(answer.note, style="dim")
    if concepts:
        say(f"in so many models: {concepts}", style="dim")
    rows = [
        (
            percent(hit.score),
            hit.repo,
            hit.tree,
            ", ".join(f"{p.label} {percent(p.probability)}" for p in hit.because),
        )
        for hit in answer.hits
    ]
    table([">fits", "model", "tree", "because it was trained on"], rows, empty="")


def index(context: typer.Context, json: AsJson = False) -> None:
    """Make the search index anew beside the database; a running bot does so by itself when it is time."""
    models = wiring.build_index(settings_of(context))
    emit({"models": models}) if json else say(f"{models:,} models are in the index")
