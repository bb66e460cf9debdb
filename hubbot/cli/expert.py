"""`hubbot expert list|show|train|evaluate`: the minds that read trees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, say, settings_of, table
from hubbot.errors import UsageError
from hubbot.records import ExpertInfo

app = typer.Typer(help="Experts: one probe model a tree.", no_args_is_help=True)

Zoo = Annotated[Path, typer.Option(exists=True, file_okay=False, help="The zoo's folder.")]


@app.command("list")
def list_(context: typer.Context, json: AsJson = False) -> None:
    """The experts at hand."""
    infos = wiring.experts(settings_of(context))
    if json:
        emit(infos)
        return
    rows = [(i.name, i.version, i.tree, len(i.labels), f"{i.scores.get('accuracy', 0):.3f}") for i in infos]
    table(["expert", "version", "tree", ">labels", ">accuracy"], rows, empty="no experts")


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="An expert's name or folder.")],
    json: AsJson = False,
) -> None:
    """What an expert reads, what it knows and what it scored."""
    info = _find(context, name)
    if json:
        emit(info)
        return
    say(info.name, style="bold")
    say(f"  version   {info.version}")
    say(f"  tree      {', '.join(info.roots)}")
    for wanted in info.wanted:
        say(f"  reads     {wanted.name} {list(wanted.shape or ())}")
    say(f"  knows     {', '.join(label.name for label in info.labels)}")
    say(f"  learned   from {info.trained_on}")
    say(f"  encoder   {info.text_encoder}")
    for score, value in info.scores.items():
        say(f"  held out  {score} {value:.3f}")
    if info.baselines:
        say(f"  baselines {', '.join(f'{name} {value:.3f}' for name, value in info.baselines.items())}")
    say(f"  folder    {info.folder}")


@app.command()
def train(
    zoo: Zoo,
    root: Annotated[str, typer.Option(help="The tree's root in the zoo, e.g. digits-zoo/vit-a.")],
    out: Annotated[Path, typer.Option(help="The expert's folder.")],
    name: Annotated[str, typer.Option(help="Its name; made of the root's by default.")] = "",
    json: AsJson = False,
) -> None:
    """Train, calibrate and measure the expert of one tree."""
    from hubbot.training.experts import train_expert

    info = train_expert(zoo, root, out, name=name, progress=not json)
    emit(info) if json else say(f"{info.name} {info.version} reads {info.wanted[0].name}; it lies in {out}")


@app.command()
def evaluate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="An expert's name or folder.")],
    zoo: Zoo,
    split: Annotated[str, typer.Option(help="train, validation, calibration or test.")] = "test",
    json: AsJson = False,
) -> None:
    """What an expert scores on a split of its zoo, beside the baselines."""
    from hubbot.training.evaluate import evaluate_expert

    found = evaluate_expert(Path(_find(context, name).folder), zoo, split)
    if json:
        emit(found)
        return
    rows = [(score, f"{value:.3f}") for score, value in found.scores.items()]
    rows += [(f"baseline: {other}", f"{value:.3f}") for other, value in found.baselines.items()]
    table(["score", ">value"], rows, empty="")


def _find(context: typer.Context, name: str) -> ExpertInfo:
    settings = settings_of(context, experts=name if Path(name).is_dir() else None)
    known = wiring.experts(settings)
    for info in known:
        if name == info.name or Path(name).resolve() == Path(info.folder).resolve():
            return info
    raise UsageError(
        f"there is no expert {name!r}", hint=f"known are {', '.join(i.name for i in known) or 'none'}"
    )
