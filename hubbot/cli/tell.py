"""`hubbot tell REPO`: one model, one answer. Needs no database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from hubbot.app import Telling
from hubbot.app import tell as ask
from hubbot.cli.console import AsJson, emit, percent, plain, say, settings_of, size
from hubbot.records import How, Judgement, Placement, Reading


def tell(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="The model, written owner/name.")],
    json: AsJson = False,
) -> None:
    """What was this model trained on, how sure is that, and from what was it read?"""
    told = ask(repo, settings_of(context))
    if json:
        emit(
            {
                "repo": told.upload.repo,
                "commit": told.upload.commit,
                "placement": told.placement,
                "reading": told.reading,
                "judgements": told.judgements,
            }
        )
        return
    say(told.upload.repo, style="bold")
    show_placement(told.placement)
    show_reading(told.reading)
    show_judgements(told.judgements)
    _show_trust(told)


HOW = {
    How.ROOT: "it is itself the root",
    How.DECLARED: "as its card declares",
    How.RECOVERED: "recovered from its weights",
    How.BOTH: "declared, and confirmed by its weights",
    How.CONFLICT: "its card and its weights disagree",
    How.UNPLACED: "neither its card nor its weights name one",
}


def show_placement(placement: Placement) -> None:
    """Where a model belongs, and every piece of evidence."""
    say(f"  tree      {placement.tree or 'none'}: {HOW[placement.how]}")
    for evidence in placement.evidence:
        sure = f" ({percent(evidence.probability)})" if evidence.probability is not None else ""
        say(f"            {evidence.source}: {evidence.text}{sure}", style="dim")


def show_reading(reading: Reading) -> None:
    """What the expert said, or why nothing was said, and what it cost."""
    if reading.abstention:
        say(f"  no answer {reading.abstention.text} [{reading.abstention.code}]", style="yellow")
    elif reading.recognised:
        for prediction in reading.recognised:
            say(
                f"  trained on {plain(prediction.label):<12} {percent(prediction.probability)}", style="green"
            )
    else:
        say("  no answer the expert recognised nothing with confidence", style="yellow")
    unsure = [p for p in reading.predictions if not p.recognised and p.probability > 0.2]
    if unsure and not reading.abstention:
        listed = ", ".join(f"{p.label} {percent(p.probability)}" for p in unsure)
        say(f"  unsure    {listed}", style="dim")
    if reading.bytes_stored:
        say(
            f"  read      {', '.join(reading.tensors_read) or 'to place it'}: "
            f"{size(reading.bytes_read)} of {size(reading.bytes_stored)}",
            style="dim",
        )


def show_judgements(judgements: Iterable[Judgement]) -> None:
    """What the weights say of the training, each with its interval."""
    for judgement in judgements:
        by = f"{judgement.autoencoder} {judgement.version[:12]}"
        for one in judgement.estimates:
            say(
                f"  estimated {plain(one.name):<12} {one.worded(one.value)}, "
                f"in {one.often} such models between {' and '.join(one.ends)}",
                style="green",
            )
            if one.meaning:
                say(f"            {one.meaning}", style="dim")
        if why := judgement.abstention:
            say(f"  no guess  {why.text} [{why.code}]", style="yellow")
        say(f"            by the autoencoder {by}, from all its weights", style="dim")


def _show_trust(told: Telling) -> None:
    if told.expert is None or told.reading.abstention:
        return
    scores = ", ".join(f"{name} {value:.3f}" for name, value in told.expert.scores.items())
    say(
        f"  expert    {told.expert.name} {told.expert.version[:12]}: trained on {told.expert.trained_on}",
        style="dim",
    )
    if scores:
        say(f"  held out  {scores}", style="dim")
