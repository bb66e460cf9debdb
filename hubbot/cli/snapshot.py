"""`hubbot snapshot build|push|pull`: what a Space far away reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, say, settings_of, size
from hubbot.errors import SnapshotError, UsageError

app = typer.Typer(help="What has been read, for readers elsewhere.", no_args_is_help=True)


@app.command()
def build(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="The folder; HUBBOT_HOME/snapshots by default.")] = None,
    pictures: Annotated[int, typer.Option(min=0, help="Fetch so many models' pictures and put them in.")] = 0,
    json: AsJson = False,
) -> None:
    """Make a snapshot of the database, while the bot goes on writing, without what strangers must not see.

    The folder keeps the snapshot that is current and those that somebody still reads.
    """
    settings = settings_of(context)
    place, told = wiring.build_snapshot(settings, out or settings.snapshots, pictures)
    if json:
        emit({"folder": str(place), "id": told.id, "bytes": told.total_bytes, "counts": told.counts})
        return
    say(f"{told.counts['uploads']} models in {size(told.total_bytes)}; the snapshot lies in {place}")


@app.command()
def push(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="OWNER/NAME of a dataset; made if it is missing.")],
    folder: Annotated[
        Path | None, typer.Option(help="Where it lies; HUBBOT_HOME/snapshots by default.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="If it is made now.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without, only what would be sent is shown.")
    ] = False,
) -> None:
    """Publish the current snapshot as a dataset on the Hub; a dry run, unless --yes is given."""
    from hubbot.publishing.exchange import push as pushed
    from hubbot.publishing.manifest import of_folder
    from hubbot.publishing.shelf import Shelf, hold

    settings = settings_of(context)
    place = Shelf(folder or settings.snapshots).current()
    if place is None:
        where = str(folder or settings.snapshots)
        raise SnapshotError("there is none here", file=where, hint="`hubbot snapshot build` makes one")
    if not yes:
        told = of_folder(place)
        made = f"made {told.made_at:%Y-%m-%d %H:%M} UTC"
        say(f"{len(told.files)} files, {size(told.total_bytes)}, {made}, for {repo}:")
        say(", ".join(f"{count} {name}" for name, count in told.counts.items()))
        say("nothing was sent; --yes sends it", style="bold")
        return
    with hold(place), wiring.open_hub(settings, patient=True) as hub:
        say(pushed(hub, place, repo, private=private))


@app.command()
def pull(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="OWNER/NAME of a dataset.")],
    out: Annotated[Path | None, typer.Option(help="The folder; one in HUBBOT_HOME by default.")] = None,
    json: AsJson = False,
) -> None:
    """Fetch a snapshot, check every file of it, and put it in force; whoever reads the old one reads on."""
    if not wiring.is_repo(repo):
        raise UsageError(f"{repo!r} is not a repo", hint="a repo is written owner/name")
    settings = settings_of(context)
    place, new = wiring.pull_snapshot(settings, repo, out or wiring.pulled_to(settings, repo))
    if json:
        emit({"folder": str(place), "new": new})
        return
    say(f"{'a new snapshot lies' if new else 'nothing new; the snapshot lies'} in {place}")
