"""Which far models there are, what each was trained on, and in which split it stands.

    index      the rows of a dataset that lists a zoo, as `ProbeX/Model-J` does: one folder per subset
    listing    without one: the owner's repos by name, whose files say what they were trained on
    table      a tree of one's own: a CSV or JSON-lines file of `repo,labels,split`

Model-J lies in two layouts, one repo per model and one repo for all of a subset:

    ProbeX/Model-J__SupViT__model_idx_0007     model.safetensors
    ProbeX/Model-J__SD_200                     train/model_idx_0007/pytorch_lora_weights.safetensors
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hubbot.errors import HubbotError, RepoNotFound, UsageError, WeightsError, ZooError
from hubbot.hub import uploads
from hubbot.hub.client import Hub
from hubbot.hub.families import weights_of
from hubbot.hub.snapshots import files
from hubbot.records import Upload
from hubbot.training.rows import SUFFIXES, Row, literal_texts, rows_of

PREFIX = "hf:"
LORA = "pytorch_lora_weights.safetensors"
SPLITS = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "calibration": "calibration",
    "test": "test",
    "val_holdout": "validation-unseen",
    "validation-unseen": "validation-unseen",
    "test_holdout": "test-unseen",
    "test-unseen": "test-unseen",
}
"""What the splits of a zoo are called here; `unseen` ones hold concepts that training has never met."""

SHARES = (("train", 0.6), ("validation", 0.1), ("calibration", 0.15), ("test", 0.15))
"""Where nobody said which split a model is in."""

CALIBRATION = 0.15
"""The share of the training models that is kept to calibrate on, where a zoo has no split for it."""

_BUNDLED = re.compile(rf"([a-z_]+)/model_idx_\d+/{re.escape(LORA)}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model to learn from.

    Args:
        path: its file, in a repo that bundles many; empty: the repo's own weights.
        split: one of the values of `SPLITS`; empty: nobody said.
        targets: what it was trained on; None: its file is to say.
        base: the model that it was made from, as far as anybody says.
    """

    repo: str
    path: str = ""
    split: str = ""
    targets: tuple[str, ...] | None = None
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A model that is not learned from, and why."""

    repo: str
    why: str
    file: str | None = None
    tensor: str | None = None

    @classmethod
    def of(cls, error: HubbotError, entry: Entry) -> Skipped:
        file = error.file or entry.path or None
        return cls(error.repo or entry.repo, error.message, file, error.tensor)

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.repo, self.file, self.tensor) if part)
        return f"{where}: {self.why}"


@dataclass(frozen=True)
class Catalogue:
    """The models of a zoo as far as they are known before a weight is read.

    Args:
        zoo: what was asked for, e.g. `hf:ProbeX/Model-J`; `subset` of it, or empty.
        found: how the models were found, for the provenance.
        names: what a target is called, where it is a code: `n02457408` is `three-toed_sloth`.
        uploads: repos that a listing has told of already.
    """

    zoo: str
    subset: str
    found: Mapping[str, Any]
    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    uploads: Mapping[str, Upload] = field(default_factory=dict)


def open_catalogue(hub: Hub, zoo: str, subset: str, cache: Path) -> Catalogue:
    """What is to be learned from.

    Args:
        zoo: `hf:OWNER/NAME`, or the path of a table of one's own.
        subset: of a zoo on the Hub that has several, e.g. `SupViT`.
        cache: where the files of an index are kept.

    Raises:
        UsageError: no such zoo, or no models in it.
        HubError: the Hub did not tell.
    """
    if not zoo.startswith(PREFIX):
        return _split_up(_of_table(Path(zoo)))
    name = zoo.removeprefix(PREFIX)
    if not uploads.is_repo_name(name) or "/" not in name:
        raise UsageError(f"{zoo!r} names no zoo", hint="hf:OWNER/NAME, e.g. hf:ProbeX/Model-J")
    stem = f"{name}__{subset}" if subset else name
    owner, _, prefix = stem.partition("/")
    repos = {upload.repo: upload for upload in uploads.of_owner(hub, owner, prefix)}
    rows, revision = _index(hub, name, subset, cache)
    if rows:
        entries, skipped = _of_rows(rows, stem, repos)
        found = {"index": f"datasets/{name}", "revision": revision, "rows": len(rows)}
        named = dict(_names(rows))
    else:
        entries, skipped, named = _of_listing(hub, stem, repos), [], {}
        found = {"listing": stem, "repos": len(repos)}
    if not entries:
        raise UsageError(f"there are no models of {subset or name} on {hub.endpoint}", hint=_subsets(rows))
    return _split_up(Catalogue(zoo, subset, found, tuple(entries), tuple(skipped), named, repos))


# --- an index -----------------------------------------------------------------------------------


def _index(hub: Hub, name: str, subset: str, cache: Path) -> tuple[list[Row], str]:
    """The rows of a subset in the zoo's index dataset, and its revision; none where there is no such one."""
    folder = f"{subset}/" if subset else ""

    def is_table(path: str) -> bool:
        return path.startswith(folder) and path.count("/") == folder.count("/") and path.endswith(SUFFIXES)

    try:
        place, paths = files(hub, name, is_table, cache, kind="dataset")
    except RepoNotFound:
        return [], ""
    rows: list[Row] = []
    for path in paths:
        # `train-00000-of-00001.parquet` says which split its rows are of, should they not.
        split = re.split(r"[-.]", path.rpartition("/")[2])[0]
        rows += [{"split": split, **row} for row in rows_of(place / path)]
    return rows, place.name


def _of_rows(
    rows: Sequence[Row], stem: str, repos: Mapping[str, Upload]
) -> tuple[list[Entry], list[Skipped]]:
    entries, skipped = [], []
    for number, row in enumerate(rows):
        try:
            entries.append(_of_row(row, stem, repos))
        except ZooError as error:
            skipped.append(Skipped(error.repo or f"row {number}", error.message))
    return entries, skipped


def _of_row(row: Row, stem: str, repos: Mapping[str, Upload]) -> Entry:
    """One model of an index.

    Raises:
        ZooError: the row names no model, or one of another subset.
    """
    number, split = str(row.get("model_idx", "")).removeprefix("model_idx_"), str(row.get("split") or "")
    number = f"{int(number):04}" if number.isdecimal() else number
    repo = row.get("hf_model_id") or (stem if stem in repos else f"{stem}__model_idx_{number}")
    if not isinstance(repo, str) or not uploads.is_repo_name(repo):
        raise ZooError(f"its row names no repo: {str(repo)[:80]!r}")
    if repo != stem and not repo.startswith(f"{stem}__"):
        raise ZooError(f"a row of {stem} points to it", repo=repo)
    path = f"{split}/model_idx_{number}/{LORA}" if repo == stem else ""
    base = row.get("base_model") or row.get("pretrained_model_name_or_path")
    return Entry(repo, path, SPLITS.get(split, ""), _targets(row), base if isinstance(base, str) else None)


def _targets(row: Row) -> tuple[str, ...] | None:
    """What a row says that its model was trained on; None where it says nothing readable."""
    for key in ("labels", "dataset_chosen_targets", "imagenet_class_id"):
        if row.get(key) is not None:
            try:
                return literal_texts(row[key] if key != "imagenet_class_id" else [row[key]])
            except ValueError:
                return None
    return None


def _names(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    for row in rows:
        code, name = row.get("imagenet_class_id"), row.get("imagenet_class_name")
        if code is not None and isinstance(name, str) and name.isprintable():
            yield str(code), name


def _subsets(rows: Sequence[Row]) -> str:
    return "Model-J's are DINO, MAE, ResNet, SupViT, SD_200 and SD_1k" if not rows else ""


# --- without an index ---------------------------------------------------------------------------


def _of_listing(hub: Hub, stem: str, repos: Mapping[str, Upload]) -> list[Entry]:
    """Repos whose name begins as the zoo's models' do; or one repo that bundles them, split by folder."""
    alone = [repo for repo in sorted(repos) if repo.startswith(f"{stem}__")]
    if alone:
        return [Entry(repo, base=_base_of(repos[repo])) for repo in alone]
    if stem not in repos:
        return []
    bundle = uploads.one(hub, stem)  # the listing may cut its files short
    paths = [(path, found[1]) for path in bundle.files if (found := _BUNDLED.fullmatch(path))]
    return [Entry(stem, path, SPLITS.get(split, "")) for path, split in sorted(paths)]


def _base_of(upload: Upload) -> str | None:
    base = upload.card.get("base_model")
    return base if isinstance(base, str) else None


# --- a table of one's own -----------------------------------------------------------------------


def _of_table(file: Path) -> Catalogue:
    """`repo,labels,split`, labels separated by `|`; `path` and `base_model` may stand beside them."""
    if not file.is_file():
        raise UsageError(
            f"there is no zoo {str(file)!r}", hint="a folder, hf:OWNER/NAME, or a table of repos"
        )
    rows, entries, skipped = list(rows_of(file)), [], []
    for number, row in enumerate(rows):
        repo, split = str(row.get("repo") or ""), str(row.get("split") or "")
        if not uploads.is_repo_name(repo) or (split and split not in SPLITS):
            skipped.append(Skipped(repo or f"row {number}", f"no repo, or no split: {split!r}"))
            continue
        base = str(row.get("base_model") or "") or None
        entries.append(Entry(repo, str(row.get("path") or ""), SPLITS.get(split, ""), _targets(row), base))
    if not entries:
        raise UsageError("its rows name no models", file=str(file), hint="columns are repo,labels,split")
    told = hashlib.sha256(file.read_bytes()).hexdigest()
    return Catalogue(str(file), "", {"table": file.name, "sha256": told}, tuple(entries), tuple(skipped))


# --- splits -------------------------------------------------------------------------------------


def _split_up(catalogue: Catalogue) -> Catalogue:
    """Every model once and in a split, in their order; drawn by lot from their names where nobody said."""
    entries, twice = _once(catalogue.entries)
    said = {entry.split for entry in entries}
    if "" in said:
        unsaid = sorted((entry for entry in entries if not entry.split), key=_lot)
        drawn = dict(zip(unsaid, _shared_out(len(unsaid)), strict=True))
        entries = [replace(entry, split=drawn.get(entry, entry.split)) for entry in entries]
    elif "calibration" not in said:
        train = sorted((entry for entry in entries if entry.split == "train"), key=_lot)
        kept = set(train[: round(CALIBRATION * len(train))])
        entries = [replace(entry, split="calibration") if entry in kept else entry for entry in entries]
    order = list(dict.fromkeys(SPLITS.values()))
    entries.sort(key=lambda entry: order.index(entry.split))
    how = "by lot" if "" in said else "as listed"
    found = {**catalogue.found, "splits": how, "calibration": "own" if "calibration" in said else "of train"}
    return replace(catalogue, entries=tuple(entries), skipped=catalogue.skipped + twice, found=found)


def few(catalogue: Catalogue, most: int) -> Catalogue:
    """No more than so many models of each split, by lot: enough to find out which layer tells something."""
    kept: set[Entry] = set()
    for split in {entry.split for entry in catalogue.entries}:
        kept |= set(sorted((e for e in catalogue.entries if e.split == split), key=_lot)[:most])
    found = {**catalogue.found, "most": most}
    return replace(catalogue, entries=tuple(e for e in catalogue.entries if e in kept), found=found)


def _once(entries: Iterable[Entry]) -> tuple[list[Entry], tuple[Skipped, ...]]:
    """A model that stands in two splits would be learned from and tested on."""
    seen: dict[tuple[str, str], Entry] = {}
    twice = []
    for entry in entries:
        if (entry.repo, entry.path) in seen:
            twice.append(Skipped(entry.repo, "it is listed twice; the first row counts", entry.path or None))
        seen.setdefault((entry.repo, entry.path), entry)
    return list(seen.values()), tuple(twice)


def _shared_out(count: int) -> list[str]:
    ends = [round(count * sum(share for _, share in SHARES[: n + 1])) for n in range(len(SHARES))]
    return [
        next(split for (split, _), end in zip(SHARES, ends, strict=True) if n < end) for n in range(count)
    ]


def _lot(entry: Entry) -> str:
    """Names as good as thrown dice: the same draw on every machine, whoever else is in it."""
    return hashlib.sha256(f"{entry.repo}/{entry.path}".encode()).hexdigest()


def lead_of(upload: Upload, entry: Entry) -> str:
    """The file that holds a model's weights.

    Raises:
        WeightsError: there is none, or they are spread over several files.
    """
    lead = entry.path or weights_of(upload.files, repo=upload.repo)
    if not lead.endswith(".safetensors"):
        why = "weights in several files are not trained from yet"
        raise WeightsError(why, repo=upload.repo, file=lead)
    return lead
