"""`hubbot expert list|show|promote|rollback|train|recipes|evaluate|push|pull`: the minds that read trees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, jsonable, say, settings_of, size, table
from hubbot.cli.ordering import ordered
from hubbot.errors import UsageError
from hubbot.records import ExpertInfo, Reliability, Trust

if TYPE_CHECKING:
    from hubbot.training.far_experts import Desk

NAMED = 20
"""Labels that `show` names."""

app = typer.Typer(help="Experts: one probe model a tree.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, json: AsJson = False) -> None:
    """The experts at hand; those that answer for their tree are marked."""
    router = wiring.router(settings_of(context))
    listed = [(info, router.for_tree(info.tree) is info) for info in router.experts]
    if json:
        emit([{**jsonable(info), "answers": answers} for info, answers in listed])
        return
    rows = [
        ("*" if answers else "", i.name, i.version, i.tree, len(i.labels), _accuracy(i))
        for i, answers in listed
    ]
    table(["", "expert", "version", "tree", ">labels", ">accuracy"], rows, empty="no experts")


def _accuracy(info: ExpertInfo) -> str:
    return f"{info.scores.get('accuracy', 0):.3f}"


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
    known = [label.name for label in info.labels]
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    say(f"  knows     {', '.join(known[:NAMED])}{more}")
    say(f"  learned   from {info.trained_on}")
    say(f"  encoder   {info.text_encoder}")
    for score, value in info.scores.items():
        say(f"  held out  {score} {value:.3f}")
    if info.baselines:
        say(f"  baselines {', '.join(f'{name} {value:.3f}' for name, value in info.baselines.items())}")
    if info.trust:
        _tell_trust(info.trust)
    say(f"  folder    {info.folder}")


def _tell_trust(trust: Trust) -> None:
    at = "never" if trust.threshold is None else f"from {trust.threshold:.1%} on"
    say(f"  stands by a label {at}; percentages are meant where {trust.known:.0%} are of its kind")
    if trust.reliability is None:
        say("  percentages were not measured")
        return
    say(f"  percentages are off by {trust.reliability.error:.3f} on average:")
    _tell_bins(trust.reliability)


def _tell_bins(found: Reliability) -> None:
    """What was told, and what was right."""
    rows = [(b.told, f"{b.meant:.3f}", f"{b.right:.3f}", f"{b.least:.3f}-{b.most:.3f}") for b in found.bins]
    table([">labels", ">told", ">right", ">95% interval"], rows, empty="it told nothing")


@app.command()
def promote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="An expert at hand.")],
    version: Annotated[str, typer.Argument(help="Its version, or how that begins.")],
    json: AsJson = False,
) -> None:
    """Have this version answer for its tree; `tree rerun` then reads again what it has not read."""
    ordered(context, "expert promote", {"name": name, "version": version}, json=json)


@app.command()
def rollback(
    context: typer.Context,
    which: Annotated[str, typer.Argument(metavar="TREE_OR_NAME", help="The tree, or its present expert.")],
    json: AsJson = False,
) -> None:
    """Take the last promotion back: the version before it answers, and what it had read holds again."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        tops = store.promotions()
    found = [top for top in tops if which in (top.tree, top.expert)]
    if len(found) != 1:
        known = ", ".join(f"{top.expert} for {top.tree}" for top in tops) or "none"
        why = "is promoted for several trees" if found else "has no promotion to take back"
        raise UsageError(f"{which!r} {why}", hint=f"promoted are {known}")
    args = {"tree": found[0].tree, "name": found[0].expert, "version": found[0].version}
    ordered(context, "expert rollback", args, json=json)


@app.command()
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The expert's folder.")],
    zoo: Annotated[str, typer.Option(help="A zoo's folder, hf:OWNER/NAME, or a table of repos.")] = "",
    root: Annotated[
        list[str] | None, typer.Option(help="The tree's root; again for equivalent ones.")
    ] = None,
    subset: Annotated[str, typer.Option(help="Of a far zoo, e.g. SupViT.")] = "",
    layer: Annotated[list[str] | None, typer.Option(help="A layer to choose from; again for more.")] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Read all layers, most of each far file.")] = False,
    strangers: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A zoo of what to be silent with.")
    ] = None,
    models: Annotated[int, typer.Option(min=0, help="Of each split at most, to try layers on.")] = 0,
    prompt: Annotated[str, typer.Option(help='One concept a model, by text: "a photo of a {}".')] = "",
    encoder: Annotated[str, typer.Option(help="The text encoder, if not the default one.")] = "",
    recipe: Annotated[str, typer.Option(help="All that from `hubbot expert recipes`.")] = "",
    name: Annotated[str, typer.Option(help="Its name; made of the tree's by default.")] = "",
    seed: Annotated[int, typer.Option(help="Of the probe's beginnings and batches.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw accuracy by layer, e.g. layers.png.")] = None,
    json: AsJson = False,
) -> None:
    """Train, calibrate and measure the expert of one tree, on this disk or straight from the Hub.

    Of a far tree a few layers of each model are read, by range. They stay on a shelf, so that a training
    that was interrupted goes on where it was; bad repos are left out and named.
    """
    from hubbot.training.far_experts import Order, train_far
    from hubbot.training.recipes import far_recipe

    roots, layers = tuple(root or ()), tuple(layer or ())
    if recipe:
        order = Order.of_recipe(far_recipe(recipe), zoo=zoo, layers=layers, roots=roots)
    elif Path(zoo).is_dir():
        _train_near(Path(zoo), roots, layers, strangers, out, name=name, seed=seed, plot=plot, json=json)
        return
    else:
        order = Order.of(zoo, subset, layers, roots, prompt, encoder, models)
    if strangers:
        raise UsageError("strangers are met where the expert's own zoo is on this disk")
    if not (order.layers or sweep):
        hint = "name some with --layer, or read them all with --sweep"
        raise UsageError("which layers are to be read?", hint=hint)
    with _desk(context) as desk:
        report = train_far(desk, order, out, name=name, seed=seed, progress=not json)
    _tell_layers(out, plot, json=json)
    if json:
        emit(report)
        return
    for skipped in report.skipped:
        say(f"left out: {skipped}", style="dim")
    read, stored = size(report.bytes_read), size(report.bytes_stored)
    say(f"{report.models} models, {len(report.skipped)} left out; read {read} of {stored}")
    _tell_trained(report.expert, out)


def _train_near(
    zoo: Path,
    roots: tuple[str, ...],
    layers: tuple[str, ...],
    strangers: Path | None,
    out: Path,
    *,
    name: str,
    seed: int,
    plot: Path | None,
    json: bool,
) -> None:
    from hubbot.training.experts import train_expert

    if len(roots) != 1:
        raise UsageError("of a zoo on this disk one root is needed", hint="--root OWNER/NAME")
    info = train_expert(
        zoo, roots[0], out, layers=layers, strangers=strangers, name=name, seed=seed, progress=not json
    )
    _tell_layers(out, plot, json=json)
    emit(info) if json else _tell_trained(info, out)


def _tell_trained(info: ExpertInfo, out: Path) -> None:
    names = ", ".join(wanted.name for wanted in info.wanted)
    say(f"{info.name} {info.version} reads {names}; it lies in {out}")


def _tell_layers(out: Path, plot: Path | None, *, json: bool) -> None:
    """The layers that were tried, the best first, and a picture of them where one was asked for."""
    from hubbot.training.layers import layer_scores, plot_layers

    scores = layer_scores(out)
    if plot:
        plot_layers(scores, plot, out.name)
    if len(scores) > 1 and not json:
        best = sorted(scores, key=lambda score: score.loss)
        rows = [("*" if s.chosen else "", s.layer, f"{s.loss:.4f}", f"{s.accuracy:.3f}") for s in best]
        table(["", "layer", ">validation loss", ">accuracy"], rows, empty="")


@contextmanager
def _desk(context: typer.Context) -> Iterator[Desk]:
    """Where far training works, by the settings."""
    from hubbot.training.far_experts import Desk

    settings = settings_of(context)
    with wiring.open_hub(settings, patient=True) as hub:
        yield Desk(hub, settings.shelves, settings.shelf_bytes, settings.fetch_threads)


@app.command()
def recipes(json: AsJson = False) -> None:
    """Experts of far trees that are ready to be trained, what that costs, and what the papers scored."""
    from hubbot.training.recipes import RECIPES

    if json:
        emit(list(RECIPES.values()))
        return
    rows = [
        (r.name, r.models, size(r.bytes_read), size(r.bytes_stored), f"{r.minutes():.0f}", *r.papers.values())
        for r in RECIPES.values()
    ]
    table(["recipe", ">models", ">read", ">stored", ">minutes", ">ProbeX", ">MVProbe"], rows, empty="")


@app.command()
def evaluate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="An expert's name or folder.")],
    zoo: Annotated[str, typer.Option(help="A zoo's folder; by default the far zoo that made it.")] = "",
    split: Annotated[str, typer.Option(help="train, validation, calibration or test.")] = "test",
    strangers: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="A zoo of what its percentages are meant among."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write evaluation.json into its folder.")] = False,
    json: AsJson = False,
) -> None:
    """What an expert scores on a split of its zoo beside baselines, and what its percentages are worth."""
    from hubbot.training.evaluate import evaluate_expert
    from hubbot.training.far_experts import evaluate_far

    folder = Path(_find(context, name).folder)
    if zoo:
        found = evaluate_expert(folder, Path(zoo), split, strangers=strangers, keep=keep)
    else:
        with _desk(context) as desk:
            found = evaluate_far(desk, folder, split, keep=keep, progress=not json)
    if json:
        emit(found)
        return
    rows = [(score, f"{value:.3f}") for score, value in found.scores.items()]
    rows += [(f"baseline: {other}", f"{value:.3f}") for other, value in found.baselines.items()]
    table(["score", ">value"], rows, empty="")
    if found.reliability is None:
        say("its percentages are meant among strangers: --strangers ZOO measures them", style="dim")
        return
    say()
    say(f"a percentage is off by {found.reliability.error:.3f} on average:", style="bold")
    _tell_bins(found.reliability)


@app.command()
def push(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="An expert's name or folder.")],
    repo: Annotated[str, typer.Option(help="OWNER/NAME; made if it is missing.")],
    private: Annotated[bool, typer.Option("--private", help="If it is made now.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only the model card is shown.")] = False,
) -> None:
    """Publish an expert as a Hub repo with a model card of its own; a dry run, unless --yes is given."""
    from hubbot.training.publishing import card, push

    folder = Path(_find(context, name).folder)
    if not yes:
        for line in card(folder, repo).splitlines():
            say(line)
        say("nothing was sent; --yes sends it", style="bold")
        return
    with wiring.open_hub(settings_of(context)) as hub:
        say(push(hub, folder, repo, private=private))


@app.command()
def pull(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="OWNER/NAME.")],
    out: Annotated[Path | None, typer.Option(help="Its folder; experts/NAME by default.")] = None,
    json: AsJson = False,
) -> None:
    """Fetch an expert from its repo into a folder, once it has proven to be one."""
    from hubbot.training.publishing import pull

    settings = settings_of(context)
    folder = out or Path("experts") / repo.rpartition("/")[2]
    with wiring.open_hub(settings) as hub:
        info = pull(hub, repo, folder, settings.home_path / "experts")
    emit(info) if json else say(f"{info.name} {info.version} lies in {folder}")


def _find(context: typer.Context, name: str) -> ExpertInfo:
    settings = settings_of(context, experts=name if Path(name).is_dir() else None)
    router = wiring.router(settings)
    known = router.experts
    for info in known:
        if Path(name).resolve() == Path(info.folder).resolve():
            return info
    if named := [info for info in known if info.name == name]:
        return next((info for info in named if router.for_tree(info.tree) is info), named[-1])
    raise UsageError(
        f"there is no expert {name!r}", hint=f"known are {', '.join(i.name for i in known) or 'none'}"
    )
