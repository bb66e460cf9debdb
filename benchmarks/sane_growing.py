"""Where made models are a start: another task of equal input, a wider net, a deeper one, fewer classes.

Each start is trained for equal steps as the target's own recipe trains it. Beside it stand scratch, and the
prompts brought over in the same way, which is what one has without any autoencoder. The ten best of each are
chosen before, by validation pictures of the task that they come from, or there, by those of the target and
untrained, as whoever has a task would.

Letters: n models, p numbers of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.sane_making import BEST, Maker, accuracy, fine_tuned
from hubbot.sane import grow, sample
from hubbot.sane.train import flattened, unflattened
from hubbot.zoo.cnn import pictures
from hubbot.zoo.cnn.nets import NETS, Net
from hubbot.zoo.cnn.recipes import CNNS
from hubbot.zoo.cnn.symmetry import symmetries

EPOCHS = (0, 1, 5, 25)

Grow = Callable[[Tensor, torch.Generator], Tensor]
"""Models of the prompts' net (n, p) as models of the target's (n, p')."""


def targets(net: Net) -> dict[str, tuple[str, Net, Grow]]:
    """By name: the recipe that trains it, its net, and how a model gets there."""

    def wide(weights: Tensor, draw: torch.Generator) -> Tensor:
        more, values = NETS["cnn-wide"], unflattened(weights, net.shapes)
        return flattened(grow.widened(values, symmetries(net), symmetries(more), draw), more.shapes)

    def deep(weights: Tensor, _: torch.Generator) -> Tensor:
        shapes = NETS["cnn-deep"].shapes
        return flattened(grow.deepened(unflattened(weights, net.shapes), shapes), shapes)

    def fewer(weights: Tensor, draw: torch.Generator) -> Tensor:
        head = ["fc2.weight", "fc2.bias"]
        values = grow.with_classes(unflattened(weights, net.shapes), head, NETS["cnn-5"].classes, draw)
        return flattened(values, NETS["cnn-5"].shapes)

    return {
        "digits turned by quarters": ("cnn-rotated", net, lambda weights, _: weights),
        "half as wide again": ("cnn-digits", NETS["cnn-wide"], wide),
        "one layer deeper": ("cnn-digits", NETS["cnn-deep"], deep),
        "a head of 5 classes": ("cnn-digits", NETS["cnn-5"], fewer),
    }


CHOSEN = "before", "there"


def pools(maker: Maker) -> dict[str, Tensor]:
    """What the ten best of each way are chosen from, as nets of the prompts' kind. (n, p) each"""
    draws = 2 * maker.count
    return {
        "prompts": maker.prompts,
        "prompt + noise": maker.noisy(count=draws),
        "SUB": maker.made(sample.kde(maker.embedded(maker.prompts), draws, maker.draw)),
    }


def transferred(
    maker: Maker, target: str, seed: int, epochs: tuple[int, ...]
) -> Mapping[str, Mapping[int, Tensor]]:
    """Test accuracies of ten models by start and epoch, (10,) each."""
    own = maker.study.history
    recipe_name, net, grown = targets(own.net)[target]
    recipe = replace(CNNS[recipe_name], net=net.name)
    task = pictures.load(recipe.task, recipe.seed, net.classes)
    every = {"scratch": net.born(BEST, recipe.inits[0], torch.Generator().manual_seed(seed))}
    for name, pool in pools(maker).items():
        every[f"{name}, chosen before"] = grown(maker.top(pool, BEST), maker.draw)
        there = grown(pool, maker.draw)
        right = accuracy(net, there, maker.activation, task.validation)
        every[f"{name}, chosen there"] = there[right.topk(min(BEST, len(there))).indices]
    return {
        name: fine_tuned(net, start, recipe, task, maker.activation, epochs, seed)
        for name, start in every.items()
    }
