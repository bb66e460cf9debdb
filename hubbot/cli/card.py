"""`hubbot card suggest|queue|outcomes|approve|reject|edit|estimates|open`: what admins see first."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbot import admin
from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, out, plain, say, settings_of, table
from hubbot.cli.ordering import ordered
from hubbot.errors import UsageError
from hubbot.records import Suggestion, SuggestionState

app = typer.Typer(help="Suggestions for model cards.", no_args_is_help=True)

Repo = Annotated[str, typer.Argument(help="The model, written owner/name.")]


@app.command()
def suggest(context: typer.Context, repo: Repo, json: AsJson = False) -> None:
    """Read one model now and show what would be suggested; nothing is recorded or sent."""
    suggestion = admin.draft(repo, settings_of(context))
    emit(suggestion) if json else _show(suggestion)


@app.command()
def queue(
    context: typer.Context,
    state: Annotated[SuggestionState | None, typer.Option(help="Only suggestions in this state.")] = None,
    json: AsJson = False,
) -> None:
    """All suggestions and what became of them."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        suggestions = store.suggestions(state)
    if json:
        emit(suggestions)
        return
    rows = [(s.state, s.repo, s.pull_request or s.reason or s.title) for s in suggestions]
    table(["state", "model", "pull request, reason or title"], rows, empty="no suggestions")


@app.command()
def outcomes(context: typer.Context, json: AsJson = False) -> None:
    """What owners answered: how many pull requests they merged and closed, by tree and by tag."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        found = store.outcomes()
    if json:
        emit(found)
        return
    for what, rows in (("tree", found.by_tree), ("added", found.by_tag)):
        cells = [(o.name or "none", o.merged, o.closed, o.open, _rate(o.accepted)) for o in rows]
        table([what, ">merged", ">closed", ">open", ">accepted"], cells, empty=f"no pull requests, by {what}")
        say()
    said = [(comment.repo, comment.state, comment.text) for comment in found.comments]
    table(["model", "state", "last comment"], said, empty="no comments")


@app.command()
def approve(context: typer.Context, repo: Repo, json: AsJson = False) -> None:
    """Say yes to a draft; `card open` sends it."""
    ordered(context, "card approve", {"repo": repo}, json=json)


@app.command()
def reject(
    context: typer.Context,
    repo: Repo,
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")],
    json: AsJson = False,
) -> None:
    """Say no to a draft; these weights get no other one from this version of the expert."""
    ordered(context, "card reject", {"repo": repo, "reason": reason}, json=json)


@app.command()
def edit(
    context: typer.Context,
    repo: Repo,
    without: Annotated[
        list[str] | None, typer.Option(help="A line to leave out, as in `tags: seven`; may be repeated.")
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="The pull request's title; empty for hubbot's own.")
    ] = None,
    body: Annotated[
        typer.FileText | None, typer.Option(help="A file with its text, - for what is piped in.")
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Start from all that was found, not from what an edit left.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Leave out some of what a draft adds, or word its pull request otherwise."""
    change = {"without": "\n".join(without or ()), "title": title, "body": body.read() if body else None}
    ordered(context, "card edit", {"repo": repo, **change, "anew": anew}, json=json)


@app.command()
def estimates(context: typer.Context, repo: Repo, json: AsJson = False) -> None:
    """Add what was estimated of a model's training to its suggestion, marked as such; never done unasked."""
    ordered(context, "card estimates", {"repo": repo}, json=json)


@app.command("open")
def open_(
    context: typer.Context,
    repo: Repo,
    yes: Annotated[bool, typer.Option("--yes", help="Really open the pull request.")] = False,
    json: AsJson = False,
) -> None:
    """Open the pull request of a suggestion; a dry run that shows it, unless --yes is given."""
    if not yes:
        with wiring.open_store(settings_of(context), read_only=True) as store:
            suggestion = store.suggestion(repo)
        if suggestion is None:
            raise UsageError("no suggestion is recorded", repo=repo, hint="`hubbot card queue` lists them")
        emit(suggestion) if json else _show(suggestion)
        say("dry run: nothing was sent; --yes opens it", style="dim") if not json else None
        return
    ordered(context, "card open", {"repo": repo}, json=json)


def _rate(accepted: float | None) -> str:
    """A count's share, which may be all or none."""
    return "" if accepted is None else f"{accepted:.0%}"


def _show(suggestion: Suggestion) -> None:
    say(f"{suggestion.repo}: {suggestion.state}", style="bold")
    if suggestion.reason:
        say(f"  {suggestion.reason}", style="yellow")
    for line in suggestion.added:
        say(f"  + {line}", style="green")
    if suggestion.title:
        say(f"  title: {suggestion.title}")
        for line in suggestion.body.splitlines():
            out.print("  │ " + plain(line), markup=False)
