"""`hubbot demo`: the whole path on a loopback Hub, told to a stranger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubbot.cli.console import AsJson, emit, out, percent, say, size, table
from hubbot.cli.tally import Tally
from hubbot.records import How, Judgement, Reading, SuggestionState

if TYPE_CHECKING:
    from hubbot.demo.run import Outcome


def demo(
    folder: Annotated[Path, typer.Option("--dir", help="Where the demo's Hub and database lie.")] = Path(
        "demo"
    ),
    headless: Annotated[
        bool, typer.Option("--headless", help="Stop after the summary, without the Space.")
    ] = False,
    port: Annotated[int, typer.Option(help="The Space's port; 0 takes a free one.")] = 7860,
    json: AsJson = False,
) -> None:
    """Run the bot over a small Hub on loopback, then open the Space on what it found."""
    from hubbot.demo import run as story

    folder = folder.resolve()
    tally = Tally()
    if not json:
        say("a Hub with a few dozen models starts on loopback; nothing leaves this machine", style="dim")
    with story.hub(folder) as server:
        with tally.progress(out, quiet=json):
            outcome = story.run(folder, server.endpoint, watch=tally)
        if not json:
            _tell(outcome)
        if json:
            emit({**outcome.counts, "seconds": outcome.seconds, "database": str(outcome.database)})
        if not headless:
            _open_space(outcome.database, server.endpoint, port)


def _open_space(database: Path, endpoint: str, port: int) -> None:
    say()
    say("the Space starts; stop it with Ctrl-C", style="bold")
    command = [sys.executable, "-m", "space", "--database", str(database), "--port", str(port)]
    with subprocess.Popen(command, env={**os.environ, "HUBBOT_ENDPOINT": endpoint}) as space:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: space.terminate())
        space.wait()


def _tell(outcome: Outcome) -> None:
    c = outcome.counts
    say()
    say(f"{c['uploads']} uploads were noticed and placed into {c['trees']} trees:", style="bold")
    say(
        f"  {c['placed_declared']:>4} as their card declares, {c['placed_recovered']} by their weights alone,"
    )
    say(f"  {c['unplaced']:>4} belong to no tree that could be found")
    _tell_trees(outcome)
    say()
    share = c["bytes_read"] / max(1, c["bytes_stored"])
    answers = [reading for reading in outcome.readings if not reading.abstention]
    tensors = sum(len(reading.tensors_read) for reading in answers)
    held = sum(reading.stored_tensors for reading in answers)
    say(f"{c['readings']} models were read:", style="bold")
    say(f"  {tensors} tensors out of {held} that their files hold,")
    say(f"  {size(c['bytes_read'])} out of {size(c['bytes_stored'])} ({share:.1%}), headers included")
    _tell_readings(answers)
    say()
    _tell_judgements(outcome.judgements)
    say()
    say(f"{c['abstentions']} got no answer, each for a reason:", style="bold")
    table(
        ["model", "why"],
        [(r.repo, r.abstention.text.removeprefix(f"{r.repo}: ")) for r in outcome.readings if r.abstention],
        empty="",
    )
    say()
    _tell_suggestions(outcome)
    say()
    say(f"done in {outcome.seconds:.0f} s; everything is recorded in {outcome.database}")


def _tell_trees(outcome: Outcome) -> None:
    trees: dict[str, Counter[str]] = {}
    for placement in outcome.placements:
        if placement.tree:
            trees.setdefault(placement.tree, Counter())[placement.how] += 1
    rows = [
        (
            tree,
            hows.total(),
            hows[How.DECLARED] + hows[How.ROOT],
            hows[How.BOTH],
            hows[How.RECOVERED],
            hows[How.CONFLICT],
        )
        for tree, hows in sorted(trees.items())
    ]
    columns = [
        "tree",
        ">models",
        ">declared",
        ">declared and in the weights",
        ">weights only",
        ">in conflict",
    ]
    table(columns, rows, empty="")


def _tell_readings(answers: Sequence[Reading], most: int = 12) -> None:
    rows = [
        (
            r.repo,
            ", ".join(f"{p.label} {percent(p.probability)}" for p in r.recognised) or "nothing certain",
            r.expert,
        )
        for r in answers[:most]
    ]
    table(["model", "was trained on", "says expert"], rows, empty="")
    if len(answers) > most:
        say(f"… and {len(answers) - most} more: hubbot model show REPO", style="dim")


def _tell_judgements(judgements: Sequence[Judgement]) -> None:
    say(f"{len(judgements)} small nets of no tree were judged by all their weights:", style="bold")
    told = [judgement for judgement in judgements if judgement.estimates]
    rows = [
        (judgement.repo, one.name, one.worded(one.value), " to ".join(one.ends), one.often)
        for judgement in told
        for one in judgement.estimates
    ]
    table(["model", "estimate of", ">about", ">interval", ">holds in"], rows, empty="")
    for judgement in judgements:
        if why := judgement.abstention:
            say(f"  {judgement.repo}: {why.text}", style="yellow")


def _tell_suggestions(outcome: Outcome) -> None:
    opened = [s for s in outcome.suggestions if s.pull_request]
    held = [s for s in outcome.suggestions if not s.pull_request]
    say(f"{len(opened)} pull requests were opened on model cards:", style="bold")
    table(
        ["model", "adds", "pull request"],
        [(s.repo, ", ".join(line.split(": ")[-1] for line in s.added), s.pull_request) for s in opened[:12]],
        empty="",
    )
    if len(opened) > 12:
        say(f"… and {len(opened) - 12} more: hubbot card queue", style="dim")
    for suggestion in held:
        word = "refused" if suggestion.state is SuggestionState.REFUSED else suggestion.state
        say(f"  {suggestion.repo}: {word}: {suggestion.reason}", style="yellow")
