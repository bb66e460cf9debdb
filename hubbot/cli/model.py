"""`hubbot model show REPO`: everything that is recorded of a model."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, say, settings_of
from hubbot.cli.tell import show_judgements, show_placement, show_reading
from hubbot.errors import UsageError

app = typer.Typer(help="Models that the bot has met.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Models that the bot has met."""


@app.command()
def show(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="The model, written owner/name.")],
    json: AsJson = False,
) -> None:
    """Upload, placement, reading and suggestion as they stand in the database."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        known = next(iter(store.several([repo])), None)
    if known is None:
        raise UsageError(
            "the bot has not met this model",
            repo=repo,
            hint=f"`hubbot tell {repo}` reads it without recording",
        )
    if json:
        emit(known)
        return
    upload, suggestion = known.upload, known.suggestion
    say(upload.repo, style="bold")
    say(f"  commit    {upload.commit}, modified {upload.modified_at:%Y-%m-%d %H:%M} UTC")
    if known.placement:
        show_placement(known.placement)
    if known.reading:
        show_reading(known.reading)
    show_judgements(known.judgements)
    if suggestion:
        became = suggestion.pull_request or suggestion.reason or suggestion.title
        say(f"  suggested {suggestion.state}: {became}")
        for line in suggestion.added:
            say(f"            + {line}", style="green")
