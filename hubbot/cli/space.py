"""`hubbot space publish`: the Space as a repo on the Hub."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import say, settings_of
from hubbot.errors import UsageError

app = typer.Typer(help="The Space on the Hub.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """The Space on the Hub."""


@app.command()
def publish(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="OWNER/NAME of the Space; made if it is missing.")],
    snapshot: Annotated[str, typer.Option(help="The dataset of snapshots that it shows, OWNER/NAME.")] = "",
    private: Annotated[bool, typer.Option("--private", help="If it is made now.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only the files are listed.")] = False,
) -> None:
    """Publish the Space with all of its source and pinned requirements; a dry run, unless --yes is given."""
    from hubbot.publishing.space import files, push

    if snapshot and not wiring.is_repo(snapshot):
        raise UsageError(f"{snapshot!r} is not a repo", hint="a repo is written owner/name")
    if not yes:
        for path in files(snapshot):
            say(path)
        say("nothing was sent; --yes sends it", style="bold")
        return
    with wiring.open_hub(settings_of(context), patient=True) as hub:
        say(push(hub, repo, snapshot, private=private))
