"""Models that nobody trained: drawn from embeddings of trained ones, beside what is had without any of that.

The criticism of such generators (arXiv 2506.07998) is that they give their prompts back, or something between
them, and that noise on a prompt does as well. So each way of making models stands beside the prompts, their
own reconstruction, prompts with noise, and averages of aligned prompts, with its distance to the nearest
prompt; and where one may choose by validation pictures, all may: `best` is the mean of the ten best by those.
What is kept `by estimate` is what `hubbot sane sample` keeps, which has no pictures: as many of as many, by
the accuracy that the autoencoder estimates.

Letters: m prompts, n models made, p numbers of a model, N tokens, z numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from hubbot.sane import sample
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.embed import decoded, embed
from hubbot.sane.train import flattened, unflattened
from hubbot.training.sane import Study, concluded
from hubbot.zoo.cnn.nets import Net
from hubbot.zoo.cnn.pictures import Pictures, Task
from hubbot.zoo.cnn.recipes import CNNS, CnnRecipe, plan
from hubbot.zoo.cnn.training import answers, train

PROMPTS, MADE, BEST, FEW = 50, 200, 10, 5
SHARE = 0.3
"""Prompts are drawn from the best of the training models, this share of them."""
NOISE = 0.1


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes models of one activation from prompts.

    Args:
        prompts: (m, p), aligned.
        count: of models that each way makes.
    """

    model: Autoencoder
    study: Study
    task: Task
    prompts: Tensor
    activation: str
    draw: torch.Generator
    count: int

    @classmethod
    def of(cls, model: Autoencoder, study: Study, seed: int, count: int = MADE) -> Maker:
        """The prompts are training models at their last epoch, the best by validation pictures."""
        lessons, task = study.of_split("train").history, study.history.pictures()
        activation = lessons.activation[0]
        last = lessons.weights[[i for i, act in enumerate(lessons.activation) if act == activation], -1]
        right = accuracy(study.history.net, last, activation, task.validation)
        best = last[right.topk(min(len(last), max(PROMPTS, round(SHARE * len(last))))).indices]
        draw = torch.Generator().manual_seed(seed)
        picked = best[torch.randperm(len(best), generator=draw)[:PROMPTS]]
        return cls(model, study, task, picked, activation, draw, count)

    # --- there and back ---------------------------------------------------------------------

    def embedded(self, weights: Tensor) -> Tensor:
        """(n, p) -> (n, N, z)"""
        return embed(self.model, self.study.layout.tokens(unflattened(weights, self.study.shapes)))

    def weights(self, tokens: Tensor) -> Tensor:
        """(n, N, t) -> (n, p); what is no token is the prompts' mean, BatchNorm is measured anew."""
        values = self.study.layout.values(tokens)
        mean = unflattened(self.prompts.mean(0, keepdim=True), self.study.shapes)
        left = {
            name: mean[name].expand(len(tokens), *mean[name].shape[1:]) for name in self.study.layout.left_out
        }
        return self.conditioned(flattened(values | left, self.study.shapes))

    def conditioned(self, weights: Tensor) -> Tensor:
        """BatchNorm's statistics measured on training pictures; any other net as it is."""
        return self.study.history.net.conditioned(weights, self.task.train.x, self.activation)

    def made(self, z: Tensor) -> Tensor:
        """(n, N, z) -> (n, p)"""
        return self.weights(decoded(self.model, z))

    def score(self, tokens: Tensor) -> Tensor:
        """Accuracy on validation pictures. (n, N, t) -> (n,)"""
        return accuracy(self.study.history.net, self.weights(tokens), self.activation, self.task.validation)

    def estimate(self) -> sample.Score:
        """Accuracy as the autoencoder's properties have it, of which no test model is a part."""
        return sample.estimated(concluded(self.model, self.study, "making", {}), "accuracy")

    # --- ways of making -----------------------------------------------------------------------

    def ways(self) -> dict[str, Callable[[], Tensor]]:
        """Each way by name: () -> (n, p)."""
        estimate = cache(self.estimate)
        return {
            "random init": self.born,
            "prompts": lambda: self.prompts,
            "prompts, averaged in pairs": self.pairs,
            "prompts, all averaged": lambda: self.prompts.mean(0, keepdim=True),
            "prompt + noise": self.noisy,
            "prompt + noise, again around the best": self.noisy_again,
            "prompts rebuilt": lambda: self.made(self.embedded(self.prompts)),
            "KDE": lambda: self.made(sample.kde(self.embedded(self.prompts), self.count, self.draw)),
            "KDE, tokens independent": lambda: self.made(
                sample.independent(self.embedded(self.prompts), self.count, self.draw)
            ),
            f"KDE of {FEW} prompts": lambda: self.made(
                sample.kde(self.embedded(self.prompts[:FEW]), self.count, self.draw)
            ),
            "SUB": self.sub,
            "BOOT": self.boot,
            "GAUSS": self.gauss,
            "SUB by estimate": lambda: self.sub(estimate()),
            "BOOT by estimate": lambda: self.boot(estimate()),
            "GAUSS by estimate": lambda: self.gauss(estimate()),
        }

    def born(self) -> Tensor:
        return self.conditioned(self.study.history.net.born(self.count, "uniform", self.draw))

    def pairs(self) -> Tensor:
        one, other = (
            self.prompts[torch.randint(len(self.prompts), (self.count,), generator=self.draw)] for _ in "ab"
        )
        return self.conditioned((one + other) / 2)

    def noisy(self, around: Tensor | None = None, count: int | None = None) -> Tensor:
        centres = self.prompts if around is None else around
        picked = centres[torch.randint(len(centres), (count or self.count,), generator=self.draw)]
        noise = NOISE * self.prompts.std(0) * torch.randn(picked.shape, generator=self.draw)
        return self.conditioned(picked + noise)

    def noisy_again(self) -> Tensor:
        """What BOOT does, with weights themselves in place of embeddings."""
        keep, rows = self.count // 4, self.noisy()
        for _ in range(5):
            best = self.top(rows, keep)
            rows = torch.cat([best, self.noisy(best, self.count - keep)])
        return self.top(rows, keep)

    def top(self, weights: Tensor, keep: int) -> Tensor:
        """The best by validation pictures."""
        right = accuracy(self.study.history.net, weights, self.activation, self.task.validation)
        return weights[right.topk(min(keep, len(right))).indices]

    def sub(self, score: sample.Score | None = None) -> Tensor:
        z = sample.kde(self.embedded(self.prompts), 2 * self.count, self.draw)
        return self.made(sample.best(self.model, z, score or self.score, self.count // 4)[0])

    def boot(self, score: sample.Score | None = None) -> Tensor:
        z = sample.kde(self.embedded(self.prompts), self.count, self.draw)
        return self.made(sample.boot(self.model, z, score or self.score, self.count // 4, self.draw)[0])

    def gauss(self, score: sample.Score | None = None) -> Tensor:
        z, score = sample.gauss(self.embedded(self.prompts), self.count, self.draw), score or self.score
        return self.made(sample.boot(self.model, z, score, self.count // 4, self.draw, bandwidth=1.0)[0])

    # --- what they are worth ------------------------------------------------------------------

    def nearest(self, weights: Tensor) -> float:
        """The mean distance to the nearest prompt, where 1 is that of a prompt to its nearest other."""
        own = torch.cdist(self.prompts, self.prompts).fill_diagonal_(float("inf")).min(1).values.mean()
        far = torch.cdist(weights, self.prompts)
        return float(far.min(1).values.mean() / own)

    def spread(self, weights: Tensor) -> float:
        """How far the models lie from one another, in mean distances of the prompts."""
        if len(weights) < 2:
            return 0.0
        return float(torch.pdist(weights).mean() / torch.pdist(self.prompts).mean())


def accuracy(net: Net, weights: Tensor, activation: str, pictures: Pictures) -> Tensor:
    """(n, p) -> (n,)"""
    with torch.no_grad():
        # Few models at a time, so that what lies between layers fits the cache.
        some = torch.split(weights, 20)
        return torch.cat([answers(net, rows, activation, pictures)[0].mean(1) for rows in some])


def fine_tuned(
    net: Net,
    start: Tensor,
    recipe: CnnRecipe,
    task: Task,
    activation: str,
    epochs: tuple[int, ...],
    seed: int,
) -> Mapping[int, Tensor]:
    """Test accuracy after some epochs of training from weights (n, p), by epoch: (n,). 0 is before any."""
    hurried = replace(recipe, epochs=max(epochs), kept=epochs)
    plans = [replace(plan(recipe, i), activation=activation, seed=seed + i) for i in range(len(start))]
    trained = train(hurried, net, plans, task, start)
    return {epoch: trained.accuracy[:, i] for i, epoch in enumerate(epochs)}


@dataclass(frozen=True, slots=True)
class Worth:
    """What one way of making models gives: test accuracies in [0, 1].

    Args:
        every: mean over all that were made.
        best: mean over the ten best by validation, after 0, 1 and 5 epochs.
        nearest, spread: see `Maker`.
    """

    every: float
    best: Mapping[int, float]
    nearest: float
    spread: float


def worth(maker: Maker, weights: Tensor, epochs: tuple[int, ...] = (0, 1, 5), seed: int = 0) -> Worth:
    """Measure what was made, (n, p)."""
    history = maker.study.history
    net, recipe = history.net, CNNS[history.recipe]
    best = maker.top(weights, BEST)
    told = fine_tuned(net, best, recipe, maker.task, maker.activation, epochs, seed)
    return Worth(
        every=float(accuracy(net, weights, maker.activation, maker.task.test).mean()),
        best={epoch: float(value.mean()) for epoch, value in told.items()},
        nearest=maker.nearest(weights),
        spread=maker.spread(weights),
    )
