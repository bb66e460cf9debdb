"""config.json of an expert, believed only after every field was looked at. Needs no torch.

An expert may come from a stranger's repo, so that sizes are bounded before anything is allocated.

    "tensors": [{"name": …, "shape": [d_H, d_W], "kind": "dense" or "lora"}, …]   what a reading takes
    "head": {"kind": "labels"}                        any number of the labels is right
            {"kind": "text", "prompt": "a {}"}        one is, and a text in its prompt meets the same space
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, TypeVar

from hubbot.errors import ExpertError
from hubbot.records import Kind, Label, Wanted

FORMAT = 2
CONFIG, WEIGHTS, TRAINED_ON = "config.json", "model.safetensors", "trained-on.json"
MAX_SIZE = 4096  # probes, projection, encoding, labels
FLOOR = 0.5
"""No threshold is lower: what is less likely than not is never recognised, however many surer labels beside
it make up for its mistakes. It binds strangers' experts too."""
MAX_VALUES = 2**28  # of the tensors that are probed together: 1 GB as float32
MAX_TENSORS = 64
HEADS = ("labels", "text")
FINGERPRINT, ORIGIN, VOCABULARY = "fingerprint.", "origin.", "vocabulary"
"""What tensors beside the probe's are called; see `artifact`."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become probabilities, and where silence begins; `experts.calibrate` makes it.

    Args:
        slope, bias: probability = sigmoid(slope * logit + bias) (Platt), plus `spread` times the deviation of
            all logits of the model, within the sigmoid. With a text head, softmax over slope * logit and one
            more logit, `bias`, for whatever the vocabulary has no word for.
        threshold: a label with at least this probability is recognised; None: never.
        centre, precision: mean (2,) and inverse covariance (2, 2) of the training models' features.
        distance: weights with a larger Mahalanobis distance are unlike those of training.
        even: the logit at which a label is as likely as not among models of the expert's kind.
        known: the share of a tree's uploads that are of the expert's kind, for which probabilities are meant.
    """

    slope: float
    bias: float
    threshold: float | None
    centre: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    distance: float
    spread: float = 0.0
    even: float = 0.0
    known: float = 1.0


@dataclass(frozen=True, slots=True)
class Config:
    """Everything of an expert that is no tensor, named as in `ExpertInfo`. `probe` holds `kind` and sizes."""

    name: str
    roots: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    labels: tuple[Label, ...]
    text_encoder: str
    probe: Mapping[str, Any]
    calibration: Calibration
    trained_on: str
    head: str = "labels"
    prompt: str = "{}"
    datasets: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write(config: Config, folder: Path) -> None:
    """Write config.json."""
    told = {"format": FORMAT, **asdict(config)}
    told["tensors"] = [
        {"name": want.name, "shape": list(want.shape or ()), "kind": want.kind} for want in config.wanted
    ]
    told["head"] = {"kind": config.head} | ({"prompt": config.prompt} if config.head == "text" else {})
    del told["wanted"], told["prompt"]
    text = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> Config:
    """Read and check config.json.

    Raises:
        ExpertError: it is missing, not JSON, or has a field that cannot be used.
    """
    file = folder / CONFIG
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExpertError("there is no expert here", file=str(file)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ExpertError(f"cannot be read: {error}", file=str(file)) from error
    try:
        return _config(raw)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        missing = "misses the field " if isinstance(error, KeyError) else ""
        raise ExpertError(f"{missing}{error}", file=str(file)) from error


def _config(raw: Any) -> Config:
    if _mapping(raw).get("format") != FORMAT:
        raise ValueError(f"format is {raw.get('format')!r}, this hubbot reads {FORMAT}")
    head = _mapping(raw["head"])
    if head.get("kind") not in HEADS:
        raise ValueError(f"head.kind is {head.get('kind')!r:.80}, one of {', '.join(HEADS)} is needed")
    return Config(
        name=_text(raw["name"]),
        roots=_some(_list(raw["roots"], _text), "roots"),
        wanted=_tensors(raw["tensors"]),
        labels=_labels(raw["labels"]),
        text_encoder=_text(raw["text_encoder"]),
        probe=_probe(_mapping(raw["probe"])),
        calibration=_calibration(_mapping(raw["calibration"])),
        trained_on=_text(raw["trained_on"]),
        head=head["kind"],
        prompt=_prompt(head.get("prompt", "{}")),
        datasets=_list(raw["datasets"], _text),
        scores=_numbers(raw["scores"]),
        baselines=_numbers(raw.get("baselines", {})),
        provenance=_mapping(raw["provenance"]),
    )


def _tensors(raw: Any) -> tuple[Wanted, ...]:
    tensors = _some(_list(raw, _wanted), "tensors")
    if len({want.name for want in tensors}) < len(tensors) or len(tensors) > MAX_TENSORS:
        raise ValueError(f"tensors must differ, and be no more than {MAX_TENSORS}")
    if sum(prod(want.shape or ()) for want in tensors) > MAX_VALUES:
        shapes = ", ".join(str(want.shape) for want in tensors)
        raise ValueError(f"tensors of shape {shapes:.200} are larger than an expert may read")
    return tensors


def _wanted(raw: Any) -> Wanted:
    shape, kind = _list(_mapping(raw)["shape"], _size), Kind(_mapping(raw)["kind"])
    if kind is Kind.LORA and len(shape) != 2:
        raise ValueError(f"a low-rank layer of shape {shape}, (d_H, d_W) is needed")
    return Wanted(_text(raw["name"]), shape=shape, kind=kind)


def _prompt(raw: Any) -> str:
    if "{}" not in _text(raw):
        raise ValueError(f"head.prompt is {raw!r:.80}, and has no {{}} where the text goes")
    return str(raw)


def _labels(raw: Any) -> tuple[Label, ...]:
    labels = _some(_list(raw, _label), "labels")
    if len({label.name for label in labels}) < len(labels) or len(labels) > MAX_SIZE:
        raise ValueError(f"labels must differ, and be no more than {MAX_SIZE}")
    return labels


def _label(raw: Any) -> Label:
    return Label(*(_text(_mapping(raw)[name]) for name in ("name", "text", "tag")))


def _probe(raw: Mapping[str, Any]) -> dict[str, Any]:
    sizes = {name: _size(raw[name]) for name in ("probes", "projection", "encoding")}
    if max(sizes.values()) > MAX_SIZE:
        raise ValueError(f"a probe size over {MAX_SIZE}: {sizes}")
    return {
        "kind": _text(raw["kind"]),
        "view": _text(raw["view"]),
        "dropout": _number(raw["dropout"]),
        **sizes,
    }


def _calibration(raw: Mapping[str, Any]) -> Calibration:
    threshold = None if raw["threshold"] is None else _number(raw["threshold"])
    if threshold is not None and threshold < FLOOR:
        raise ValueError(f"calibration.threshold is {threshold}, at least {FLOOR} is needed")
    precision = _list(raw["precision"], lambda row: _list(row, _number))
    centre = _list(raw["centre"], _number)
    if [len(row) for row in precision] != [len(centre)] * 2 or len(centre) != 2:
        raise ValueError("calibration.centre and calibration.precision are not of shape (2,) and (2, 2)")
    return Calibration(
        slope=_number(raw["slope"]),
        bias=_number(raw["bias"]),
        threshold=threshold,
        centre=centre,
        precision=precision,
        distance=_number(raw["distance"]),
        spread=_number(raw.get("spread", 0.0)),
        even=_number(raw.get("even", -raw["bias"] / raw["slope"] if raw["slope"] else 0.0)),
        known=_number(raw.get("known", 1.0)),
    )


def _mapping(raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise TypeError(f"{raw!r:.80} is not an object")
    return raw


def _numbers(raw: Any) -> dict[str, float]:
    return {_text(name): _number(value) for name, value in _mapping(raw).items()}


def _list(raw: Any, convert: Callable[[Any], T]) -> tuple[T, ...]:
    if not isinstance(raw, list):
        raise TypeError(f"{raw!r:.80} is not a list")
    return tuple(convert(item) for item in raw)


def _some(items: tuple[T, ...], what: str) -> tuple[T, ...]:
    if not items:
        raise ValueError(f"{what} is empty")
    return items


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw:
        raise TypeError(f"{raw!r:.80} is not a text")
    return raw


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not abs(raw) < float("inf"):
        raise TypeError(f"{raw!r:.80} is not a finite number")
    return float(raw)


def _size(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 1:
        raise TypeError(f"{raw!r:.80} is not a positive whole number")
    return raw
