"""An autoencoder as a folder: config.json and model.safetensors, as experts are.

    model.*       the autoencoder's parameters and its scale
    reference.*   the model that others are aligned to, where channels can change places
    ridge.*       the map from features to properties, where it has one

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
from hubbot.sane import schema
from hubbot.sane.autoencoder import Autoencoder, parameters
from hubbot.sane.properties import Ridge
from hubbot.sane.schema import CONFIG, WEIGHTS, Config
from hubbot.weights.local import read_header, read_local

if TYPE_CHECKING:
    from torch import Tensor

MAX_TOKENS, MAX_PARAMETERS = 2**23, 2**30
MODEL = "model."


@dataclass(frozen=True, slots=True)
class Artifact:
    """An autoencoder that was loaded, with what it needs to read a model of its architecture."""

    config: Config
    version: str
    model: Autoencoder
    reference: Mapping[str, Tensor]
    ridge: Ridge | None


def describe(folder: Path) -> Config:
    """Read and check config.json; what takes torch to check as well.

    Raises:
        ExpertError: it is missing, or says what cannot be.
    """
    config = schema.read(folder)
    if config.layout.count > MAX_TOKENS or parameters(config.layout, config.size) > MAX_PARAMETERS:
        why = f"more than {MAX_TOKENS} tokens, or than {MAX_PARAMETERS} parameters"
        raise ExpertError(why, file=str(folder / CONFIG))
    return config


def load(folder: Path) -> Artifact:
    """An autoencoder ready to be used.

    Raises:
        ExpertError: the folder holds none, or one that cannot be used.
    """
    config, file = describe(folder), folder / WEIGHTS
    model = Autoencoder(config.layout, config.size)
    try:
        stored = read_header(file).tensors
        _fill(model, file, {name: entry.shape for name, entry in stored.items()})
        beside = read_local(file, [name for name in stored if not name.startswith(MODEL)])
    except ExpertError:
        raise
    except (OSError, HubbotError) as error:
        raise ExpertError(f"cannot be read: {error}", file=str(file)) from error
    tensors = {name: torch.from_numpy(value) for name, value in beside.items()}
    reference, ridge = _under("reference.", tensors), _under("ridge.", tensors)
    if config.groups and {name: tuple(value.shape) for name, value in reference.items()} != config.shapes:
        raise ExpertError("its reference is of another architecture", file=str(file))
    if bool(config.properties) != bool(ridge):
        raise ExpertError("it has properties and no map to them, or the other way round", file=str(file))
    head = Ridge(ridge["weight"].double(), ridge["bias"].double()) if ridge else None
    return Artifact(config, schema.version(folder), model.eval(), reference, head)


def _fill(model: Autoencoder, file: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """An autoencoder's own tensors, one at a time: the tables of places of a long model are large."""
    own = {MODEL + name: value for name, value in model.state_dict().items()}
    for name in [*own, *(name for name in shapes if name.startswith(MODEL))]:
        if name not in own or shapes.get(name) != tuple(own[name].shape):
            raise ExpertError(f"its weights do not fit: {name.removeprefix(MODEL)}", file=str(file))
    for name, value in own.items():
        value.copy_(torch.from_numpy(read_local(file, [name])[name]))


def save(folder: Path, made: Artifact) -> None:
    """Write an autoencoder's folder; `made.version` is found anew when it is loaded."""
    from safetensors.torch import save_file

    tensors = {MODEL + name: value for name, value in made.model.state_dict().items()}
    tensors |= {f"reference.{name}": value for name, value in made.reference.items()}
    if made.ridge:
        tensors |= {"ridge.weight": made.ridge.weight.float(), "ridge.bias": made.ridge.bias.float()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / WEIGHTS)
    text = json.dumps(asdict(made.config), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}
