"""How far an expert can be trusted: what its config says of that, and evaluation.json beside it.

Nothing here enters a reading, so that none of it enters the version either: an expert that is measured again
is still the same one. evaluation.json names what it is a measurement of, and is as good as absent once the
folder holds something else. It may come from a stranger's repo, and is believed only field by field.

    "of": …                               a hash of the weights and the calibration that were measured
    "split", "models", "strangers"        on what, see `Reliability`
    "bins": [{"told": …, "share": …, "meant": …, "right": …, "least": …, "most": …}, …], "recognised"
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hubbot.errors import ExpertError
from hubbot.experts import schema
from hubbot.records import Bin, LayerScore, Reliability, Trust

EVALUATION = "evaluation.json"
MAX_BYTES, MAX_BINS, MAX_LAYERS, MAX_CHARS = 64_000, 100, 4096, 500
MAX_MODELS = 10**9


def trust(folder: Path) -> Trust:
    """What tells how far the expert in a folder can be trusted.

    Raises:
        ExpertError: it holds none, or a field of config.json or evaluation.json cannot be used.
    """
    config = schema.read(folder)
    return Trust(
        threshold=config.calibration.threshold,
        known=config.calibration.known,
        layers=_layers(config, folder),
        reliability=_reliability(config, folder),
    )


def keep(folder: Path, found: Reliability) -> None:
    """Write evaluation.json beside the expert that it is a measurement of.

    Raises:
        ExpertError: the folder holds none, or cannot be written to.
    """
    told = {"of": measured(schema.read(folder), folder), **asdict(found)}
    text = json.dumps(told, indent=1, allow_nan=False)
    try:
        (folder / EVALUATION).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ExpertError(f"cannot be written: {error}", file=str(folder / EVALUATION)) from error


def measured(config: schema.Config, folder: Path) -> str:
    """A hash of all that decides a probability: scores may be added to an expert, and it is the same.

    Raises:
        ExpertError: there are no weights.
    """
    try:
        weights = hashlib.sha256((folder / schema.WEIGHTS).read_bytes()).hexdigest()
    except OSError as error:
        raise ExpertError(f"cannot be read: {error}", file=str(folder / schema.WEIGHTS)) from error
    told = json.dumps([weights, asdict(config.calibration), dict(config.probe)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _layers(config: schema.Config, folder: Path) -> tuple[LayerScore, ...]:
    chosen = {want.name for want in config.wanted}
    try:
        told = _mapping(config.provenance.get("validation", {}))
        if len(told) > MAX_LAYERS:
            raise ValueError(f"{len(told)} layers, no more than {MAX_LAYERS} are read")
        return tuple(
            LayerScore(_text(name), _number(found["loss"]), _share(found["accuracy"]), name in chosen)
            for name, found in told.items()
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(folder / schema.CONFIG, "provenance.validation", error) from error


def _reliability(config: schema.Config, folder: Path) -> Reliability | None:
    """None where there is none, or one of other weights or of another calibration."""
    file = folder / EVALUATION
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ExpertError(f"cannot be read: {error}", file=str(file)) from error
    if len(raw) > MAX_BYTES:
        raise ExpertError(f"more than {MAX_BYTES} bytes are not read", file=str(file))
    try:
        told = _mapping(json.loads(raw))
        found = _measurement(told)
        return found if _text(told["of"]) == measured(config, folder) else None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unusable(file, "it", error) from error


def _measurement(told: Mapping[str, Any]) -> Reliability:
    bins, recognised = told["bins"], told["recognised"]
    if not isinstance(bins, list) or len(bins) > MAX_BINS:
        raise ValueError(f"bins is no list of {MAX_BINS} at most")
    return Reliability(
        split=_text(told["split"]),
        models=_count(told["models"]),
        strangers=_count(told["strangers"]),
        bins=tuple(_bin(item) for item in bins),
        recognised=None if recognised is None else _bin(recognised),
    )


def _bin(raw: Any) -> Bin:
    told = _mapping(raw)
    shares = [_share(told[name]) for name in ("share", "meant", "right", "least", "most")]
    _, _, right, least, most = shares
    if not least <= right <= most:
        raise ValueError(f"{right} is not between {least} and {most}")
    return Bin(_count(told["told"]), *shares)


def _unusable(file: Path, where: str, error: Exception) -> ExpertError:
    missing = "misses the field " if isinstance(error, KeyError) else "cannot be used: "
    return ExpertError(f"{where} {missing}{error}", file=str(file))


def _mapping(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise TypeError(f"{raw!r:.80} is not an object")
    return raw


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or not 0 < len(raw) <= MAX_CHARS:
        raise TypeError(f"{raw!r:.80} is not a text of {MAX_CHARS} characters at most")
    return raw


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not abs(raw) < float("inf"):
        raise TypeError(f"{raw!r:.80} is not a finite number")
    return float(raw)


def _share(raw: Any) -> float:
    if not 0 <= _number(raw) <= 1:
        raise ValueError(f"{raw!r:.80} is not between 0 and 1")
    return float(raw)


def _count(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= MAX_MODELS:
        raise TypeError(f"{raw!r:.80} is no count")
    return raw
