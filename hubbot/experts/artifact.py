"""An expert as a folder: config.json, model.safetensors, and the hashes of what it was trained on.

`describe` and `fingerprint` need no torch, so that light commands stay light.

    probe.*            the probe's parameters and its view's statistics
    origin             the root's matrix, for the distance from training
    fingerprint.*      leading rows of the root's tensors, by which `trees` knows the root again
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import ExpertError, HubbotError
from hubbot.experts import schema
from hubbot.records import ExpertInfo
from hubbot.weights.local import read_local

if TYPE_CHECKING:
    from hubbot.experts.expert import Expert
    from hubbot.experts.probe import Probe
    from hubbot.records import Floats

FINGERPRINT = "fingerprint."


def describe(folder: Path) -> ExpertInfo:
    """What the rest of hubbot needs to know of an expert.

    Raises:
        ExpertError: the folder holds none, or one that cannot be used.
    """
    config = schema.read(folder)
    return ExpertInfo(
        name=config.name,
        version=version(folder),
        folder=str(folder),
        roots=config.roots,
        wanted=(config.wanted,),
        labels=config.labels,
        text_encoder=config.text_encoder,
        trained_on=config.trained_on,
        datasets=config.datasets,
        scores=config.scores,
        baselines=config.baselines,
    )


def version(folder: Path) -> str:
    """A hash of config and weights, so that it changes whenever a reading could.

    Raises:
        ExpertError: a file is missing.
    """
    told = hashlib.sha256()
    for name in (schema.CONFIG, schema.WEIGHTS):
        try:
            told.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except OSError as error:
            raise ExpertError(f"cannot be read: {error}", file=str(folder / name)) from error
    return told.hexdigest()[:12]


def load(folder: Path, device: str = "cpu") -> Expert:
    """An expert ready to be consulted.

    Raises:
        ExpertError: the folder holds none, or one that cannot be used.
    """
    import torch

    from hubbot.experts.expert import Expert

    info, config = describe(folder), schema.read(folder)
    return Expert(info, config, {name: torch.tensor(value) for name, value in _read(folder).items()}, device)


def fingerprint(folder: Path) -> Mapping[str, Floats]:
    """The root's leading rows, by tensor name.

    Raises:
        ExpertError: the weights cannot be read.
    """
    rows = _read(folder).items()
    return {name.removeprefix(FINGERPRINT): value for name, value in rows if name.startswith(FINGERPRINT)}


def _read(folder: Path) -> dict[str, Floats]:
    file = folder / schema.WEIGHTS
    try:
        return read_local(file)
    except (OSError, HubbotError) as error:
        raise ExpertError(f"cannot be read: {error}", file=str(file)) from error


def trained_on(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """By split, the sha256 of the weight files that made this expert.

    Raises:
        ExpertError: the list is missing or broken.
    """
    file = folder / schema.TRAINED_ON
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        return {str(split): tuple(map(str, hashes)) for split, hashes in listed.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ExpertError(f"cannot be read: {error}", file=str(file)) from error


def save(
    folder: Path,
    config: schema.Config,
    probe: Probe,
    origin: Floats,
    rows: Mapping[str, Floats],
    hashes: Mapping[str, tuple[str, ...]],
) -> None:
    """Write an expert's folder.

    Args:
        origin: the root's matrix, (d_H, d_W).
        rows: the root's fingerprint.
        hashes: see `trained_on`.
    """
    import numpy as np
    from safetensors.numpy import save_file

    tensors = {f"probe.{name}": value.detach().cpu().numpy() for name, value in probe.state_dict().items()}
    tensors |= {f"{FINGERPRINT}{name}": value for name, value in rows.items()} | {"origin": origin}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / schema.WEIGHTS)
    schema.write(config, folder)
    (folder / schema.TRAINED_ON).write_text(json.dumps(hashes, indent=0) + "\n", encoding="utf-8")
