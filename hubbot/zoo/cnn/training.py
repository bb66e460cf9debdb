"""Train a block of nets as one computation, each from its own seed, and measure every epoch.

Rows of weights do not meet: one sum of losses gives each its own gradient, and optimisers work on rows.

Letters: those of `steps` and `nets`; e epochs kept, n pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.zoo.cnn.nets import Net
from hubbot.zoo.cnn.pictures import Pictures, Task
from hubbot.zoo.cnn.recipes import CnnPlan, CnnRecipe

MOMENTUM = 0.9
CHUNK = 100
"""Pictures that are looked at at once when models are measured, so that what is between fits the cache."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of a block. The training pictures are those that a model saw, and no others."""

    weights: Tensor  # (g, e, p)
    epoch: Tensor  # (e,)
    accuracy: Tensor  # (g, e), on test pictures
    loss: Tensor  # (g, e)
    train_accuracy: Tensor  # (g, e)
    train_loss: Tensor  # (g, e)


def train(
    recipe: CnnRecipe, net: Net, plans: Sequence[CnnPlan], task: Task, start: Tensor | None = None
) -> Trained:
    """Train models of one activation to the last epoch, from birth or from weights (g, p) that are given."""
    generators = [torch.Generator().manual_seed(one.seed) for one in plans]
    born = [net.born(1, one.init, its) for one, its in zip(plans, generators, strict=True)]
    rows = torch.cat(born) if start is None else start.clone()  # (g, p)
    pools = [_pool(one, len(task.train.y), its) for one, its in zip(plans, generators, strict=True)]
    optimizer = Optimizer(net, plans)
    kept, measured = [], []
    for epoch in range(recipe.epochs + 1):
        if epoch:
            _epoch(recipe, net, plans, rows, task.train, pools, generators, optimizer)
        if epoch in recipe.seen:
            kept.append(rows.clone())
            measured.append(measure(net, rows, plans[0].activation, task, pools))
    figures = torch.stack(measured, 2)  # (4, g, e)
    return Trained(torch.stack(kept, 1), torch.tensor(recipe.seen), *figures)


class Optimizer:
    """AdamW (arXiv 1711.05101) for some rows, momentum with decoupled decay for the others."""

    def __init__(self, net: Net, plans: Sequence[CnnPlan]) -> None:
        self.first = torch.zeros(len(plans), net.size)
        self.second = torch.zeros(len(plans), net.size)
        self.step = 0
        self.adam = torch.tensor([one.optimizer == "adam" for one in plans])[:, None]
        self.rate = torch.tensor([one.learning_rate for one in plans])[:, None]
        decay = torch.tensor([one.weight_decay for one in plans])[:, None]
        self.decay = decay * ~net.running  # (g, p)

    def move(self, rows: Tensor, grad: Tensor) -> None:
        """One step, in place. rows, grad: (g, p)"""
        self.step += 1
        # SGD sums gradients up where Adam averages them.
        self.first.mul_(torch.where(self.adam, 0.9, MOMENTUM)).add_(grad * torch.where(self.adam, 0.1, 1.0))
        self.second.lerp_(grad.square(), 0.001)
        size = (self.second / (1 - 0.999**self.step)).sqrt_().add_(1e-8)
        adam = self.first / (1 - 0.9**self.step) / size
        rows -= self.rate * (torch.where(self.adam, adam, self.first) + self.decay * rows)


def _epoch(
    recipe: CnnRecipe,
    net: Net,
    plans: Sequence[CnnPlan],
    rows: Tensor,
    pictures: Pictures,
    pools: Sequence[Tensor],
    generators: Sequence[torch.Generator],
    optimizer: Optimizer,
) -> None:
    """So many steps as all pictures take; `rows` (g, p) is changed in place."""
    b = recipe.batch_size
    steps = len(pictures.y) // b
    picks = torch.stack(
        [_order(pool, steps * b, its).view(steps, b) for pool, its in zip(pools, generators, strict=True)], 1
    )  # (steps, g, b)
    keep = _keep(net, plans, (steps, b), generators)
    for step, pick in enumerate(picks):
        live = rows.detach().requires_grad_()
        logits, running = net.taught(
            live, pictures.x[pick], plans[0].activation, None if keep is None else keep[:, step]
        )
        loss = functional.cross_entropy(logits.flatten(0, 1), pictures.y[pick].flatten(), reduction="sum") / b
        (grad,) = torch.autograd.grad(loss, live)
        optimizer.move(rows, grad)
        rows[:, net.running] = running


def _pool(one: CnnPlan, n: int, generator: torch.Generator) -> Tensor:
    """The pictures that a model sees."""
    return torch.randperm(n, generator=generator)[: round(one.share * n)]


def _order(pool: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of a pool's pictures, each once before any comes twice."""
    rounds = -(-count // len(pool))
    return torch.cat([pool[torch.randperm(len(pool), generator=generator)] for _ in range(rounds)])[:count]


def _keep(
    net: Net, plans: Sequence[CnnPlan], shape: tuple[int, int], generators: Sequence[torch.Generator]
) -> Tensor | None:
    """What dropout keeps in an epoch, (g, steps, units, b)."""
    if not any(one.dropout for one in plans):
        return None
    steps, b = shape
    drawn = [torch.rand(steps, net.units, b, generator=its) for its in generators]
    rate = torch.tensor([one.dropout for one in plans])[:, None, None, None]
    return (torch.stack(drawn) >= rate) / (1 - rate)


@torch.no_grad()
def measure(net: Net, rows: Tensor, activation: str, task: Task, pools: Sequence[Tensor]) -> Tensor:
    """Accuracy and loss on test pictures, then on those that each model saw, (4, g)."""
    right, loss = answers(net, rows, activation, task.test)
    seen, remembered = answers(net, rows, activation, task.train)
    mine = torch.stack([torch.zeros(len(task.train.y)).index_fill(0, pool, 1 / len(pool)) for pool in pools])
    return torch.stack([right.mean(1), loss.mean(1), (seen * mine).sum(1), (remembered * mine).sum(1)])


def answers(net: Net, rows: Tensor, activation: str, pictures: Pictures) -> tuple[Tensor, Tensor]:
    """Whether each picture is told rightly, and its loss, (g, n) both."""
    parts = []
    for x, y in zip(torch.split(pictures.x, CHUNK), torch.split(pictures.y, CHUNK), strict=True):
        logits = net.logits(rows, x, activation).transpose(1, 2)  # (g, classes, b)
        loss = functional.cross_entropy(logits, y.expand(len(rows), -1), reduction="none")
        parts.append(torch.stack([(logits.argmax(1) == y).float(), loss]))
    right, losses = torch.cat(parts, 2)
    return right, losses
