"""`hubbot upload retry REPO`: one upload down the path again."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, say, settings_of
from hubbot.cli.who import admin

WAIT_S = 60.0
"""For a running bot; it carries the order out all the same."""

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
    outcome = wiring.order(settings_of(context), "upload retry", {"repo": repo}, admin(), wait_s=WAIT_S)
    emit({"outcome": outcome}) if json else say(outcome)
