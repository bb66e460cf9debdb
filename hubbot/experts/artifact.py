"""An expert as a folder: config.json, model.safetensors, and the hashes of what it was trained on.

`describe` and `fingerprint` need no torch, so that light commands stay light.

    probe.*            the probe's parameters and its views' statistics
    origin.*           the root's matrix of each whole layer, for the distance from training
    vocabulary         with a text head, the embeddings of its labels' texts in their prompt
    fingerprint.*      leading rows of the root's tensors, by which `trees` knows the root again
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import ExpertError, HubbotError
from hubbot.experts import schema
from hubbot.experts.schema import FINGERPRINT, ORIGIN, VOCABULARY
from hubbot.records import ExpertInfo, TextHead
from hubbot.weights.local import read_local

if TYPE_CHECKING:
    from hubbot.experts.expert import Expert
    from hubbot.experts.probe import Probe
    from hubbot.records import Floats

_HEAD = {name: f"probe.head.{name}" for name in ("of_text.weight", "of_text.bias", "temperature")}


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
        wanted=config.wanted,
        labels=config.labels,
        text_encoder=config.text_encoder,
        trained_on=config.trained_on,
        datasets=config.datasets,
        scores=config.scores,
        baselines=config.baselines,
        head=config.head,
        prompt=config.prompt,
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


def text_head(folder: Path) -> TextHead | None:
    """How texts meet this expert's embeddings; None where it has labels only.

    Raises:
        ExpertError: the folder holds no expert, or one that cannot be used.
    """
    import numpy as np

    config = schema.read(folder)
    if config.head != "text":
        return None
    read = _read(folder, [*_HEAD.values(), VOCABULARY])
    W, b, temperature = (read[name] for name in _HEAD.values())
    texts = read[VOCABULARY]
    fits = W.shape == (*b.shape, *texts.shape[1:]) and texts.shape[:1] == (len(config.labels),)
    with np.errstate(over="ignore"):
        scale = config.calibration.slope * float(np.exp(temperature.sum(dtype=np.float64)))
    if not fits or not all(np.isfinite(part).all() for part in (W, b, texts, scale)):
        raise ExpertError("its text head does not fit its vocabulary", file=str(folder))
    return TextHead(W, b, texts, scale, config.calibration.bias)


def _read(folder: Path, names: Sequence[str] | None = None) -> dict[str, Floats]:
    file = folder / schema.WEIGHTS
    try:
        return read_local(file, names)
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
    origin: Mapping[str, Floats],
    rows: Mapping[str, Floats],
    hashes: Mapping[str, tuple[str, ...]],
    vocabulary: Floats | None = None,
) -> None:
    """Write an expert's folder.

    Args:
        origin: the root's matrices (d_H, d_W) by layer; a LoRA starts at zero and needs none.
        rows: the root's fingerprint.
        hashes: see `trained_on`.
        vocabulary: of a text head, the embeddings of its labels' texts, (k, d_text).
    """
    import numpy as np
    from safetensors.numpy import save_file

    tensors = {f"probe.{name}": value.detach().cpu().numpy() for name, value in probe.state_dict().items()}
    tensors |= {f"{FINGERPRINT}{name}": value for name, value in rows.items()}
    tensors |= {f"{ORIGIN}{name}": value for name, value in origin.items()}
    tensors |= {} if vocabulary is None else {VOCABULARY: vocabulary}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / schema.WEIGHTS)
    schema.write(config, folder)
    (folder / schema.TRAINED_ON).write_text(json.dumps(hashes, indent=0) + "\n", encoding="utf-8")
