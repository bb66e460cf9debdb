"""The demo's small nets: test models of one zoo, an autoencoder that judges them, and a stranger to it.

    python -m hubbot.demo.nets ZOOS  # makes the folder anew, of cnn-digits and cnn-digits-grid of size bench

The autoencoder learned from the training models of `cnn-digits` and made its intervals on validation models;
the nets are the first test models, each as it was after another epoch, so that there is something to tell.
The stranger has the same architecture and other hyper-parameters, and gets no answer: the first test model of
`cnn-digits-grid` at its last epoch. The autoencoder is narrow, so that it is small enough to ship: it is none
of those that docs/results tell of.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubbot.zoo.cnn.history import History

NETS = Path(__file__).parent / "nets"
AUTOENCODER = "digits-zoo/cnn-digits-autoencoder"
"""The repo that the demo's bot judges small nets by."""
EPOCHS = (3, 8, 14, 25)

CARD = """\
---
tags:
- hubbot
---
# An autoencoder of small nets

It knows one architecture, that of the zoo `cnn-digits`. From all weights of such a net it tells how accurate
the net is, how long it was trained and how much better it does on what it saw:
`HUBBOT_SANE={repo} hubbot tell OWNER/NAME`.
"""


def repos() -> dict[str, Mapping[str, Path]]:
    """The files of each repo, by name."""
    folders = sorted(folder for folder in NETS.glob("*/*") if folder.is_dir())
    return {
        folder.relative_to(NETS).as_posix(): {file.name: file for file in sorted(folder.iterdir())}
        for folder in folders
    }


def make(zoos: Path) -> None:
    """Train the autoencoder and write all repos; some minutes on one core.

    Raises:
        ZooError: one of the zoos is not there.
    """
    from hubbot.sane.schema import Size
    from hubbot.sane.train import Course
    from hubbot.training.sane import Plan, train_sane
    from hubbot.zoo.cnn.history import open_history

    held_out, others = (open_history(zoos / zoo).of("test") for zoo in ("cnn-digits", "cnn-digits-grid"))
    for repo in repos():  # an autoencoder is trained over none, and a stranger may be another one
        shutil.rmtree(NETS / repo)
    size = Size(width=48, latent=8, blocks=1, window=44, halo=4, projection=16)
    course = Course(steps=600, behaviour=0.0)
    train_sane(zoos / "cnn-digits", NETS / AUTOENCODER, Plan(size=size, course=course))
    (NETS / AUTOENCODER / "README.md").write_text(CARD.format(repo=AUTOENCODER), encoding="utf-8")
    for rank, epoch in enumerate(EPOCHS):
        _write(held_out.plans[rank].repo, held_out, rank, epoch)
    _write(others.plans[0].repo, others, 0, EPOCHS[-1])


def _write(repo: str, history: History, rank: int, epoch: int) -> None:
    """A model as it was after an epoch; the truth is in the metadata of its weights alone."""
    from hubbot.zoo.cnn.repos import write_repo

    plan, at = history.plans[rank], history.epoch.tolist().index(epoch)
    hyper = {n: v for n, v in asdict(plan).items() if n not in ("repo", "split", "activation")}
    truth = {
        "split": plan.split,
        "epoch": epoch,
        "accuracy": round(float(history.accuracy[rank, at]), 4),
        "train_accuracy": round(float(history.train_accuracy[rank, at]), 4),
    }
    row = history.weights[rank, at]
    write_repo(NETS / repo, repo, history.net, row, plan.activation, {**hyper, **truth}, hyper)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
