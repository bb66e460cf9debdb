"""Ancestry as an upload declares it, in its card, tags, configs and notes, followed up to the root.

Parents on the Hub are wrong, renamed, deleted, somebody's local path, or the repo itself. Nothing here is
believed without saying so: what cannot be used becomes evidence that names the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hubbot.records import Evidence, Source, Upload

RELATIONS = ("finetune", "adapter", "quantized", "merge")
MAX_PARENTS = 16  # mergekit's largest merges stay below; a card may name thousands
HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")

# What the Hub accepts: one or two parts of at most 96 characters together, no `--` and no `..`.
_REPO_ID = re.compile(r"(?!.*(?:--|\.\.))(?:\w[\w.-]*/)?\w[\w.-]*", re.ASCII)
_MAX_ID_CHARS = 96
_WHERE = {
    Source.CARD: "card",
    Source.TAG: "tags",
    Source.ADAPTER_CONFIG: "adapter config",
    Source.MERGE_CONFIG: "merge config",
    Source.METADATA: "weight file's metadata",
}
MERGE_CONFIG = "mergekit_config.yml"
NOTES = ("base_model", "base_model_name_or_path")
"""Keys of a safetensors header's metadata that trainers write their base model under."""
_MERGED = re.compile(r"^[ \t-]*(?:model|base_model|path)[ \t]*:[ \t]*['\"]?([^\s'\"#{]+)", re.MULTILINE)
"""Where mergekit's configs name models; reading lines needs no YAML, which could be a trap."""


@dataclass(frozen=True, slots=True)
class Words:
    """What else an upload says of its parents, in files that its listing does not tell of.

    Args:
        merge_config: the text of `mergekit_config.yml`; empty where there is none.
        notes: the metadata of its weight file.
        faults: what could not be read.
    """

    merge_config: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Evidence, ...] = ()

    def claims(self) -> Iterator[tuple[Source, object]]:
        for found in _MERGED.findall(self.merge_config):
            yield Source.MERGE_CONFIG, found.partition("+")[0]  # mergekit writes a LoRA behind its model
        for name in NOTES:
            if self.notes.get(name):
                yield Source.METADATA, self.notes[name]


@dataclass(frozen=True, slots=True)
class Lineage:
    """What an upload says of its ancestors.

    Args:
        parents: those that it names, in a form the Hub would accept.
        root: the last ancestor reached, by its tree's name; None where the chain ends in a circle or nowhere.
        relation: one of `RELATIONS`, declared or else inferred as the Hub does.
        evidence: every claim and every step, the ones that were ignored included.
        known: whether that root is one of hubbot's.
    """

    parents: tuple[str, ...] = ()
    root: str | None = None
    relation: str | None = None
    evidence: tuple[Evidence, ...] = ()
    known: bool = False

    @property
    def parent(self) -> str | None:
        """The first of them, which leads."""
        return self.parents[0] if self.parents else None


@dataclass(frozen=True, slots=True)
class _Claims:
    """The evidence of one repo alone; `relation` is None where nothing says it."""

    evidence: tuple[Evidence, ...]
    relation: str | None

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.parent for e in self.evidence if e.parent))


def trace(
    upload: Upload,
    lookup: Callable[[str], Upload | None],
    *,
    known_roots: Mapping[str, str],
    words: Words | None = None,
    max_depth: int = 20,
) -> Lineage:
    """Follow the declared parents of an upload up to the root.

    With several parents the first one leads and the others stay as evidence. A chain ends at a known root, at
    a repo that names no parent, or at a name that the Hub does not have: then that name is the root claimed.

    Args:
        lookup: gives the repo of that name, None where the Hub has none; what it raises passes through.
        known_roots: name to tree, aliases included; the climb ends at these names.
        words: what it says beside its listing.
        max_depth: the most ancestors that are looked at.
    """
    known = {name.casefold(): tree for name, tree in known_roots.items()}
    if tree := known.get(upload.repo.casefold()):
        text = "this repo is itself a root that hubbot knows"
        return Lineage(root=tree, evidence=(Evidence(Source.ROOT, text),), known=True)
    claims = _claims(upload, words or Words())
    if not claims.parents:
        return Lineage(evidence=claims.evidence)
    source = next(e.source for e in claims.evidence if e.parent)
    root, steps = _climb(upload.repo, claims.parents[0], source, lookup, known, max_depth)
    tree = known.get(root.casefold()) if root else None
    evidence = claims.evidence + steps
    return Lineage(claims.parents, tree or root, claims.relation, evidence, known=tree is not None)


def _climb(
    repo: str,
    parent: str,
    source: Source,
    lookup: Callable[[str], Upload | None],
    known: Mapping[str, str],
    max_depth: int,
) -> tuple[str | None, tuple[Evidence, ...]]:
    path: list[str] = [repo]
    steps: list[Evidence] = []
    for _ in range(max_depth):
        if parent.casefold() in known:
            return parent, tuple(steps)
        if parent.casefold() in {seen.casefold() for seen in path}:
            circle = " → ".join([*path, parent])
            return None, (*steps, Evidence(source, f"the declared parents run in a circle: {circle}"))
        found = lookup(parent)
        if found is None:
            text = f"the parent {parent} is not on the Hub; its name is all that is left of the root"
            return parent, (*steps, Evidence(source, text, parent))
        if found.repo.casefold() != parent.casefold():
            steps.append(Evidence(source, f"{parent} is now called {found.repo}", found.repo))
            parent = found.repo
            continue
        claim = next((e for e in _claims(found, Words()).evidence if e.parent), None)
        if claim is None or claim.parent is None:
            return parent, tuple(steps)
        path, source = [*path, parent], claim.source
        steps.append(Evidence(source, f"{parent} in turn names {claim.parent} as its parent", claim.parent))
        parent = claim.parent
    return None, (*steps, Evidence(source, f"no root within {max_depth} declared ancestors"))


def _claims(upload: Upload, words: Words) -> _Claims:
    card = [(Source.CARD, value) for value in _listed(upload.card.get("base_model"))]
    adapter = [(Source.ADAPTER_CONFIG, value) for value in _listed(_adapter_base(upload))]
    relations, tagged = _tags(upload)
    named: dict[tuple[Source, str], Evidence] = {}
    parents: set[str] = set()
    further = [*words.claims()]
    for source, value in (*card, *adapter, *((Source.TAG, tag) for tag in tagged), *further):
        # The Hub makes the tags from the card: a tag that repeats it is no second witness.
        if source in (Source.TAG, Source.MERGE_CONFIG) and value in parents:
            continue
        claim = _judge(source, value, upload.repo)
        named.setdefault((source, claim.parent or claim.text), claim)
        parents.add(claim.parent or "")
    kept = tuple(named.values())
    if len(kept) > MAX_PARENTS:
        source, text = (
            kept[-1].source,
            f"{len(kept)} parents are named, only the first {MAX_PARENTS} are used",
        )
        kept = (*kept[:MAX_PARENTS], Evidence(source, text))
    merged = any(claim.source is Source.MERGE_CONFIG and claim.parent for claim in kept)
    odd, relation = _relation(upload, relations, bool(adapter), merged, kept)
    return _Claims((*kept, *odd, *words.faults), relation)


def _listed(value: object) -> list[object]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _adapter_base(upload: Upload) -> object:
    peft = upload.config.get("peft")
    return peft.get("base_model_name_or_path") if isinstance(peft, dict) else None


def _tags(upload: Upload) -> tuple[list[str], list[str]]:
    """The relations and the parents in tags `base_model:<id>` and `base_model:<relation>:<id>`."""
    relations, parents = [], []
    for tag in upload.tags:
        if tag.startswith("base_model:"):
            head, colon, tail = tag.removeprefix("base_model:").partition(":")
            if colon and head in RELATIONS:
                relations.append(head)
            parents.append(tail if colon and head in RELATIONS else f"{head}{colon}{tail}")
    return relations, parents


def _relation(
    upload: Upload, tagged: list[str], adapter: bool, merged: bool, claims: tuple[Evidence, ...]
) -> tuple[Iterator[Evidence], str | None]:
    """The declared relation, else what the Hub would infer, and evidence for one that is no relation."""
    parents = {e.parent for e in claims if e.parent}
    said = upload.card.get("base_model_relation")
    odd = (
        []
        if said is None or said in RELATIONS
        else [f"base_model_relation {_shown(said)} is unknown: ignored"]
    )
    if isinstance(said, str) and said in RELATIONS:
        relation: str | None = said
    elif tagged:
        relation = tagged[0]
    elif adapter:
        relation = "adapter"
    elif "quantization_config" in upload.config:
        relation = "quantized"
    else:
        relation = ("merge" if merged or len(parents) > 1 else "finetune") if parents else None
    return (Evidence(Source.CARD, text) for text in odd), relation


def _judge(source: Source, value: object, repo: str) -> Evidence:
    """One claim as evidence: with a parent if it can be followed, with the reason if not."""
    where = _WHERE[source]
    name, fault = _repo_id(value)
    if not fault and name.casefold() == repo.casefold():
        fault = "which is the repo itself"
    if fault:
        return Evidence(source, f"the {where} names {_shown(value)} as parent, {fault}: ignored")
    return Evidence(source, f"the {where} names {name} as parent", name, claimed=True)


def _repo_id(value: object) -> tuple[str, str]:
    """The repo id in a value, and what is wrong with it, if anything is."""
    if not isinstance(value, str):
        return "", "which is not a name"
    name = value.strip()
    if len(name) > 4 * _MAX_ID_CHARS:
        return "", f"which is {len(name):,} characters long"
    if "://" in name:
        name, fault = _from_address(name)
        if fault:
            return "", fault
    elif name.startswith(("/", "./", "../", "~", ".\\")) or "\\" in name or name[1:3] == ":/":
        return "", "which is a path on somebody's machine"
    if len(name) > _MAX_ID_CHARS or not _REPO_ID.fullmatch(name):
        return "", "which is no repo id"
    return name, ""


def _from_address(address: str) -> tuple[str, str]:
    try:
        parts = urlsplit(address)
    except ValueError:
        return "", "which is no address"
    if parts.scheme not in ("http", "https") or parts.hostname not in HUB_HOSTS:
        return "", "which is not on the Hub"
    segments = [segment for segment in parts.path.split("/") if segment]
    if not segments or segments[0] in ("datasets", "spaces", "papers", "collections", "docs"):
        return "", "which is not a model"
    return "/".join(segments[:2]), ""


def _shown(value: object) -> str:
    """A hostile value, short and without control characters."""
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}…"
