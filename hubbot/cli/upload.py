"""`hubbot upload retry REPO`: one upload down the path again."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbot.cli.console import AsJson
from hubbot.cli.ordering import ordered

app = typer.Typer(help="Uploads on their way.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Uploads on their way."""


@app.command()
def retry(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="The model, written owner/name.")],
    json: AsJson = False,
) -> None:
    """Lead one upload down the path again now, at its present commit, even if it was given up."""
    ordered(context, "upload retry", {"repo": repo}, json=json)
