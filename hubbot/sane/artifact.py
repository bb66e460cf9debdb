"""An autoencoder as a folder: config.json and model.safetensors, as experts are.

    model.*       the autoencoder's parameters and its scale
    reference.*   the model that others are aligned to, where channels can change places
    ridge.*       the map from features to properties, where it has one
    distance.*    from the models of training, where there is such a map

A folder may come from a stranger: sizes are bounded before anything is allocated, and nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hubbot.errors import ExpertError, HubbotError
from hubbot.sane import properties, reach, schema
from hubbot.sane.autoencoder import Autoencoder, parameters
from hubbot.sane.properties import FEATURES, Ridge
from hubbot.sane.reach import Distance
from hubbot.sane.schema import CONFIG, WEIGHTS, Config
from hubbot.sane.tokens import PLAIN
from hubbot.weights.local import read_header, read_local

if TYPE_CHECKING:
    from torch import Tensor

MAX_TOKENS, MAX_PARAMETERS = 2**23, 2**30
MODEL, REFERENCE, RIDGE, DISTANCE = "model.", "reference.", "ridge.", "distance."
ABOVE_NOTHING = MODEL + "scale.spread", DISTANCE + "spread", DISTANCE + "variance", DISTANCE + "rest"
"""Numbers that something is divided by."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """An autoencoder that was loaded, with what it needs to read a model of its architecture."""

    config: Config
    version: str
    model: Autoencoder
    reference: Mapping[str, Tensor]
    ridge: Ridge | None
    distance: Distance | None = None


def describe(folder: Path) -> Config:
    """Read and check config.json; what takes torch to check as well.

    Raises:
        ExpertError: it is missing, or says what cannot be.
    """
    config = schema.read(folder)
    if config.layout.count > MAX_TOKENS or parameters(config.layout, config.size) > MAX_PARAMETERS:
        why = f"more than {MAX_TOKENS} tokens, or than {MAX_PARAMETERS} parameters"
        raise ExpertError(why, file=str(folder / CONFIG))
    if strange := next((kind for kind in config.features if kind not in FEATURES), None):
        why = f"features: {strange} is none of {', '.join(FEATURES)}"
        raise ExpertError(why, file=str(folder / CONFIG))
    return config


def load(folder: Path) -> Artifact:
    """An autoencoder ready to be used.

    Raises:
        ExpertError: the folder holds none, or one that cannot be used.
    """
    config, file = describe(folder), folder / WEIGHTS
    model = Autoencoder(config.layout, config.size)
    own = {MODEL + name: value for name, value in model.state_dict().items()}
    beside = _beside(config)
    try:
        _check(file, {name: tuple(value.shape) for name, value in own.items()} | beside)
        # One at a time: the tables of places of a long model are large.
        for name, value in own.items():
            value.copy_(_numbers(file, name))
        tensors = {name: _numbers(file, name) for name in beside}
    except ExpertError:
        raise
    except (OSError, HubbotError) as error:
        raise ExpertError(f"cannot be read: {error}", file=str(file)) from error
    for name in ABOVE_NOTHING:
        if (value := (own | tensors).get(name)) is not None and not (value > 0).all():
            raise ExpertError("it holds a number that is not above 0", file=str(file), tensor=name)
    reference, ridge, far = (_under(prefix, tensors) for prefix in (REFERENCE, RIDGE, DISTANCE))
    head = Ridge(**{name: value.double() for name, value in ridge.items()}) if ridge else None
    distance = Distance(**{name: value.double() for name, value in far.items()}) if far else None
    return Artifact(config, schema.version(folder), model.eval(), reference, head, distance)


def _beside(config: Config) -> dict[str, tuple[int, ...]]:
    """The tensors beside the autoencoder's own, and their shapes."""
    shapes = {REFERENCE + name: shape for name, shape in config.shapes.items()} if config.groups else {}
    if config.properties:
        f, k = properties.width(config.features, config.layout, config.size.latent), len(config.properties)
        shapes |= {RIDGE + "weight": (f, k), RIDGE + "bias": (k,)}
    if config.reach:
        f = properties.width(("statistics",), config.layout, config.size.latent)
        far = reach.shapes(f, config.reach.centres, config.reach.axes)
        shapes |= {DISTANCE + name: shape for name, shape in far.items()}
    return shapes


def _check(file: Path, expected: Mapping[str, tuple[int, ...]]) -> None:
    """By the header alone."""
    stored = read_header(file).tensors
    for name in [*expected, *(name for name in stored if name not in expected)]:
        if name not in stored:
            why = "there is no such tensor"
        elif name not in expected:
            why = "there is to be no such tensor"
        elif stored[name].shape != expected[name]:
            why = f"shape {stored[name].shape}, expected {expected[name]}"
        elif stored[name].dtype not in PLAIN:
            why = f"stored as {stored[name].dtype}"
        else:
            continue
        raise ExpertError(f"its weights do not fit its config: {why}", file=str(file), tensor=name)


def _numbers(file: Path, name: str) -> Tensor:
    value = torch.from_numpy(read_local(file, [name])[name])
    if not value.isfinite().all():
        raise ExpertError("it holds numbers that are not finite", file=str(file), tensor=name)
    return value


def save(folder: Path, made: Artifact) -> None:
    """Write an autoencoder's folder; `made.version` is found anew when it is loaded."""
    from safetensors.torch import save_file

    tensors = {MODEL + name: value for name, value in made.model.state_dict().items()}
    tensors |= {REFERENCE + name: value for name, value in made.reference.items()}
    for prefix, part in ((RIDGE, made.ridge), (DISTANCE, made.distance)):
        tensors |= {prefix + name: value.float() for name, value in asdict(part).items()} if part else {}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / WEIGHTS)
    text = json.dumps(asdict(made.config), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}
