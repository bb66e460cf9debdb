"""`hubbot tree list|show|why|add|rerun|export`: the forest and its trees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree as Drawing

from hubbot import admin
from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, out, plain, say, settings_of, table
from hubbot.cli.ordering import ordered
from hubbot.cli.tell import show_placement
from hubbot.errors import UsageError
from hubbot.records import How, Placement, Reading

app = typer.Typer(help="Model trees: all models that descend from one root.", no_args_is_help=True)

Root = Annotated[str, typer.Argument(help="The root that gives the tree its name, owner/name.")]
SHORT = {How.BOTH: "declared, confirmed", How.CONFLICT: "in conflict"}
MANY = 200
"""Models that are drawn; more fill no screen."""


@app.command("list")
def list_(context: typer.Context, json: AsJson = False) -> None:
    """All trees, with how much of them was read; then the roots that may be missing."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        trees, families = store.trees(), store.families()
    if json:
        emit({"trees": trees, "proposed": families})
        return
    rows = [(t.members, t.readings, t.abstentions, t.root, t.expert or "none yet") for t in trees]
    table([">models", ">read", ">no answer", "root", "expert"], rows, empty="no trees yet")
    for family in families:
        say(
            f"{family.members} unplaced models resemble one another, the oldest is {family.oldest}: "
            f"`hubbot tree add {family.oldest}` if it is their root"
        )


@app.command()
def show(context: typer.Context, root: Root, json: AsJson = False) -> None:
    """A tree, drawn from its root: how each model was placed, and what it was trained on."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        members = {member.repo: member for member in store.tree_members(root)}
        readings = {reading.repo: reading for reading in store.readings(tree=root)}
    if not members:
        raise UsageError(
            f"no model of a tree {root!r} is recorded", hint="`hubbot tree list` shows the trees"
        )
    if json:
        emit([{"placement": m, "reading": readings.get(m.repo)} for m in members.values()])
        return
    out.print(_drawn(root, members, readings))
    if len(members) > MANY:
        say(f"and {len(members) - MANY} models more: `hubbot tree export` gives them all")


@app.command()
def why(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="The model, written owner/name.")],
    json: AsJson = False,
) -> None:
    """Why a model stands where it does: its way up to the root, and every piece of evidence."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        placement = store.placement(repo)
        if placement is None:
            raise UsageError(f"{repo!r} was never placed", hint="`hubbot tell` looks at a model on the Hub")
        way = [placement]
        while (parent := way[-1].parent) and parent not in {step.repo for step in way}:
            above = store.placement(parent)
            if above is None:
                break
            way.append(above)
    if json:
        emit({"placement": placement, "way": [step.repo for step in way]})
        return
    last = way[-1].parent
    ends = [last] if last and last not in {step.repo for step in way} else []
    say(" → ".join([*(step.repo for step in way), *ends]), style="bold")
    if placement.others:
        say(f"  a merge   with {', '.join(placement.others)}")
    show_placement(placement)


@app.command()
def add(context: typer.Context, root: Root, json: AsJson = False) -> None:
    """Know a root by its weights from now on, and place whoever descends from it."""
    ordered(context, "tree add", {"root": root}, json=json)


@app.command()
def rerun(
    context: typer.Context,
    root: Root,
    since: Annotated[
        str | None, typer.Option(metavar="<date>", help="Only what was modified on that day or later.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="<str>", help="failed: where a fault stood in the way; abstained: no answer."),
    ] = None,
    expert: Annotated[
        str | None,
        typer.Option(
            metavar="<version>", help="Only what this version of its expert, which must answer, has not read."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="<int>", help="So many at most.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show which, and do nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Lead all recorded models of a tree down the path again, for instance after a new expert."""
    chosen = {"root": root, "since": since, "only": only, "expert": expert, "limit": limit}
    args = {name: value for name, value in chosen.items() if value is not None}
    if dry_run:
        repos = admin.chosen(settings_of(context), args)
        if json:
            emit({"repos": repos})
            return
        for repo in repos[:MANY]:
            say(f"  {repo}")
        say(f"{len(repos)} uploads of {root} would be led down the path again; nothing was done")
        return
    ordered(context, "tree rerun", args, json=json, progress="led again")


@app.command()
def export(
    context: typer.Context,
    root: Annotated[str, typer.Argument(help="A tree's root; the whole forest by default.")] = "",
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="<str>", help="graphml, json or dot.")
    ] = "graphml",
    to: Annotated[
        Path | None, typer.Option("--out", metavar="<path>", help="A file; by default it is printed.")
    ] = None,
) -> None:
    """A tree, or the forest, as a graph for other programs."""
    text = admin.export_trees(settings_of(context), root or None, form)
    if to is None:
        typer.echo(text, nl=False)
        return
    to.write_text(text, encoding="utf-8")
    say(f"written to {to}")


def _drawn(root: str, members: Mapping[str, Placement], readings: Mapping[str, Reading]) -> Drawing:
    """Every model below its first parent; below the root, who is reached from no other."""
    children: dict[str, list[str]] = {}
    for repo, member in members.items():
        above = member.parent if member.parent in members else root
        children.setdefault(above or root, []).append(repo)
    drawn, left = {root}, MANY
    trunk = Drawing(_line(root, members.get(root), readings))

    def grow(branch: Drawing, repos: Iterable[str]) -> None:
        nonlocal left
        for repo in repos:
            if repo not in drawn and left:
                drawn.add(repo)
                left -= 1
                grow(branch.add(_line(repo, members[repo], readings)), children.get(repo, ()))

    grow(trunk, children.get(root, ()))
    grow(trunk, members)  # whoever is left, since its parents run in a circle
    return trunk


def _line(repo: str, member: Placement | None, readings: Mapping[str, Reading]) -> Text:
    reading, merge = readings.get(repo), ""
    if member and member.others:
        merge = f" with {', '.join(member.others)}"
    said = (
        ""
        if reading is None
        else reading.abstention.code
        if reading.abstention
        else ", ".join(p.label for p in reading.recognised)
    )
    how = SHORT.get(member.how, member.how.value) if member else "not noticed"
    return Text.assemble(
        plain(repo + merge), (f"  {how}", "dim"), (f"  {plain(said)}" if said else "", "green")
    )
