"""Experts of far trees: `hf:OWNER/ZOO` or a table of repos in, an expert's folder out, and its score again.

What was asked for goes into the expert's provenance, so that whoever has the folder can ask for it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hubbot.errors import ExpertError, UsageError
from hubbot.experts import schema
from hubbot.experts.train import Schedule
from hubbot.hub.client import Hub
from hubbot.records import ExpertInfo
from hubbot.training.catalogue import few, open_catalogue
from hubbot.training.desk import progress_bar
from hubbot.training.evaluate import Evaluation, score_expert
from hubbot.training.experts import ENCODER, SOLVED, make_expert
from hubbot.training.far import FarTree, open_far
from hubbot.training.recipes import FarRecipe
from hubbot.training.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Order:
    """What to train on, and how it is told.

    Args:
        zoo: `hf:OWNER/NAME`, or the path of a table of repos.
        layers: to choose from; none: all that a probe may read, which is most of each file.
        roots: equivalent roots; by default the one that most models name.
        prompt: how a text encoder is asked, for a text head; empty: labels.
        most: models of each split at most, to try layers on; 0: all.
        encoder: whose texts a search compares with the labels, and a text head with the models.
    """

    zoo: str
    subset: str = ""
    layers: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    prompt: str = ""
    encoder: str = ENCODER
    most: int = 0

    @classmethod
    def of(
        cls,
        zoo: str,
        subset: str,
        layers: tuple[str, ...],
        roots: tuple[str, ...],
        prompt: str = "",
        encoder: str = "",
        most: int = 0,
    ) -> Order:
        """As somebody says it, who may leave out what has a default."""
        return cls(zoo, subset, layers, roots, prompt, encoder or ENCODER, most)

    @classmethod
    def of_recipe(
        cls, recipe: FarRecipe, *, zoo: str = "", layers: tuple[str, ...] = (), roots: tuple[str, ...] = ()
    ) -> Order:
        """A recipe, or the same for a copy of its zoo, for other layers or roots."""
        return cls(
            zoo or recipe.zoo,
            recipe.subset,
            layers or recipe.layers,
            roots or recipe.roots,
            recipe.prompt,
            recipe.encoder,
        )


@dataclass(frozen=True, slots=True)
class Desk:
    """Where far training works.

    Args:
        shelves: where layers are kept, a folder for each zoo; the indexes of zoos lie beside them.
        shelf_bytes: what one zoo's layers may take on the disk.
        threads: range reads under way at once.
    """

    hub: Hub
    shelves: Path
    shelf_bytes: int
    threads: int = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What a far training cost and left out."""

    expert: ExpertInfo
    models: int
    bytes_read: int
    bytes_stored: int
    skipped: tuple[str, ...]


def train_far(
    desk: Desk,
    order: Order,
    out: Path,
    *,
    name: str = "",
    seed: int = 0,
    how: Schedule | None = None,
    progress: bool = True,
) -> Report:
    """Train the expert of a far tree; arguments as of `train_expert`.

    Raises:
        UsageError: there is no such zoo, layer or root.
        ExpertError: it has too few models.
        HubError: the Hub does not give them; the same call goes on where this one stopped.
        ZooError: the shelf is full.
    """
    with _tree(desk, order, progress) as tree:
        info = make_expert(
            tree,
            out,
            name=name or _name(order),
            how=how or replace(SOLVED, seed=seed),
            encoder=order.encoder,
            progress=progress,
        )
        return Report(
            expert=info,
            models=len(tree.models),
            bytes_read=tree.gathered.bytes_read,
            bytes_stored=tree.gathered.bytes_stored,
            skipped=tuple(map(str, tree.skipped)),
        )


def evaluate_far(
    desk: Desk, folder: Path, split: str = "test", *, keep: bool = False, progress: bool = True
) -> Evaluation:
    """The score of an expert that was trained on a far tree, on the same models again.

    Raises:
        ExpertError: it was not.
    """
    with _tree(desk, order_of(folder), progress) as tree:
        return score_expert(folder, tree, split, keep=keep)


def order_of(folder: Path) -> Order:
    """What an expert was trained on, as its provenance tells.

    Raises:
        ExpertError: it was not trained on a far tree.
    """
    config = schema.read(folder)
    told: Any = config.provenance.get("zoo")
    try:
        zoo, subset, prompt = (told[key] for key in ("zoo", "subset", "prompt"))
        layers, roots = (tuple(told[key]) for key in ("layers", "roots"))
        most = int(told.get("most", 0))
    except (KeyError, TypeError, ValueError):
        zoo, subset, prompt, layers, roots, most = None, "", "", (), (), 0
    if not all(isinstance(text, str) for text in (zoo, subset, prompt, *layers, *roots)):
        why = "its provenance names no far zoo"
        raise ExpertError(why, file=str(folder), hint="say which zoo on this disk: --zoo FOLDER")
    return Order(str(zoo), subset, layers, roots, prompt, config.text_encoder, most)


@contextmanager
def _tree(desk: Desk, order: Order, progress: bool) -> Iterator[FarTree]:
    if order.prompt and not order.layers:
        raise UsageError("a text head is trained on layers that are named", hint="--layer NAME")
    slug = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{order.zoo} {order.subset}".removeprefix("hf:")).strip("-")
    with Shelf(desk.shelves / slug, desk.shelf_bytes) as shelf, progress_bar(progress) as bar:
        task = bar.add_task(f"listing {order.zoo} {order.subset}", total=None)
        catalogue = open_catalogue(desk.hub, order.zoo, order.subset, desk.shelves / "indexes")
        catalogue = few(catalogue, order.most) if order.most else catalogue
        bar.update(task, total=len(catalogue.entries), description=f"reading {order.subset or order.zoo}")
        tree = open_far(
            desk.hub,
            shelf,
            catalogue,
            layers=order.layers,
            roots=order.roots,
            prompt=order.prompt,
            threads=desk.threads,
            watch=lambda _: bar.advance(task),
        )
        bar.stop()
        yield tree


def _name(order: Order) -> str:
    zoo = order.zoo.removeprefix("hf:").rpartition("/")[2]
    stem = Path(zoo).stem if not order.zoo.startswith("hf:") else zoo
    return f"{stem}-{order.subset}".strip("-").lower()
