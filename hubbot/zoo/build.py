"""Build a zoo: train the roots, then fine-tune their children, a block of models at a time.

A block is trained as one computation: the weights of its models are the rows of one matrix, and
`torch.func.vmap` runs transformers' own module over it. That is several times faster than one model
after another. A block whose files are all there is skipped, so that a killed build goes on where it stopped.

Letters: g models in a block, p parameters of a model, b pictures in a batch, s pixels a side.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional

from hubbot.zoo import digits
from hubbot.zoo.layout import (
    TARGETS,
    WEIGHTS,
    Zoo,
    ZooModel,
    card,
    claim,
    in_order,
    repo_folder,
    sha256,
    write_index,
)
from hubbot.zoo.recipes import BLOCK, DIGITS, ChildPlan, Recipe, RootRecipe, plan
from hubbot.zoo.tasks import TASKS, Lesson, lesson
from hubbot.zoo.threads import one_thread

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Advance = Callable[[int, str], None]
"""Told after each block: how many models are finished by it, and of which root."""


def build(recipe: Recipe, size: str, folder: Path, advance: Advance = lambda *_: None) -> Zoo:
    """Build a zoo, or what is still missing of it.

    Args:
        size: a key of `recipe.children`.
        folder: where it goes; may hold an unfinished build of the same recipe.

    Raises:
        ZooError: the recipe has no such size, or the folder holds models of another recipe.
    """
    count, recipe = recipe.count(size), recipe.at(size)
    claim(folder, recipe.hash)
    models: list[ZooModel] = []
    with one_thread(), _quiet():
        for root in recipe.roots:
            models.append(_root(recipe, root, folder))
            advance(1, root.repo)
            start = _load(folder, root)
            for plans in _blocks(recipe, root, count):
                _block(recipe, root, start, plans, folder)
                models += [
                    _line(folder, child.repo, root.repo, child.split, child.declared) for child in plans
                ]
                advance(len(plans), root.repo)
    zoo = Zoo(folder, recipe.name, recipe.hash, size, tuple(models))
    write_index(zoo)
    return zoo


def _blocks(recipe: Recipe, root: RootRecipe, count: int) -> Iterator[list[ChildPlan]]:
    """The children in order, a block at a time; those of a block have the same task, so the same head."""
    turn = len(recipe.tasks) or 1
    for begin in range(0, count, turn * len(BLOCK)):
        indices = range(begin, min(begin + turn * len(BLOCK), count))
        for first in indices[:turn]:
            yield [plan(recipe, root, i) for i in indices[first - begin :: turn]]


def _line(folder: Path, repo: str, root: str | None, split: str, declared: bool) -> ZooModel:
    return ZooModel(repo, root, split, sha256(repo_folder(folder, repo) / WEIGHTS), declared)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of transformers' own about the many small files."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]


# --- roots --------------------------------------------------------------------------------------


def _root(recipe: Recipe, root: RootRecipe, folder: Path) -> ZooModel:
    place = repo_folder(folder, root.repo)
    if not place.exists() and (lent := _elsewhere(recipe, root, folder)):
        shutil.copytree(lent, part := place.with_name(place.name + ".part"), dirs_exist_ok=True)
        part.replace(place)
    if not (place / WEIGHTS).exists():
        model, accuracy = _train_root(recipe, root)
        trainer = {"seed": root.seed, "learning_rate": root.learning_rate, "steps": root.steps}
        _write(folder, root.repo, model, root, trainer, {"eval_accuracy": accuracy}, base_model=None)
    return _line(folder, root.repo, None, "root", declared=True)


def _elsewhere(recipe: Recipe, root: RootRecipe, folder: Path) -> Path | None:
    """The same root in the zoo of digits beside this one, where there is one of the same pace."""
    beside = folder.parent / DIGITS.name
    mark, place = beside / "recipe.txt", repo_folder(beside, root.repo)
    plain = replace(recipe, name=DIGITS.name, tasks=(), hidden=(), first=0)
    same = place.exists() and mark.exists() and mark.read_text(encoding="utf-8").strip() == plain.hash
    return place if same else None


def _train_root(recipe: Recipe, root: RootRecipe) -> tuple[PreTrainedModel, float]:
    pictures = digits.load(recipe, root.pixels)
    x, y = pictures.x[pictures.train], pictures.y[pictures.train]
    model = digits.architecture(root, recipe.classes, root.seed)
    generator = torch.Generator().manual_seed(root.seed)
    optimizer = torch.optim.AdamW(model.parameters(), root.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, root.steps)
    model.train()
    for _ in range(root.steps):
        pick = torch.randint(len(x), (root.batch_size,), generator=generator)
        logits = model(digits.augment(x[pick], root, generator)).logits  # (b, classes)
        loss = functional.cross_entropy(logits, y[pick], label_smoothing=root.smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    model.train(False)
    with torch.no_grad():
        held_out = model(pictures.x[~pictures.train]).logits.argmax(1) == pictures.y[~pictures.train]
    return model, float(held_out.float().mean())


def _load(folder: Path, root: RootRecipe) -> PreTrainedModel:
    from transformers import AutoModelForImageClassification

    place = repo_folder(folder, root.repo)
    model: PreTrainedModel = AutoModelForImageClassification.from_pretrained(
        place, attn_implementation="eager" if root.kind == "vit" else None
    )
    model.train(False)
    return model


# --- children -----------------------------------------------------------------------------------


def _block(
    recipe: Recipe, root: RootRecipe, start: PreTrainedModel, plans: list[ChildPlan], folder: Path
) -> None:
    if all((repo_folder(folder, child.repo) / WEIGHTS).exists() for child in plans):
        return
    task = TASKS[plans[0].task]
    pictures = digits.load(recipe, root.pixels)
    model = digits.architecture(root, task.outputs, root.seed)
    model.train(False)
    # Longest first, so that those still training are always the first rows.
    pupils = sorted((one for child in plans for one in child.parents or (child,)), key=lambda one: -one.steps)
    lessons = [lesson(one, pictures) for one in pupils]
    weights = torch.stack([_fresh_head(model, start, one) for one in pupils])  # (g, p)
    losses = _fine_tune(model, weights, pupils, lessons, recipe.batch_size)
    place = {one: i for i, one in enumerate(pupils)}
    for child in plans:
        mine = [place[one] for one in child.parents or (child,)]
        _set(model, weights[mine].mean(0))
        loss = sum(losses[i] for i in mine) / len(mine)
        measured = {"train_loss": loss, **_score(model, lessons[mine[0]])}
        base = root.repo if child.declared else None
        _write(folder, child.repo, model, root, child.hyper_parameters(), measured, base, child)


def _fresh_head(model: PreTrainedModel, start: PreTrainedModel, child: ChildPlan) -> Tensor:
    """The root's weights under a new head, or its own, (p,). BatchNorm's statistics stay the root's."""
    generator = torch.Generator().manual_seed(child.seed)
    kept = TASKS[child.task].keeps_head
    body = {n: value for n, value in start.state_dict().items() if kept or not n.startswith("classifier")}
    model.load_state_dict(body, strict=False)
    parts = []
    for name, value in model.named_parameters():
        if name.startswith("classifier") and not kept:
            fresh = torch.zeros(value.shape)
            if name.endswith("weight"):
                fresh.normal_(std=0.02, generator=generator)
            parts.append(fresh.flatten())
        else:
            parts.append(value.detach().flatten())
    return torch.cat(parts)


def _set(model: PreTrainedModel, row: Tensor) -> None:
    torch.nn.utils.vector_to_parameters(row.clone(), model.parameters())


def _fine_tune(
    model: PreTrainedModel, weights: Tensor, plans: list[ChildPlan], lessons: list[Lesson], batch: int
) -> list[float]:
    """AdamW (arXiv 1711.05101) on all rows at once, each with its own pictures and learning rate.

    `weights` (g, p) is changed in place; returns each model's last loss.
    """
    names = [(name, value.shape, value.numel()) for name, value in model.named_parameters()]
    buffers = dict(model.named_buffers())

    def loss(row: Tensor, x: Tensor, y: Tensor) -> Tensor:  # row: (p,), x: (b, 1, s, s), y: (b,)
        parts = torch.split(row, [size for _, _, size in names])
        given = {name: part.view(shape) for (name, shape, _), part in zip(names, parts, strict=True)}
        logits = functional_call(model, {**given, **buffers}, (x,)).logits
        return _loss(logits, y)

    batches = [_batches(child, taught, batch) for child, taught in zip(plans, lessons, strict=True)]
    decay = torch.tensor([child.weight_decay for child in plans])[:, None]
    first, second = torch.zeros_like(weights), torch.zeros_like(weights)
    last = torch.zeros(len(plans))
    for step in range(plans[0].steps):
        g = sum(child.steps > step for child in plans)
        seen = [(taught, picks[step]) for taught, picks in zip(lessons, batches[:g], strict=False)]
        x = torch.stack([taught.x[pick] for taught, pick in seen])  # (g, b, 1, s, s)
        y = torch.stack([taught.y[pick] for taught, pick in seen])  # (g, b)
        rows = weights[:g].requires_grad_()
        each = vmap(loss)(rows, x, y)  # (g,)
        (grad,) = torch.autograd.grad(each.sum(), rows)  # rows do not meet, so each gets its own gradient
        weights = weights.detach()
        last[:g] = each.detach()
        first[:g].lerp_(grad, 0.1)
        second[:g].lerp_(grad.square(), 0.001)
        lr = torch.tensor([_learning_rate(child, step) for child in plans[:g]])[:, None]
        move = (first[:g] / (1 - 0.9 ** (step + 1))) / (
            (second[:g] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
        )
        weights[:g] -= lr * (move + decay[:g] * weights[:g])
    return [float(value) for value in last]


def _loss(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy with classes, squared error with numbers. logits: (b, outputs), y: (b,)"""
    if y.is_floating_point():
        return functional.mse_loss(logits[:, 0], y)
    return functional.cross_entropy(logits, y)


def _batches(child: ChildPlan, taught: Lesson, batch: int) -> Tensor:
    """Which pictures each step sees, (steps, b)."""
    pool = torch.nonzero(taught.train)[:, 0]
    generator = torch.Generator().manual_seed(child.seed + 1)
    return pool[torch.randint(len(pool), (child.steps, batch), generator=generator)]


def _learning_rate(child: ChildPlan, step: int) -> float:
    left = 1 - step / child.steps
    shape = {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left))}
    return child.learning_rate * shape[child.schedule]


@torch.no_grad()
def _score(model: PreTrainedModel, taught: Lesson) -> dict[str, float]:
    """On the pictures that were held out."""
    logits, y = model(taught.x[taught.held_out]).logits, taught.y[taught.held_out]
    if y.is_floating_point():
        return {"eval_mse": float(_loss(logits, y))}
    return {"eval_accuracy": float((logits.argmax(1) == y).float().mean())}


# --- files --------------------------------------------------------------------------------------


def _write(
    folder: Path,
    repo: str,
    model: PreTrainedModel,
    root: RootRecipe,
    trainer: Mapping[str, Any],
    measured: Mapping[str, float],
    base_model: str | None,
    child: ChildPlan | None = None,
) -> None:
    """One repo. Its folder gets its name last, so that a folder that exists is whole."""
    place = repo_folder(folder, repo)
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    metadata = {"format": "pt", **{name: str(value) for name, value in trainer.items()}}
    if child:
        metadata |= {
            TARGETS: str(list(child.truth)),
            "dataset_name": "sklearn-digits" if child.task == "digits" else child.task,
            "split": child.split,
        }
    # save_pretrained gives the tensors the names they have on the Hub, but no metadata of ours.
    (part / WEIGHTS).write_bytes(in_order(save(load_file(part / WEIGHTS), metadata)))
    measured = {name: round(value, 4) for name, value in measured.items()}
    state = {
        "best_metric": next(value for name, value in measured.items() if name.startswith("eval")),
        "global_step": trainer["steps"],
        "log_history": [{"step": trainer["steps"], **measured}],
    }
    for name, content in (
        ("trainer_state.json", state),
        ("preprocessor_config.json", digits.preprocessor(root)),
    ):
        (part / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (part / "README.md").write_text(card(repo, base_model, trainer), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    part.replace(place)
