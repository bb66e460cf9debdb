"""`hubbot tree list|show|rerun`: the forest and its trees."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, say, settings_of, table
from hubbot.cli.who import admin
from hubbot.errors import UsageError

app = typer.Typer(help="Model trees: all models that descend from one root.", no_args_is_help=True)

Root = Annotated[str, typer.Argument(help="The root that gives the tree its name, owner/name.")]


@app.command("list")
def list_(context: typer.Context, json: AsJson = False) -> None:
    """All trees, with how much of them was read."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        trees = store.trees()
    if json:
        emit(trees)
        return
    rows = [(t.members, t.readings, t.abstentions, t.root, t.expert or "none yet") for t in trees]
    table([">models", ">read", ">no answer", "root", "expert"], rows, empty="no trees yet")


@app.command()
def show(context: typer.Context, root: Root, json: AsJson = False) -> None:
    """The models of one tree, and on what evidence each belongs to it."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        members = store.tree_members(root)
        readings = {reading.repo: reading for reading in store.readings(tree=root)}
    if not members:
        raise UsageError(
            f"no model of a tree {root!r} is recorded", hint="`hubbot tree list` shows the trees"
        )
    if json:
        emit([{"placement": m, "reading": readings.get(m.repo)} for m in members])
        return
    rows = []
    for member in members:
        reading = readings.get(member.repo)
        said = (
            ""
            if reading is None
            else reading.abstention.code
            if reading.abstention
            else ", ".join(p.label for p in reading.recognised)
        )
        rows.append((member.repo, member.parent or "", member.how, said))
    table(["model", "parent", "placed", "trained on, or why there is no answer"], rows, empty="")


@app.command()
def rerun(context: typer.Context, root: Root, json: AsJson = False) -> None:
    """Lead all recorded models of a tree down the path again, for instance after a new expert."""
    outcome = wiring.order(settings_of(context), "tree rerun", {"root": root}, admin())
    emit({"outcome": outcome}) if json else say(outcome)
