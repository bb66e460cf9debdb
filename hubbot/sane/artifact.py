"""An autoencoder as a folder: config.json and model.safetensors, as experts are.

    model.*       the autoencoder's parameters and its scale
    reference.*   the model that others are aligned to, where channels can change places
    ridge.*       the map from features to properties, where it has one

A folder may come from a stranger: sizes are bounded before anything is allocated, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError

from hubbot.errors import ExpertError, HubbotError
from hubbot.sane.align import Group
from hubbot.sane.autoencoder import Autoencoder, Size, parameters
from hubbot.sane.properties import Ridge
from hubbot.sane.tokens import Layout
from hubbot.weights.local import read_local

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
MAX_WIDTH, MAX_BLOCKS, MAX_NUMBERS = 4096, 64, 2**32
MAX_TOKENS, MAX_PARAMETERS = 2**23, 2**30
MAX_CONFIG_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Property:
    """One number that is read off the weights.

    Args:
        name: e.g. `accuracy`.
        half_width: how far to either side of what is said its interval goes.
        least, most: what no model's can be under or over; None where nothing bounds it.
        r2: on test models.
    """

    name: str
    half_width: float
    least: float | None = None
    most: float | None = None
    r2: float | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Everything of an autoencoder that is no tensor.

    Args:
        shapes: of the architecture's float tensors, in the order in which `groups` was told of them.
        length: numbers of a token.
        norms: whether BatchNorms are tokens.
        features: what the properties are read from, keys of `judge.FEATURES`.
        coverage: of how many models the intervals hold the truth.
        oddest: a model that is rebuilt with a larger error is unlike those of training.
        trained_on: for people.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    length: int
    norms: bool
    size: Size
    trained_on: str
    groups: tuple[Group, ...] = ()
    features: tuple[str, ...] = ()
    properties: tuple[Property, ...] = ()
    coverage: float = 0.9
    oddest: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def layout(self) -> Layout:
        return Layout.of(self.shapes, self.length, norms=self.norms)

    @property
    def numbers(self) -> int:
        """How many a model of the architecture has."""
        return sum(map(prod, self.shapes.values()))


@dataclass(frozen=True, slots=True)
class Artifact:
    """An autoencoder that was loaded, with what it needs to read a model of its architecture."""

    config: Config
    version: str
    model: Autoencoder
    reference: Mapping[str, Tensor]
    ridge: Ridge | None


_READER = TypeAdapter(Config)


def describe(folder: Path) -> Config:
    """Read and check config.json.

    Raises:
        ExpertError: it is missing, or says what cannot be.
    """
    file = folder / CONFIG
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise ExpertError(f"over {MAX_CONFIG_BYTES} bytes", file=str(file))
        config = _READER.validate_json(file.read_bytes())
    except OSError as error:
        raise ExpertError(f"there is no autoencoder here: {error.strerror}", file=str(file)) from None
    except ValidationError as error:
        told = error.errors()[0]
        where = ".".join(map(str, told["loc"]))
        raise ExpertError(f"{where}: {told['msg']}", file=str(file)) from None
    if why := _fault(config):
        raise ExpertError(why, file=str(file))
    return config


def _fault(config: Config) -> str | None:
    """What cannot be of a config whose fields are each what they should be."""
    size, groups = config.size, config.groups
    if config.format != FORMAT:
        return f"format is {config.format}, this hubbot reads {FORMAT}"
    widths = (config.length, size.width, size.latent, size.heads, size.window, size.projection)
    if min(widths) < 1 or max(widths) > MAX_WIDTH or not 1 <= size.blocks <= MAX_BLOCKS:
        return f"a size under 1, a width over {MAX_WIDTH} or more than {MAX_BLOCKS} blocks"
    if size.width % size.heads or not 0 <= 2 * size.halo < size.window:
        return "a width that its heads do not divide, or a halo that leaves nothing of a window"
    if any(n < 0 for shape in config.shapes.values() for n in shape) or not 0 < config.numbers <= MAX_NUMBERS:
        return f"shapes of no numbers, or of more than {MAX_NUMBERS}"
    if config.layout.count > MAX_TOKENS or parameters(config.layout, size) > MAX_PARAMETERS:
        return f"more than {MAX_TOKENS} tokens, or than {MAX_PARAMETERS} parameters"
    for axis, length in ((axis, group.size * axis.run) for group in groups for axis in group.axes):
        shape = config.shapes.get(axis.tensor, ())
        if axis.run < 1 or not 0 <= axis.axis < len(shape) or shape[axis.axis] != length:
            return f"groups: {axis.tensor} has no {length} places along axis {axis.axis}"
    return None


def version(folder: Path) -> str:
    """A hash of config and weights, so that it changes whenever what is said could.

    Raises:
        ExpertError: a file is missing.
    """
    told = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        try:
            told.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except OSError as error:
            raise ExpertError(f"cannot be read: {error}", file=str(folder / name)) from error
    return told.hexdigest()[:12]


def load(folder: Path) -> Artifact:
    """An autoencoder ready to be used.

    Raises:
        ExpertError: the folder holds none, or one that cannot be used.
    """
    config, file = describe(folder), folder / WEIGHTS
    try:
        tensors = {name: torch.from_numpy(value) for name, value in read_local(file).items()}
    except (OSError, HubbotError) as error:
        raise ExpertError(f"cannot be read: {error}", file=str(file)) from error
    model = Autoencoder(config.layout, config.size)
    try:
        model.load_state_dict(_under("model.", tensors))
    except RuntimeError as error:
        raise ExpertError(
            f"its weights do not fit: {str(error).splitlines()[-1].strip()}", file=str(file)
        ) from None
    reference, ridge = _under("reference.", tensors), _under("ridge.", tensors)
    if config.groups and {name: tuple(value.shape) for name, value in reference.items()} != config.shapes:
        raise ExpertError("its reference is of another architecture", file=str(file))
    if bool(config.properties) != bool(ridge):
        raise ExpertError("it has properties and no map to them, or the other way round", file=str(file))
    head = Ridge(ridge["weight"].double(), ridge["bias"].double()) if ridge else None
    return Artifact(config, version(folder), model.eval(), reference, head)


def save(folder: Path, made: Artifact) -> None:
    """Write an autoencoder's folder; `made.version` is found anew when it is loaded."""
    from safetensors.torch import save_file

    tensors = {f"model.{name}": value for name, value in made.model.state_dict().items()}
    tensors |= {f"reference.{name}": value for name, value in made.reference.items()}
    if made.ridge:
        tensors |= {"ridge.weight": made.ridge.weight.float(), "ridge.bias": made.ridge.bias.float()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / WEIGHTS)
    text = json.dumps(asdict(made.config), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}
