"""What the CNN zoos are made of, in numbers: frozen, and told apart by a hash.

Model `i` depends on the recipe and `i` alone. Either all models of a zoo have the same hyper-parameters
and differ by their seeds, or each draws its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from hubbot.zoo.recipes import OWNERS, digest, log_uniform, sized

SPLITS = ("train",) * 14 + ("validation",) * 3 + ("test",) * 3
"""Of any 20 neighbours: 70/15/15. All epochs of a model are in its split."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many models a zoo has, a multiple of 20, and how many epochs they are trained; 0 for all."""

    models: int
    epochs: int = 0


@dataclass(frozen=True)
class CnnRecipe:
    """Nets of one architecture, all trained from scratch on one task.

    Args:
        net: a key of `nets.NETS`.
        task: one of `pictures.TASKS`.
        epochs: each of so many steps as all training pictures take, though a model may see fewer pictures.
        kept: of these epochs the weights are kept; none: of all, and of epoch 0, before any training.
        block: models that are trained at once, all with the same activation. Fewer fit the cache better.
        activations: in turn.
        inits: keys of `nets.INITS`.
        rates: the log-uniform range of the learning rate, by optimiser, `adam` or `sgd` (of momentum 0.9).
        weight_decay: decoupled from the gradient, as AdamW's.
        shares: of the training pictures that a model sees.
        sizes: by name.
    """

    name: str
    seed: int
    net: str
    task: str = "digits"
    epochs: int = 25
    kept: tuple[int, ...] = ()
    batch_size: int = 25
    block: int = 20
    activations: tuple[str, ...] = ("tanh",)
    inits: tuple[str, ...] = ("uniform",)
    rates: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    weight_decay: tuple[float, ...] = (0.0,)
    dropout: tuple[float, ...] = (0.0,)
    shares: tuple[float, ...] = (1.0,)
    sizes: Mapping[str, Size] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Changes with anything that could change a model (sizes only say how many there are)."""
        return digest({name: value for name, value in asdict(self).items() if name != "sizes"})

    def total(self, size: str) -> int:
        """How many models a size has.

        Raises:
            ZooError: there is no such size.
        """
        return sized(self.sizes, size).models

    def at(self, size: str) -> CnnRecipe:
        """The recipe as that size cooks it; itself, unless the size is a hurried one."""
        epochs = sized(self.sizes, size).epochs or self.epochs
        kept = tuple(epoch for epoch in self.kept or range(self.epochs + 1) if epoch <= epochs)
        return self if epochs == self.epochs else replace(self, epochs=epochs, kept=kept)

    @property
    def seen(self) -> tuple[int, ...]:
        """The epochs of which weights are kept."""
        return self.kept or tuple(range(self.epochs + 1))


@dataclass(frozen=True, slots=True)
class CnnPlan:
    """Everything that decides one model.

    Args:
        share: of the training pictures, those that it sees; which they are is its seed's to say.
    """

    repo: str
    split: str
    seed: int
    activation: str
    init: str
    optimizer: str
    learning_rate: float
    weight_decay: float
    dropout: float
    share: float


def plan(recipe: CnnRecipe, index: int) -> CnnPlan:
    """Model `index`, drawn from the recipe's ranges."""
    draw = random.Random(f"{recipe.seed}/{recipe.name}/{index}")  # noqa: S311  reproducible, not secret
    optimizer = draw.choice(sorted(recipe.rates))
    number = (index * 3571 + 421) % 10000  # 3571 and 10000 share no factor
    return CnnPlan(
        repo=f"{draw.choice(OWNERS)}/{draw.choice(STEMS).format(recipe.net)}-{number:04}",
        split=_split(recipe, index),
        seed=draw.randrange(2**31),
        activation=recipe.activations[index % len(recipe.activations)],
        init=draw.choice(recipe.inits),
        optimizer=optimizer,
        learning_rate=log_uniform(draw, *recipe.rates[optimizer]),
        weight_decay=draw.choice(recipe.weight_decay),
        dropout=draw.choice(recipe.dropout),
        share=draw.choice(recipe.shares),
    )


STEMS = ("{}", "my-{}", "small-{}", "{}-images", "{}-run", "tiny-{}")


def blocks(recipe: CnnRecipe, count: int) -> Iterator[list[CnnPlan]]:
    """The models in order, those of one activation together."""
    turn = len(recipe.activations)
    for begin in range(0, count, turn * recipe.block):
        indices = range(begin, min(begin + turn * recipe.block, count))
        for first in indices[:turn]:
            yield [plan(recipe, i) for i in indices[first - begin :: turn]]


def _split(recipe: CnnRecipe, index: int) -> str:
    block, place = divmod(index, len(SPLITS))
    order = list(SPLITS)
    random.Random(f"{recipe.seed}/{recipe.name}/splits/{block}").shuffle(order)  # noqa: S311
    return order[place]


CNN_DIGITS = CnnRecipe(
    name="cnn-digits",
    seed=20261127,
    net="cnn",
    batch_size=40,
    rates={"adam": (2e-3, 2e-3)},
    # `tiny` has all the files and hardly any training: for tests.
    sizes={"tiny": Size(20, epochs=2), "demo": Size(100), "bench": Size(1000)},
)
"""Models that only their seeds tell apart."""

CNN_DIGITS_GRID = replace(
    CNN_DIGITS,
    name="cnn-digits-grid",
    # Sigmoids are left out: at these rates most of them learn nothing in 25 epochs.
    activations=("tanh", "relu", "gelu"),
    inits=("uniform", "kaiming", "xavier", "normal"),
    rates={"adam": (1e-3, 1e-2), "sgd": (1e-2, 1e-1)},
    weight_decay=(0.0, 0.01, 0.1),
    dropout=(0.0, 0.2, 0.4),
    shares=(0.25, 0.5, 1.0),
)
"""Models of the same net, each with hyper-parameters of its own."""

CNN_DIGITS_BN = replace(CNN_DIGITS, name="cnn-digits-bn", net="cnn-bn")
CNN_ROTATED = replace(CNN_DIGITS, name="cnn-rotated", task="rotated", rates={"adam": (4e-3, 4e-3)})
RESNET_DIGITS = replace(
    CNN_DIGITS,
    name="resnet-digits",
    net="resnet",
    epochs=12,
    kept=(0, 1, 2, 3, 4, 6, 8, 12),
    activations=("relu",),
    inits=("kaiming",),
    rates={"adam": (1e-3, 1e-3)},
    sizes={"tiny": Size(20, epochs=1), "demo": Size(60), "bench": Size(300)},
)
"""Deep enough that a window of tokens is far shorter than a model."""

CNNS = {
    recipe.name: recipe for recipe in (CNN_DIGITS, CNN_DIGITS_GRID, CNN_DIGITS_BN, CNN_ROTATED, RESNET_DIGITS)
}
