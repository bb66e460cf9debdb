"""`hubbot sane`: models through an autoencoder of their architecture, and such autoencoders themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, percent, say, settings_of, size, table
from hubbot.errors import UsageError
from hubbot.records import Abstention

if TYPE_CHECKING:
    from hubbot.embedding import Analysis, Model
    from hubbot.sane.layers import Moments

app = typer.Typer(help="Weights as tokens: embeddings and properties of models.", no_args_is_help=True)

Repo = Annotated[str, typer.Argument(help="The model, written owner/name.")]
DASH = "—"
With = Annotated[Path, typer.Option("--with", metavar="FOLDER", help="The autoencoder's folder.")]


@app.callback()
def noun() -> None:
    """Weights as tokens: embeddings and properties of models."""


@app.command()
def embed(
    context: typer.Context,
    repo: Repo,
    with_: With,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="A safetensors file for all embeddings.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Embed a model's weights as they come from the Hub, without downloading or holding it whole."""
    from hubbot.embedding import embeddings, kept
    from hubbot.sane.layers import Moments

    with _fitting(context, [repo], with_) as [model]:
        mind = model.artifact.model
        shape = (mind.layout.count, mind.size.latent)
        pieces = embeddings(model, settings_of(context).max_model_bytes)
        if out is not None:
            pieces = kept(pieces, out, shape, _notes(model))
        moments = Moments(mind.layout, mind.size.latent)
        for piece in pieces:
            moments.add(piece)
    if json:
        emit(_embedded(model, moments))
        return
    say(model.upload.repo, style="bold")
    _tell_cost(model, streamed=model.streams)
    named = zip(mind.layout.layers, moments.layers.norm(dim=1).tolist(), strict=True)
    rows = [(layer.name, layer.tokens, f"{norm:.3f}") for layer, norm in named]
    table(["layer", ">tokens", ">norm of its mean"], rows, empty="no layers")
    if out is not None:
        say(f"{shape[0]} embeddings of {shape[1]} numbers are in {out}")


def _notes(model: Model) -> dict[str, str]:
    """What a file of embeddings says of itself."""
    return {
        "repo": model.upload.repo,
        "commit": model.upload.commit,
        "autoencoder": model.artifact.config.name,
        "version": model.artifact.version,
    }


def _embedded(model: Model, moments: Moments) -> dict[str, object]:
    layout = model.artifact.model.layout
    layers = zip(layout.layers, moments.layers.tolist(), strict=True)
    return {
        **_notes(model),
        "tokens": layout.count,
        "windows": model.windows,
        "streamed": model.streams,
        "bytes_read": model.meter.bytes_read,
        "bytes_stored": model.stored,
        "mean": moments.mean.tolist(),
        "layers": [{"name": layer.name, "tokens": layer.tokens, "mean": mean} for layer, mean in layers],
    }


@app.command()
def properties(context: typer.Context, repo: Repo, with_: With, json: AsJson = False) -> None:
    """What a model's weights say of its training: accuracy, epoch and the like, each with an interval."""
    from hubbot.embedding import properties as ask

    with _fitting(context, [repo], with_) as [model]:
        said = ask(model, settings_of(context).max_model_bytes)
    abstention = said if isinstance(said, Abstention) else None
    if json:
        estimates = () if isinstance(said, Abstention) else said
        read = {"bytes_read": model.meter.bytes_read, "bytes_stored": model.stored}
        emit({**_notes(model), **read, "properties": estimates, "abstention": abstention})
        return
    say(model.upload.repo, style="bold")
    _tell_cost(model, streamed=False)
    if isinstance(said, Abstention):
        say(f"  no answer {said.text} [{said.code}]", style="yellow")
        return
    rows = [(e.name, e.worded(e.value), " to ".join(e.ends), e.often, e.meaning) for e in said]
    table(["property", ">about", ">interval", ">holds in", ""], rows, empty="no properties")


@app.command()
def layers(
    context: typer.Context,
    repo: Repo,
    with_: With,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw it by depth, e.g. layers.png.")
    ] = None,
    json: AsJson = False,
) -> None:
    """How far apart each layer's embeddings lie, by depth, beside WeightWatcher's metrics."""
    from hubbot.drawing import drawable
    from hubbot.embedding import analysed
    from hubbot.sane.layers import draw

    if plot is not None:
        drawable(plot)
    with _fitting(context, [repo], with_) as [model]:
        found = analysed(model, settings_of(context).max_model_bytes)
    if plot is not None:
        draw(found.layers, plot, model.upload.repo)
    if json:
        read = {"streamed": found.streamed, "bytes_read": model.meter.bytes_read}
        emit({**_notes(model), **read, "layers": found.layers, "unwatched": found.unwatched or None})
        return
    say(model.upload.repo, style="bold")
    _tell_cost(model, streamed=found.streamed)
    _tell_layers(found)
    if found.unwatched:
        say(f"without WeightWatcher's metrics: {found.unwatched}", style="yellow")
    if plot is not None:
        say(f"drawn in {plot}")


def _tell_layers(found: Analysis) -> None:
    """A layer a line, and the mean of all; what there is no number of is a dash."""
    from hubbot.sane.layers import average

    columns, told = ["layer", ">tokens", ">deviation"], [[one.deviation for one in found.layers]]
    if not found.unwatched:
        columns += [">log spectral norm", ">weighted alpha", ">eigenvalues"]
        told.append([one.log_spectral_norm for one in found.layers])
        told.append([one.weighted_alpha for one in found.layers])
    rows: list[list[object]] = []
    for one, numbers in zip(found.layers, zip(*told, strict=True), strict=True):
        counted = [] if found.unwatched else [one.watched.eigenvalues if one.watched else DASH]
        rows.append([one.name, one.tokens, *map(_figure, numbers), *counted])
    rows.append(["mean", "", *(_figure(average(column)) for column in told)])
    table(columns, rows, empty="no layers")


def _figure(number: float | None) -> str:
    return DASH if number is None else f"{number:.3f}"


@app.command()
def sample(
    context: typer.Context,
    with_: With,
    like: Annotated[list[str], typer.Option(help="A prompt, written owner/name; several may be given.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="The folder for the models' folders.")],
    count: Annotated[int, typer.Option(min=1, help="How many models.")] = 1,
    way: Annotated[
        str, typer.Option(help="kde, independent, sub, boot or gauss; the last three choose.")
    ] = "kde",
    by: Annotated[
        str | None, typer.Option(help="The property that is estimated to choose by; by default the first.")
    ] = None,
    least: Annotated[bool, typer.Option("--least", help="Choose those with the least of it.")] = False,
    draws: Annotated[
        int, typer.Option(min=2, help="Drawn for each that is kept, where some are chosen.")
    ] = 20,
    classes: Annotated[
        int | None, typer.Option(min=2, help="Of a new head in the old one's place, still to be trained.")
    ] = None,
    bandwidth: Annotated[
        float, typer.Option(min=0.0, help="How far from the prompts, in their spreads.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    json: AsJson = False,
) -> None:
    """Make new models near some on the Hub, each a repo that loads as the first of them does."""
    from hubbot.making import Order, make

    order = Order(count, way, by, least, draws, classes, bandwidth, seed)
    with _fitting(context, like, with_) as prompts:
        made = make(prompts, order, out, settings_of(context).max_model_bytes)
    if json:
        emit([{"folder": str(one.folder), "estimate": one.estimate} for one in made])
        return
    for one in made:
        said = one.estimate
        if isinstance(said, Abstention):
            say(f"{one.folder}  no estimate: {said.text}")
        else:
            say(f"{one.folder}  {said.name} {said.value:.3f}, estimated" if said else one.folder)


@app.command()
def train(
    zoo: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, help="A zoo of `hubbot zoo build cnn-digits` or its kin."),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="The autoencoder's folder.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps of training.")] = 2400,
    behaviour: Annotated[
        float, typer.Option(min=0.0, help="How much it counts that rebuilt nets answer alike.")
    ] = 0.1,
    norms: Annotated[bool, typer.Option(help="Rebuild the numbers of BatchNorms as well.")] = True,
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw the terms of the loss by step, e.g. curve.png.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Train an autoencoder on a zoo, or go on where a training was stopped."""
    from hubbot.training.sane import plan, train_sane

    made = train_sane(zoo, out, plan(steps, behaviour, seed, norms=norms), progress=not json, plot=plot)
    told = {"name": made.config.name, "version": made.version, "folder": str(out)}
    if json:
        emit({**told, "properties": made.config.properties})
        return
    say(f"{made.config.name} {made.version}, {made.config.trained_on}, is in {out}")
    rows = [(one.name, f"{one.r2 or 0:.3f}", f"± {one.half_width:.3f}") for one in made.config.properties]
    table(["property", ">R2, calibration", f">{percent(made.config.coverage)} interval"], rows, empty="none")


@contextmanager
def _fitting(context: typer.Context, repos: Sequence[str], folder: Path) -> Iterator[list[Model]]:
    """Models on the Hub that an autoencoder can read, and the Hub is open for as long as they are read."""
    for repo in repos:
        if not wiring.is_repo(repo):
            raise UsageError(f"{repo!r} is not a repo", hint="a repo is written owner/name")
    with wiring.open_hub(settings_of(context)) as hub:
        from hubbot.embedding import find_all

        yield find_all(hub, repos, folder)


def _tell_cost(model: Model, *, streamed: bool) -> None:
    """What was read, and through what."""
    mind, config = model.artifact.model, model.artifact.config
    how = "row by row" if streamed else "whole" if model.streams else "whole, and aligned"
    say(f"  commit    {model.upload.commit}", style="dim")
    say(f"  through   {config.name} {model.artifact.version}: learned from {config.trained_on}", style="dim")
    say(f"  model     {len(config.shapes)} tensors, {config.numbers} numbers", style="dim")
    say(
        f"  tokens    {mind.layout.count} of {config.length} numbers, in {model.windows} windows", style="dim"
    )
    say(f"  read      {how}: {size(model.meter.bytes_read)} of {size(model.stored)}", style="dim")
