"""Who is told what of a model that was trained in another way, or not at all?

    python -m benchmarks.sane_strangers [AUTOENCODER ...] [--zoos FOLDER] [--smoke] [--json]

An interval promises to hold for models like those of training. Whoever asks of another model is to be told
nothing rather than something wrong, so what counts is how many are told an accuracy whose interval does not
hold it. Asked are test models of the autoencoder's own zoo, of the zoo of the other hyper-parameters, and of
nets that were trained by the same recipe on turned pictures; nets at their birth; and nets that nobody
trained, drawn from embeddings. Beside the guard stands the one before it, which knew only how badly a model
is rebuilt. Its kind and its size were chosen on validation models; test models are opened here.

Letters: n checkpoints of m models.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.report import Row, arguments, at_least, machine, publish, table, told, verdict, zoos
from benchmarks.sane_autoencoders import AUTOENCODERS, SEEDS, trained
from benchmarks.sane_making import MADE, Maker, accuracy
from benchmarks.sane_properties import drawn, interval
from hubbot.sane import judge, sample
from hubbot.sane.artifact import Artifact
from hubbot.training.sane import Study, concluded
from hubbot.training.zoos import build_zoo
from hubbot.zoo.cnn.history import History, open_history
from hubbot.zoo.cnn.nets import INITS
from hubbot.zoo.threads import one_thread

NAMES = (*(f"digits-{seed}" for seed in SEEDS), "grid-0")
DIGITS, GRID, ROTATED = "cnn-digits", "cnn-digits-grid", "cnn-rotated"
OWN = "its own zoo"
BORN, SMOKE_MADE = 100, 12
PROMISED = 0.9
"""Of models that are told an accuracy so many are within the interval: that much may be asked for all."""

_drawings = cache(drawn)


@dataclass(frozen=True, slots=True)
class Told:
    """What some models are told of their accuracy.

    Args:
        models: which each checkpoint is of, (n,).
        true, value: the accuracy, and what it is estimated to be, (n,).
        holds: whether each property's interval holds it, (n, 3).
        before, now: whether anything is told by the guard before, and by this one, (n,).
    """

    models: Tensor
    true: Tensor
    value: Tensor
    holds: Tensor
    before: Tensor
    now: Tensor

    def share(self, of: Tensor, among: Tensor | None = None) -> tuple[float, float, float]:
        """Of checkpoints, or of some among them, with a 95% interval by drawing models again."""
        among = torch.ones_like(of) if among is None else among
        counts = [torch.zeros(int(self.models.max()) + 1).double().index_add(0, self.models, some.double())
                  for some in (of & among, among)]  # fmt: skip
        weights = _drawings(len(counts[0]))
        value, low, high = interval(((weights @ counts[0]) / (weights @ counts[1]).clamp_min(1))[:, None])
        return float(value), float(low), float(high)

    def wrong(self, answered: Tensor) -> Tensor:
        return answered & ~self.holds[:, 0]


def ask(artifact: Artifact, study: Study) -> Told:
    """Ask of all checkpoints of a study."""
    looks = [judge.look(artifact, part) for part in _parts(study)]
    said, odd, far = (torch.cat([getattr(one, what) for one in looks]) for what in ("said", "odd", "far"))
    width = torch.tensor([one.half_width for one in artifact.config.properties], dtype=torch.float64)
    truth = study.truth.double()
    return Told(study.models, truth[:, 0], said[:, 0].clamp(0, 1), (said - truth).abs() <= width, odd <= 1,
                (odd <= 1) & (far <= 1))  # fmt: skip


def _parts(study: Study) -> Iterator[dict[str, Tensor]]:
    every = study.checkpoints
    for start in range(0, len(study.models), 1024):
        yield every.values(slice(start, start + 1024))


def _joined(some: Sequence[Told]) -> Told:
    """Of several autoencoders, which were asked of the same models: these are drawn together."""
    rest = {what: torch.cat([getattr(one, what) for one in some])
            for what in ("models", "true", "value", "holds", "before", "now")}  # fmt: skip
    return Told(**rest)


# --- who is asked of --------------------------------------------------------------------------


def strangers(name: str, folder: Path, *, smoke: bool) -> Iterator[tuple[str, Told]]:
    """Each kind of models, and what an autoencoder tells of them."""
    model, study = trained(name, folder, smoke=smoke)
    artifact, test = concluded(model, study, name, {}), study.of_split("test")
    yield OWN, ask(artifact, test)
    for zoo in (GRID if AUTOENCODERS[name].zoo == DIGITS else DIGITS, ROTATED):
        build_zoo(zoo, "tiny" if smoke else "bench", folder / zoo, progress=False)
        yield f"{zoo}", ask(artifact, study.of_others(open_history(folder / zoo).of("test")))
    for init in INITS:
        yield f"untrained, {init}", ask(artifact, study.of_others(_untrained(test.history, init)))
    maker = Maker.of(model, study, int(name[-1]), SMOKE_MADE if smoke else MADE)
    for way, made in _made(artifact, maker).items():
        yield way, ask(artifact, study.of_others(_measured(maker, made)))


def _untrained(history: History, init: str) -> History:
    """Nets as they are born, which answer by chance."""
    net, draw = history.net, torch.Generator().manual_seed(0)
    weights, activation = net.born(BORN, init, draw), history.activation[0]
    return _as_history(history, weights, accuracy(net, weights, activation, history.pictures().test), 0)


def _made(artifact: Artifact, maker: Maker) -> dict[str, Tensor]:
    """Nets that nobody trained, and what they were drawn from."""
    z = maker.embedded(maker.prompts)
    score = sample.estimated(artifact, "accuracy")
    before = sample.estimated(replace(artifact, distance=None), "accuracy")
    ways: dict[str, Callable[[], Tensor]] = {
        "prompts": lambda: maker.prompts,
        "KDE": lambda: maker.made(sample.kde(z, maker.count, maker.draw)),
        "independent": lambda: maker.made(sample.independent(z, maker.count, maker.draw)),
        "SUB by estimate": partial(maker.sub, score),
        "BOOT by estimate": partial(maker.boot, score),
        "GAUSS by estimate": partial(maker.gauss, score),
        "SUB by estimate, guard before": partial(maker.sub, before),
        "BOOT by estimate, guard before": partial(maker.boot, before),
        "GAUSS by estimate, guard before": partial(maker.gauss, before),
    }
    return {way: make() for way, make in ways.items()}


def _measured(maker: Maker, weights: Tensor) -> History:
    history = maker.study.history
    right = accuracy(history.net, weights, maker.activation, maker.task.test)
    return _as_history(history, weights, right, int(history.epoch[-1]))


def _as_history(history: History, weights: Tensor, right: Tensor, epoch: int) -> History:
    """Nets of which the accuracy alone is known. (n, p), (n,)"""
    column = right[:, None]
    return replace(history, plans=history.plans[:1] * len(weights), weights=weights[:, None],
                   epoch=torch.tensor([epoch]), accuracy=column, loss=column, train_accuracy=column,
                   train_loss=column)  # fmt: skip


# --- all of it --------------------------------------------------------------------------------


def report(zoo: str, found: dict[str, Told]) -> tuple[list[Row], str]:
    """The rows and the section of the autoencoders of a zoo."""
    rows, lines = [], []
    for kind, one in found.items():
        before, now = (one.share(one.wrong(answered)) for answered in (one.before, one.now))
        among = one.share(~one.holds[:, 0], one.now)
        lines.append([
            kind, float(one.true.mean()), float(one.value.mean()), one.share(~one.before)[0],
            _spread(one.share(~one.now)), _spread(before), _spread(now),
            _spread(among) if one.now.any() else "–",
        ])  # fmt: skip
        what = f"{zoo} asked of {kind}: told nothing wrong"
        rows.append(at_least(what, 1 - now[0], "share", PROMISED, 1 - before[0]))
        rows.append(told(f"{zoo} asked of {kind}: told nothing", one.share(~one.now)[0], "share",
                         one.share(~one.before)[0]))  # fmt: skip
    own, names = found[OWN], ("accuracy", "epoch", "gap")
    held = {one: own.share(own.holds[:, i], own.now) for i, one in enumerate(names)}
    rows += [at_least(f"{zoo}: {one}, interval holds on own test models", value[0], "share", PROMISED)
             for one, value in held.items()]  # fmt: skip
    alarms = torch.zeros(int(own.models.max()) + 1).index_add(0, own.models, (own.before & ~own.now).float())
    silent = float((alarms > 0).double().mean())
    rows.append(at_least(f"{zoo}: own test models near enough at every epoch", 1 - silent, "share", 0.99))
    columns = ["asked of", "accuracy", "estimate", "silent before", "silent", "told wrong before",
               "told wrong", "wrong, of those told"]  # fmt: skip
    covered = "; ".join(f"{one} {_spread(value)}" for one, value in held.items())
    text = [
        f"## Autoencoders of {zoo}",
        table(columns, lines),
        f"Of its own test models {silent:.1%} lie too far off at some epoch. Intervals hold the truth of"
        f" those that are told: {covered}.",
    ]
    return rows, "\n\n".join(text)


def _spread(share: tuple[float, float, float]) -> str:
    value, low, high = share
    return f"{value:.1%} [{low:.1%}, {high:.1%}]"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write docs/results/sane-strangers.md and .json."""
    smoke = "zoos of 20 models, autoencoders of 20 steps; nothing is written"
    parser = arguments("sane_strangers", (__doc__ or "").splitlines()[0], smoke, zoos=True)
    parser.add_argument("names", nargs="*", metavar="AUTOENCODER", help=f"by default {', '.join(NAMES)}")
    given = parser.parse_args(argv)
    found: dict[str, dict[str, list[Told]]] = {}
    with one_thread(), tempfile.TemporaryDirectory() as scratch:
        folder = zoos(given, Path(scratch))
        for name in given.names or NAMES:
            for kind, one in strangers(name, folder, smoke=given.smoke):
                found.setdefault(AUTOENCODERS[name].zoo, {}).setdefault(kind, []).append(one)
                print(name, kind, flush=True)
    parts = [report(zoo, {kind: _joined(some) for kind, some in kinds.items()})
             for zoo, kinds in found.items()]  # fmt: skip
    rows = [row for part, _ in parts for row in part]
    publish("sane-strangers", rows, "\n\n".join([_head(rows), *(text for _, text in parts)]), given)


def _head(rows: Sequence[Row]) -> str:
    return f"""# What strangers are told

`python -m benchmarks.sane_strangers`, {machine()}, one thread. Autoencoders and zoos are those of
`python -m benchmarks.sane`, three seeds of `cnn-digits` and one of `cnn-digits-grid`.

An interval is right for 9 of 10 models like those of training. Told wrong: the share, of all models that are
asked of, that are told an accuracy whose interval does not hold it. *Before* is the guard that knew only how
badly a model is rebuilt; now one that lies far from all of training gets no answer either. Test models at all
epochs that were kept; 95% intervals by drawing models again. *By estimate* are nets that were chosen of many
draws by what the autoencoder says of them; with the guard before, by what it said then.

The target is what the intervals promise, and strangers were promised nothing: what is missed is where
an owner may still be misled. Nets of `cnn-rotated` were trained by the same recipe on turned digits: nothing
but what the pictures show differs, and most of them cannot be told from the autoencoder's own. Whoever
chooses by the estimate among what the guard lets pass finds where both are wrong (`BOOT by estimate`); so the
card of such a net says that it was picked for its estimate.

{verdict(rows)}"""


if __name__ == "__main__":
    main()
