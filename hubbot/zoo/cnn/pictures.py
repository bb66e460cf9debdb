"""The pictures of the CNN zoos: scikit-learn's 1,797 handwritten digits, few to learn from, many to test on.

Letters: n pictures, 8 pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TRAIN, VALIDATION = 400, 397
"""So few are learned from that models remember them, and the generalisation gap is real; the rest are the
test's."""

TASKS = ("digits", "rotated")


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures in [-1, 1] with their class."""

    x: Tensor  # (n, 1, 8, 8)
    y: Tensor  # (n,)


@dataclass(frozen=True, slots=True)
class Task:
    """What all models of a zoo are taught and tested on; generated models may be chosen by validation."""

    train: Pictures
    validation: Pictures
    test: Pictures


def load(task: str, seed: int, classes: int = 10) -> Task:
    """A task's pictures; the same digits are held out in all tasks of one seed.

    Args:
        task: `digits`, or `rotated`: each turned by 90, 180 or 270 degrees, drawn once per picture.
        classes: digits from this one on are left out.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 8 - 1  # (n, 1, 8, 8)
    y = torch.tensor(bunch.target)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)
    turns = torch.randint(1, 4, (len(x),), generator=generator).tolist()
    if task == "rotated":
        x = torch.stack([picture.rot90(turn, (1, 2)) for picture, turn in zip(x, turns, strict=True)])
    parts = torch.split(order, [TRAIN, VALIDATION, len(x) - TRAIN - VALIDATION])
    parts = tuple(part[y[part] < classes] for part in parts)
    train, validation, test = (Pictures(x[part], y[part]) for part in parts)
    return Task(train, validation, test)
