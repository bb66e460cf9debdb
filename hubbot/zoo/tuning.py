"""Fine-tune many models of one architecture as one computation.

The weights of a block of models are the rows of one matrix, and `torch.func.vmap` runs transformers' own
module over it: several times faster than one model after another.

Letters: g models in a block, p parameters of a model, q numbers of it that are trained, b pictures in a
batch, s pixels a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional

from hubbot.zoo import digits
from hubbot.zoo.digits import Pictures
from hubbot.zoo.recipes import ChildPlan, RootRecipe
from hubbot.zoo.tasks import Lesson

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Grow = Callable[[Tensor], Tensor]
"""What is trained of the first g models, (g, q), to their weights, (g, p)."""


def train_root(root: RootRecipe, classes: int, pictures: Pictures) -> tuple[PreTrainedModel, float]:
    """A root from scratch, on all classes; and its accuracy on the pictures that were held out."""
    x, y = pictures.x[pictures.train], pictures.y[pictures.train]
    model = digits.architecture(root, classes, root.seed)
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


def newborn(model: PreTrainedModel, body: Mapping[str, Tensor], child: ChildPlan, *, kept: bool) -> Tensor:
    """These weights under a new head of the child's, or under their own if it is kept, (p,)."""
    generator = torch.Generator().manual_seed(child.seed)
    used = {n: value for n, value in body.items() if kept or not n.startswith("classifier")}
    model.load_state_dict(used, strict=False)
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


def put(model: PreTrainedModel, row: Tensor) -> None:
    """Give a model the weights of one row."""
    torch.nn.utils.vector_to_parameters(row.clone(), model.parameters())


def fine_tune(
    model: PreTrainedModel,
    rows: Tensor,
    plans: Sequence[ChildPlan],
    lessons: Sequence[Lesson],
    batch: int,
    grow: Grow = lambda rows: rows,
) -> list[float]:
    """AdamW (arXiv 1711.05101) on all rows at once, each with its own pictures and learning rate.

    `rows` (g, q) is changed in place; returns each model's last loss.

    Args:
        plans: the longest first, so that those still training are always the first rows.
    """
    names = [(name, value.shape, value.numel()) for name, value in model.named_parameters()]
    buffers = dict(model.named_buffers())

    def loss(row: Tensor, x: Tensor, y: Tensor) -> Tensor:  # row: (p,), x: (b, 1, s, s), y: (b,)
        parts = torch.split(row, [size for _, _, size in names])
        given = {name: part.view(shape) for (name, shape, _), part in zip(names, parts, strict=True)}
        logits = functional_call(model, {**given, **buffers}, (x,)).logits
        return criterion(logits, y)

    batches = [_batches(child, taught, batch) for child, taught in zip(plans, lessons, strict=True)]
    decay = torch.tensor([child.weight_decay for child in plans])[:, None]
    first, second = torch.zeros_like(rows), torch.zeros_like(rows)
    last = torch.zeros(len(plans))
    for step in range(plans[0].steps):
        g = sum(child.steps > step for child in plans)
        seen = [(taught, picks[step]) for taught, picks in zip(lessons, batches[:g], strict=False)]
        x = torch.stack([taught.x[pick] for taught, pick in seen])  # (g, b, 1, s, s)
        y = torch.stack([taught.y[pick] for taught, pick in seen])  # (g, b)
        live = rows[:g].detach().requires_grad_()
        each = vmap(loss)(grow(live), x, y)  # (g,)
        (grad,) = torch.autograd.grad(each.sum(), live)  # rows do not meet, so each gets its own gradient
        last[:g] = each.detach()
        first[:g].lerp_(grad, 0.1)
        second[:g].lerp_(grad.square(), 0.001)
        lr = torch.tensor([_learning_rate(child, step) for child in plans[:g]])[:, None]
        move = (first[:g] / (1 - 0.9 ** (step + 1))) / (
            (second[:g] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
        )
        rows[:g] -= lr * (move + decay[:g] * rows[:g])
    return [float(value) for value in last]


def criterion(logits: Tensor, y: Tensor) -> Tensor:
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
def score(model: PreTrainedModel, taught: Lesson) -> dict[str, float]:
    """On the pictures that were held out."""
    logits, y = model(taught.x[taught.held_out]).logits, taught.y[taught.held_out]
    if y.is_floating_point():
        return {"eval_mse": float(criterion(logits, y))}
    return {"eval_accuracy": float((logits.argmax(1) == y).float().mean())}
