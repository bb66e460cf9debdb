"""An expert's folder as a repo on the Hub, with a model card of its own, and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from hubbot.errors import ExpertError, UsageError
from hubbot.experts import artifact, schema, trust
from hubbot.hub.client import Hub
from hubbot.hub.publish import publish
from hubbot.hub.snapshots import snapshot
from hubbot.records import ExpertInfo, Kind, Reliability, Trust

FILES = (schema.CONFIG, schema.WEIGHTS, schema.TRAINED_ON, trust.EVALUATION)
TAGS = ("hubbot-expert", "weight-space-learning", "model-tree")
MOST = 60
"""Labels and layers that a card spells out."""


def push(hub: Hub, folder: Path, repo: str, *, private: bool = False) -> str:
    """Publish an expert; the commit's address.

    Raises:
        ExpertError: the folder holds none that can be used.
        UsageError, HubError: see `publish`.
    """
    artifact.load(folder)
    files: dict[str, bytes | Path] = {name: folder / name for name in FILES if (folder / name).is_file()}
    info = artifact.describe(folder)
    files["README.md"] = card(folder, repo).encode()
    return publish(hub, repo, files, message=f"{info.name} {info.version}", private=private)


def pull(hub: Hub, repo: str, out: Path, cache: Path) -> ExpertInfo:
    """Fetch an expert from a repo into a folder, after it was looked at field by field and loaded.

    Args:
        out: made if missing; an expert in it is replaced, anything else is not.
        cache: where snapshots are kept.

    Raises:
        RepoNotFound: no such repo, or no expert in it.
        ExpertError: what came cannot be used; the folder is as it was.
        UsageError: the folder holds something else.
    """
    if out.exists() and not (out / schema.CONFIG).is_file() and any(out.iterdir()):
        raise UsageError("the folder is not empty and holds no expert", file=str(out))
    came = snapshot(hub, repo, FILES, cache)
    try:
        artifact.load(came)
        trust.trust(came)
    except ExpertError as error:
        raise ExpertError(f"cannot be used: {error.message}", repo=repo) from error
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (out / name).unlink(missing_ok=True)
        if (came / name).is_file():
            shutil.copyfile(came / name, out / name)
    return artifact.describe(out)


# --- the card -----------------------------------------------------------------------------------


def card(folder: Path, repo: str) -> str:
    """The README of an expert's repo: what it reads and knows, how well, and how it was made.

    `base_model` is left out on purpose: an expert is no child of its roots, and no bot is to place it there.

    Raises:
        ExpertError: the folder holds no expert.
    """
    info, config, trusted = artifact.describe(folder), schema.read(folder), trust.trust(folder)
    parts = {
        f"# {info.name}": _introduced(info),
        "## Use": _used(repo),
        "## What it reads": _read(info),
        "## What it knows": [_some([label.text for label in info.labels]) + "."],
        "## Scores": _scored(info),
        "## What its percentages are worth": _reliable(trusted.reliability),
        "## When it is silent": _silent(config),
        "## How it was made": _made(info, config, trusted),
    }
    lines = _front_matter(info)
    for title, text in parts.items():
        lines += ["", title, "", *text]
    return "\n".join(lines) + "\n"


def _front_matter(info: ExpertInfo) -> list[str]:
    listed = {"tags": TAGS, "datasets": info.datasets, "metrics": ("accuracy",)}
    lines = ["---", "library_name: hubbot"]
    for key, words in listed.items():
        lines += [f"{key}:", *(f"- {json.dumps(word)}" for word in words)] if words else []
    return [*lines, "---"]


def _introduced(info: ExpertInfo) -> list[str]:
    others = ", ".join(f"`{root}`" for root in info.roots[1:])
    return [
        "An expert of hubbot: it reads a few tensors out of a model's weights, by range, and says what the",
        f"model was trained on. It belongs to the model tree of `{info.tree}`"
        + (f", and to the same tree under other names: {others}." if others else "."),
    ]


def _used(repo: str) -> list[str]:
    return ["```sh", f"HUBBOT_EXPERTS={repo} hubbot tell OWNER/MODEL", f"hubbot expert pull {repo}", "```"]


def _read(info: ExpertInfo) -> list[str]:
    kinds = {Kind.DENSE: "a tensor", Kind.LORA: "the two factors of a LoRA"}
    rows = [(f"`{w.name}`", " x ".join(map(str, w.shape or ())), kinds[w.kind]) for w in info.wanted]
    return _table(("layer", "shape", "read as"), rows)


def _scored(info: ExpertInfo) -> list[str]:
    rows = [(name, f"{value:.3f}") for name, value in info.scores.items()]
    rows += [(f"baseline: {name}", f"{value:.3f}") for name, value in info.baselines.items()]
    return [
        "On models that neither trained, selected nor calibrated it.",
        "",
        *_table(("score", "value"), rows),
    ]


def _reliable(found: Reliability | None) -> list[str]:
    if found is None:
        return ["That was not measured."]
    among = (
        f", and {found.strangers} others of the tree, weighted as its percentages are meant"
        if found.strangers
        else ""
    )
    rows = [
        (str(b.told), *(f"{value:.3f}" for value in (b.meant, b.right, b.least, b.most))) for b in found.bins
    ]
    return [
        f"Labels that it told of {found.models} models{among}, by how likely it called them.",
        "",
        *_table(("labels", "told", "right", "at least", "at most"), rows),
        "",
        f"A percentage is off by {found.error:.3f} on average; the last two columns hold 95%.",
    ]


def _silent(config: schema.Config) -> list[str]:
    threshold = config.calibration.threshold
    spoken = "It never calls a label recognised."
    if threshold is not None:
        spoken = f"A label counts as recognised from a probability of {threshold:.3f} on."
    return [
        f"{spoken} {_meant(config.calibration.known)}",
        "Probabilities and threshold were fitted on a calibration split of their own. Weights that",
        "lie further from the training models than nearly all of those did get no answer at all.",
    ]


def _meant(known: float) -> str:
    if known == 1:
        return "Probabilities are meant among models of the kind it was trained on."
    return (
        f"Probabilities are meant for all uploads of the tree, of which {known:.0%} are taken to be of the "
        "kind it was trained on."
    )


def _made(info: ExpertInfo, config: schema.Config, trusted: Trust) -> list[str]:
    told = {name: value for name, value in config.provenance.items() if name != "validation"}
    lines = [f"From {info.trained_on}.", "", "```json"]
    lines += [json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True), "```", ""]
    scores = sorted(trusted.layers, key=lambda score: score.loss)[:MOST]
    if len(scores) > 1:
        rows = [(f"`{s.layer}`", f"{s.loss:.4f}", f"{s.accuracy:.3f}") for s in scores]
        lines += ["What validation said of the layers:", "", *_table(("layer", "loss", "accuracy"), rows), ""]
    hashes = f"`{schema.TRAINED_ON}` lists the sha256 of every weight file that made it."
    return [*lines, f"{hashes} Version `{info.version}`."]


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(columns)
    return [_line(names), "|---" * len(names) + "|", *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _some(words: list[str]) -> str:
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return ", ".join(words[:MOST]) + more
