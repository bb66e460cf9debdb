"""config.json of an autoencoder, believed only after every field was looked at. Needs no torch.

An autoencoder may come from a stranger: sizes are bounded before anything is allocated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from hubbot.errors import ExpertError
from hubbot.records import AutoencoderInfo
from hubbot.weights.symmetry import Group

if TYPE_CHECKING:
    from hubbot.sane.tokens import Layout

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
MAX_WIDTH, MAX_BLOCKS, MAX_NUMBERS = 4096, 64, 2**32
MAX_CONFIG_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How large an autoencoder is.

    Args:
        width: d. latent: z. blocks: transformer blocks, in the encoder as in the decoder.
        window: w, the most tokens that are looked at together.
        halo: of a window's tokens, how many at either end are context only when a longer model is read.
        projection: numbers of the contrastive head.
    """

    width: int = 128
    latent: int = 64
    blocks: int = 2
    heads: int = 4
    window: int = 64
    halo: int = 8
    projection: int = 32


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
class Reach:
    """How far off a model may lie to be told anything; see `hubbot.sane.reach`.

    Args:
        centres, axes: how many the distance has.
        farthest: a model farther off is unlike those of training.
    """

    centres: int
    axes: int
    farthest: float


@dataclass(frozen=True, slots=True)
class Config:
    """Everything of an autoencoder that is no tensor.

    Args:
        shapes: of the architecture's float tensors, in the order in which `groups` was told of them.
        length: numbers of a token.
        norms: whether BatchNorms are tokens.
        features: what the properties are read from, keys of `properties.FEATURES`.
        coverage: of how many models the intervals hold the truth.
        oddest: a model that is rebuilt with a larger error is unlike those of training.
        reach: and so is one that lies farther off.
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
    reach: Reach | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def layout(self) -> Layout:
        from hubbot.sane.tokens import Layout  # and torch with it

        return Layout.of(self.shapes, self.length, norms=self.norms)

    @property
    def numbers(self) -> int:
        """How many a model of the architecture has."""
        return sum(map(prod, self.shapes.values()))


_READER = TypeAdapter(Config)


def read(folder: Path) -> Config:
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


def describe(folder: Path) -> AutoencoderInfo:
    """What the rest of hubbot needs to know of an autoencoder that reads properties.

    Raises:
        ExpertError: the folder holds none, or one that reads no properties.
    """
    config = read(folder)
    if not config.properties:
        raise ExpertError(f"{config.name} reads no properties", file=str(folder / CONFIG))
    return AutoencoderInfo(config.name, version(folder), str(folder), config.shapes, config.trained_on)


def version(folder: Path) -> str:
    """A hash of config and weights, so that it changes whenever what is said could.

    Raises:
        ExpertError: a file is missing.
    """
    told = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        try:
            with (folder / name).open("rb") as file:
                told.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ExpertError(f"cannot be read: {error}", file=str(folder / name)) from error
    return told.hexdigest()[:12]


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
    if config.properties and not config.features:
        return "properties that are read from nothing"
    if why := _promise_fault(config):
        return why
    if config.features and (empty := next((n for n, s in config.shapes.items() if not prod(s)), None)):
        return f"features: {empty} has no numbers"
    for axis, length in ((axis, group.size * axis.run) for group in groups for axis in group.axes):
        shape = config.shapes.get(axis.tensor, ())
        if axis.run < 1 or not 0 <= axis.axis < len(shape) or shape[axis.axis] != length:
            return f"groups: {axis.tensor} has no {length} places along axis {axis.axis}"
    return None


def _promise_fault(config: Config) -> str | None:
    """What cannot be of properties, their intervals and limits; that they are finite was looked at."""
    if not 0 < config.coverage < 1:
        return f"coverage is {config.coverage}, no share of models between 0 and 1"
    if len({one.name for one in config.properties}) < len(config.properties):
        return "properties: two of one name"
    for one in config.properties:
        if one.half_width < 0:
            return f"properties: {one.name}: a half width under 0"
        if one.least is not None and one.most is not None and one.least > one.most:
            return f"properties: {one.name}: its least is over its most"
        if one.r2 is not None and one.r2 > 1:
            return f"properties: {one.name}: an R2 over 1"
    reach = config.reach
    if config.properties and (config.oddest is None or reach is None):
        return "it cannot tell what is unlike its training: oddest or reach is missing"
    if reach and not (0 < reach.centres <= MAX_WIDTH and 0 < reach.axes <= MAX_WIDTH):
        return f"reach: centres or axes under 1 or over {MAX_WIDTH}"
    if min(config.oddest or 0.0, reach.farthest if reach else 0.0) < 0:
        return "a limit under 0"
    return None
