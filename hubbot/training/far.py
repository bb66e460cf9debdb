"""The models of one tree that lie on a Hub, as training wants them: a `Source` over a shelf.

    catalogue   which models there are, and what each was trained on
    survey      which of their layers are to be read, and in what shape
    gather      those layers' bytes, by range, onto the shelf
    FarTree     the split's weights, mapped from the shelf, beside the truth

A model is left out, and named, where its file contradicts its row, where it was made from another base, where
nobody says what it was trained on, and where its weights are not those of the tree, or another model's.

Letters: n models, d_H x d_W a layer's matrix, r the LoRA's rank, k labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor

from hubbot.errors import ExpertError, HubbotError, UsageError
from hubbot.experts.matrices import Dense, Factored, Matrices
from hubbot.experts.probe import matrix_shape
from hubbot.experts.train import Sample
from hubbot.hub import uploads
from hubbot.hub.client import Hub
from hubbot.hub.files import listed
from hubbot.hub.tensors import contents, read
from hubbot.records import Kind, Label, Wanted
from hubbot.training.catalogue import Catalogue, Entry, Skipped, lead_of
from hubbot.training.gather import Gathered, gather, part_names
from hubbot.training.rows import literal_texts
from hubbot.training.shelf import Kept, Shelf
from hubbot.training.trees import candidates, multi_hot
from hubbot.trees.fingerprint import choose, take
from hubbot.weights import pairs
from hubbot.weights.dtypes import Floats

SURVEYED = 5
"""Models whose headers decide in which shape a layer is expected."""

UNSEEN = "-unseen"


@dataclass(frozen=True, slots=True)
class Root:
    """What was had of a tree's root: its matrices and its fingerprint, or the reason why neither."""

    origin: Mapping[str, Tensor]
    fingerprint: Mapping[str, Floats]
    why_not: str = ""


class FarTree:
    """Models of one tree whose layers lie on a shelf: a `Source`.

    Args:
        models: those that are learned from, with what they were trained on.
        gathered: what reading them cost, and who was left out.
        prompt: for a text head; see `Source`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        shelf: Shelf,
        roots: tuple[str, ...],
        wanted: Sequence[Wanted],
        root: Root,
        gathered: Gathered,
        prompt: str = "",
    ) -> None:
        self.catalogue, self.shelf, self.roots, self.gathered = catalogue, shelf, roots, gathered
        self.prompt = prompt
        self.root, self.wanted = root, {want.name: want for want in wanted}
        self.skipped = [*catalogue.skipped, *gathered.skipped]
        self.models: dict[Entry, tuple[str, ...]] = {}
        for entry, kept in gathered.models.items():
            told = truth(entry, kept, roots)
            if isinstance(told, Skipped):
                self.skipped.append(told)
            else:
                self.models[entry] = told
        self._leave_out_twins()
        self._leave_out_unknown()

    def _leave_out_twins(self) -> None:
        """The same weights in two repos would be learned from in one split and measured on in another."""
        seen: dict[str, Entry] = {}
        for entry in list(self.models):
            first = seen.setdefault(self.gathered.models[entry].file.content_id, entry)
            if first != entry:
                why = f"it holds the same weights as {first.repo} {first.path}".rstrip()
                self.skipped.append(Skipped(entry.repo, why, entry.path or None))
                del self.models[entry]

    def _leave_out_unknown(self) -> None:
        """A label that no training model has cannot be learned; only the unseen splits may hold new ones."""
        known = {target for entry, told in self.models.items() if entry.split == "train" for target in told}
        for entry, told in list(self.models.items()):
            strange = sorted(set(told) - known)
            if strange and not entry.split.endswith(UNSEEN):
                why = f"no training model was trained on {', '.join(strange[:3])}"
                self.skipped.append(Skipped(entry.repo, why, entry.path or None))
                del self.models[entry]

    # --- the truth --------------------------------------------------------------------------

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """What training models were trained on; the columns of the truth."""
        seen = [told for entry, told in self.models.items() if not entry.split.endswith(UNSEEN)]
        return tuple(sorted({target for told in seen for target in told}))

    @cached_property
    def strange(self) -> tuple[str, ...]:
        """What only models of the unseen splits were trained on."""
        return tuple(sorted({target for told in self.models.values() for target in told} - {*self.targets}))

    def unseen(self, split: str) -> tuple[Label, ...]:
        met = {target for entry in self.entries(split + UNSEEN) for target in self.models[entry]}
        return tuple(self.label(target) for target in self.strange) if met else ()

    @property
    def labels(self) -> tuple[Label, ...]:
        return tuple(self.label(target) for target in self.targets)

    def label(self, target: str) -> Label:
        """A target as people call it."""
        text = self.catalogue.names.get(target, target).replace("_", " ")
        return Label(text.replace(" ", "-").lower(), text, text.replace(" ", "-").lower())

    # --- the weights ------------------------------------------------------------------------

    def sample(self, split: str, layers: Sequence[str]) -> Sample:
        """Weights mapped from the shelf, with the truth: of an unseen split, over `strange`."""
        entries = self.entries(split)
        if not entries:
            raise ExpertError(
                f"{self.catalogue.zoo} {self.catalogue.subset} has no models in the split {split}"
            )
        kept = [self.gathered.models[entry] for entry in entries]
        columns = self.strange if split.endswith(UNSEEN) else self.targets
        place = {target: column for column, target in enumerate(columns)}
        Y = torch.stack([multi_hot((place[t] for t in self.models[e]), len(columns)) for e in entries])
        return Sample({name: self._matrices(self.wanted[name], kept) for name in layers}, Y)  # (n, k)

    def _matrices(self, want: Wanted, kept: Sequence[Kept]) -> Matrices:
        if want.kind is Kind.DENSE:
            X = torch.from_numpy(self.shelf.layer(want.name, kept))
            return Dense(X.reshape(len(kept), *matrix_shape(X.shape[1:])))  # (n, d_H, d_W)
        a, b = part_names(want)
        if len(set(self.shelf.shapes(a, kept))) == 1:
            A, B = (torch.from_numpy(self.shelf.layer(part, kept)) for part in (a, b))
            return Factored(B, A)  # (n, d_H, r), (n, r, d_W)
        one_by_one = [[torch.from_numpy(self.shelf.layer(p, [model]))[0] for p in (b, a)] for model in kept]
        return Factored.of([(B, A) for B, A in one_by_one])

    def entries(self, split: str) -> list[Entry]:
        """The models of a split that are learned from, or measured on."""
        return [entry for entry in self.models if entry.split == split]

    def hashes(self, split: str) -> tuple[str, ...]:
        return tuple(self.gathered.models[entry].file.content_id for entry in self.entries(split))

    @cached_property
    def origin(self) -> Mapping[str, Tensor]:
        """The root's matrices; where it could not be had, the mean of its children's. LoRAs start at zero."""
        dense = [name for name, want in self.wanted.items() if want.kind is Kind.DENSE]
        missing = [name for name in dense if name not in self.root.origin]
        means = {}
        for name in missing:
            matrices = self.sample("train", [name]).weights[name]
            means[name] = matrices.total() / len(matrices)
        return {**self.root.origin, **means}

    @property
    def fingerprint(self) -> Mapping[str, Floats]:
        return self.root.fingerprint

    # --- the story --------------------------------------------------------------------------

    @property
    def story(self) -> str:
        zoo, subset = self.catalogue.zoo.removeprefix("hf:"), self.catalogue.subset
        where = f"{zoo} {subset}".strip()
        return f"{len(self.entries('train'))} models of {where}, made from {' or '.join(self.roots)}"

    @property
    def provenance(self) -> Mapping[str, object]:
        counts = Counter(entry.split for entry in self.models)
        zoo: dict[str, Any] = {
            "zoo": self.catalogue.zoo,
            "subset": self.catalogue.subset,
            **self.catalogue.found,
            "roots": list(self.roots),
            "layers": list(self.wanted),
            "prompt": self.prompt,
            "models": dict(counts),
            "bytes_stored": self.gathered.bytes_stored,
            "skipped": [str(skipped) for skipped in self.skipped],
        }
        return {"zoo": zoo | ({"root": self.root.why_not} if self.root.why_not else {})}


def open_far(
    hub: Hub,
    shelf: Shelf,
    catalogue: Catalogue,
    *,
    layers: Sequence[str] = (),
    roots: Sequence[str] = (),
    prompt: str = "",
    threads: int = 8,
    watch: Callable[[Entry], None] = lambda _: None,
) -> FarTree:
    """The models of a catalogue, their layers gathered.

    Args:
        layers: names; none of them: every layer that a probe may read.
        roots: equivalent roots; by default the one that most models name.
        prompt: for a text head; see `Source`.

    Raises:
        UsageError: no root is named anywhere, or a layer is not in the models.
        HubError: the Hub does not answer.
        ZooError: the shelf is full.
    """
    roots = tuple(roots) or _named_root(catalogue)
    wanted = choose_layers(layers, survey(hub, catalogue))
    if not wanted:
        raise UsageError("no layer of these models is one that a probe may read", hint="name one: --layer")
    _check_room(shelf, catalogue, wanted)
    gathered = gather(hub, shelf, catalogue, wanted, threads=threads, watch=watch)
    return FarTree(catalogue, shelf, roots, wanted, root_of(hub, roots, wanted), gathered, prompt)


def _check_room(shelf: Shelf, catalogue: Catalogue, wanted: Sequence[Wanted]) -> None:
    """Nobody is to read for hours before they hear that it will not fit. LoRAs take little."""
    each = sum(4 * prod(want.shape or ()) for want in wanted if want.kind is Kind.DENSE)
    if (total := each * len(catalogue.entries)) > shelf.limit_bytes:
        hint = "read fewer layers or, to compare them, fewer models (--models); or raise HUBBOT_SHELF_BYTES"
        why = f"{len(wanted)} layers of {len(catalogue.entries)} models take {total:,} bytes"
        raise UsageError(f"{why}, and {shelf.limit_bytes:,} may be kept", hint=hint)


def _named_root(catalogue: Catalogue) -> tuple[str, ...]:
    named = Counter(entry.base for entry in catalogue.entries if entry.base)
    if not named:
        raise UsageError(
            "no model says what it was made from", hint="name the tree's root: --root OWNER/NAME"
        )
    return (named.most_common(1)[0][0],)


def truth(entry: Entry, kept: Kept, roots: Sequence[str]) -> tuple[str, ...] | Skipped:
    """What a model was trained on, by its row and by its own file; or why it is not learned from."""
    said = _by_file(kept)
    base = entry.base or kept.notes.get("base_model") or kept.notes.get("pretrained_model_name_or_path")
    why = ""
    if base and base not in roots:
        why = f"it was made from {base[:100]}, not from {' or '.join(roots)}"
    elif said and entry.targets and _comparable(said, entry.targets) and set(said) != set(entry.targets):
        why = "its row and its file do not agree on what it was trained on"
    elif not said and not entry.targets:
        why = "nobody says what it was trained on"
    if why:
        return Skipped(entry.repo, why, kept.file.path)
    return tuple(sorted(set(entry.targets or said)))


def _by_file(kept: Kept) -> tuple[str, ...]:
    try:
        if "dataset_chosen_targets" in kept.notes:
            return literal_texts(kept.notes["dataset_chosen_targets"])
        return literal_texts([kept.notes["imagenet_class_id"]])
    except (KeyError, ValueError):
        return ()


def _comparable(a: Sequence[str], b: Sequence[str]) -> bool:
    """Both in words, or both in numbers: one may count classes that the other names."""
    return all(word.isdecimal() for word in a) == all(word.isdecimal() for word in b)


# --- layers -------------------------------------------------------------------------------------

Shapes = Mapping[str, tuple[int, ...]]


def survey(hub: Hub, catalogue: Catalogue) -> list[Shapes]:
    """Name and shape of the tensors of the first few models that can be read.

    Raises:
        HubbotError: none of them can; the reason of the last one.
    """
    told: list[Shapes] = []
    fault: HubbotError | None = None
    for entry in catalogue.entries[: 4 * SURVEYED]:
        try:
            upload = catalogue.uploads.get(entry.repo) or uploads.one(hub, entry.repo)
            path = lead_of(upload, entry)
            file = listed(hub, upload, [path]).get(path)
            if file is not None:
                told.append(contents(hub, upload, file).shapes)
        except HubbotError as error:
            fault = error
        if len(told) == SURVEYED:
            break
    if not told:
        raise fault or UsageError("none of the first models has weights that can be read")
    return told


def choose_layers(names: Sequence[str], told: Sequence[Shapes]) -> list[Wanted]:
    """The layers of these names as most of the surveyed models have them; without names, all candidates.

    Raises:
        UsageError: most of the models have no such layer.
    """
    if not names:
        voted = Counter(want for shapes in told for want in _candidates(shapes))
        return [want for want, count in voted.items() if 2 * count > len(told)]
    return [_voted(name, told) for name in names]


def _voted(name: str, told: Sequence[Shapes]) -> Wanted:
    [(want, count)] = Counter(_as_it_lies(name, shapes) for shapes in told).most_common(1)
    if want is None or 2 * count <= len(told):
        end = name.rpartition(".")[2]
        near = [other for other in told[0] if other.rpartition(".")[2] == end][:3]
        raise UsageError(f"most models have no layer {name}", hint=f"some of theirs: {', '.join(near)}")
    return want


def _as_it_lies(name: str, shapes: Shapes) -> Wanted | None:
    """A layer in one model: as a tensor, as the factors of a LoRA, or not at all."""
    if name in shapes:
        return Wanted(name, shape=shapes[name])
    found = pairs.pair(name, shapes)
    if found is None:
        return None
    A, B = (shapes[part] for part in found)
    fits = not pairs.fault(name, None, A, B)
    return Wanted(name, shape=(B[0], A[1]), kind=Kind.LORA) if fits else None


def _candidates(shapes: Shapes) -> list[Wanted]:
    """Every layer that a probe may read: an adapter's pairs, a whole model's hidden matrices."""
    downs = [suffix for suffix, _ in pairs.SUFFIXES]
    loras = [name.removesuffix(end) for name in shapes for end in downs if name.endswith(end)]
    found = (_as_it_lies(name, shapes) for name in dict.fromkeys(loras) or candidates(shapes))
    return [want for want in found if want is not None]


def root_of(hub: Hub, roots: Sequence[str], wanted: Sequence[Wanted]) -> Root:
    """What is to be had of the first root that can be read: of an adapter's, the fingerprint alone."""
    dense = [want for want in wanted if want.kind is Kind.DENSE]
    why = ""
    for repo in roots:
        try:
            upload = uploads.one(hub, repo)
            rows = choose(contents(hub, upload).shapes)
            values = read(hub, upload, [*rows, *dense]).values
        except HubbotError as error:
            why = str(error)
            continue
        origin = {w.name: torch.tensor(values[w.name]).reshape(matrix_shape(w.shape or ())) for w in dense}
        return Root(origin, take(rows, values).rows)
    return Root({}, {}, why)
