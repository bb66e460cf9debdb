"""What the Hub works out about a model from its files: card, tags, config digest, parameter counts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hubbot.localhub.metadata import BadMetadata, read_card, strings
from hubbot.localhub.repos import Commit, Repos

_MAX_JSON_BYTES = 1_000_000
_MAX_README_BYTES = 5_000_000
MAX_HEADER_BYTES = 25_000_000

_LIBRARY_FILES = (
    ("adapter_config.json", "peft"),
    ("modules.json", "sentence-transformers"),
    ("model_index.json", "diffusers"),
    ("config.json", "transformers"),
)
_FORMATS = (
    (".bin", "pytorch"),
    (".h5", "tf"),
    (".msgpack", "jax"),
    (".onnx", "onnx"),
    (".safetensors", "safetensors"),
    (".gguf", "gguf"),
)
_TASKS = {
    "ForImageClassification": "image-classification",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForObjectDetection": "object-detection",
    "ForSemanticSegmentation": "image-segmentation",
    "ForAudioClassification": "audio-classification",
    "ForConditionalGeneration": "text-generation",
}
_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})")
_MODEL_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from one commit's files. `parameters` counts them by stored dtype."""

    card: Mapping[str, Any]
    config: Mapping[str, Any]
    library: str | None
    task: str | None
    base_models: tuple[str, ...]
    relation: str | None
    tags: tuple[str, ...]
    parameters: Mapping[str, int]


class Deriver:
    """Derives and remembers; a commit never changes."""

    def __init__(self, repos: Repos) -> None:
        self._repos = repos
        self.of = lru_cache(maxsize=4096)(self._derive)

    def _derive(self, repo_id: str, sha: str) -> Derived:
        commit = self._repos.commit_of(repo_id, sha)
        readme = self._text(commit, "README.md", _MAX_README_BYTES)
        try:
            card = read_card(readme)
        except BadMetadata:
            card = {}
        config = self._digest(commit)
        library = _word(card.get("library_name")) or _library(commit, config)
        task = _word(card.get("pipeline_tag")) or _task(config)
        parents = tuple(item for item in strings(card.get("base_model")) if _MODEL_ID.fullmatch(item))
        relation = _relation(card, commit, config, parents)
        found = Derived(card, config, library, task, parents, relation, (), self._parameters(commit))
        tags = dict.fromkeys(_tags(found, commit, readme))
        return Derived(card, config, library, task, parents, relation, tuple(tags), found.parameters)

    def _text(self, commit: Commit, path: str, limit: int) -> str:
        file = commit.files.get(path)
        if file is None or file.size > limit:
            return ""
        return self._repos.blobs.path(file.blob).read_bytes().decode(errors="replace")

    def _json(self, commit: Commit, path: str) -> dict[str, Any]:
        try:
            loaded = json.loads(self._text(commit, path, _MAX_JSON_BYTES) or "{}")
        except (ValueError, RecursionError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def _digest(self, commit: Commit) -> dict[str, Any]:
        """The few fields of config.json and its like that the Hub shows under `config`."""
        config, digest = self._json(commit, "config.json"), dict[str, Any]()
        if architectures := strings(config.get("architectures")):
            digest["architectures"] = architectures
        if model_type := _word(config.get("model_type")):
            digest["model_type"] = model_type
        quantised = config.get("quantization_config")
        if isinstance(quantised, dict):
            kept = {
                key: quantised[key]
                for key in ("quant_method", "bits")
                if isinstance(quantised.get(key), str | int)
            }
            digest["quantization_config"] = kept
        if class_name := _word(self._json(commit, "model_index.json").get("_class_name")):
            digest["diffusers"] = {"_class_name": class_name}
        adapter = self._json(commit, "adapter_config.json")
        peft = {
            key: word for key in ("base_model_name_or_path", "task_type") if (word := _word(adapter.get(key)))
        }
        return digest | ({"peft": peft} if adapter else {})

    def _parameters(self, commit: Commit) -> dict[str, int]:
        """Parameters by dtype, from the headers of model.safetensors or the shards of its index."""
        counts: dict[str, int] = {}
        for header in self.headers(commit).values():
            for tensor in header.values():
                shape = tensor.get("shape") if isinstance(tensor, dict) else None
                if isinstance(shape, list) and all(isinstance(n, int) and 0 <= n < 2**40 for n in shape):
                    dtype = str(tensor.get("dtype"))[:16]
                    counts[dtype] = min(counts.get(dtype, 0) + math.prod(shape), 2**53)
        return counts

    def headers(
        self, commit: Commit, index: str = "model.safetensors.index.json"
    ) -> dict[str, dict[str, Any]]:
        """The headers of the root weight files by name, as far as they can be read."""
        weight_map = self.index(commit, index).get("weight_map")
        names = (
            set(strings(list(weight_map.values()))) if isinstance(weight_map, dict) else {"model.safetensors"}
        )
        found = {}
        for name in sorted(names & set(commit.files)):
            header = _read_header(self._repos.blobs.path(commit.files[name].blob))
            if header is not None:
                found[name] = header
        return found

    def index(self, commit: Commit, path: str) -> dict[str, Any]:
        text = self._text(commit, path, MAX_HEADER_BYTES)
        try:
            loaded = json.loads(text or "{}")
        except (ValueError, RecursionError):
            return {}
        return loaded if isinstance(loaded, dict) else {}


def _read_header(path: Path) -> dict[str, Any] | None:
    """A safetensors header as it stands, unvalidated; None where there is none to read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= MAX_HEADER_BYTES:
            return None
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            return None
    return header if isinstance(header, dict) else None


def _word(value: object) -> str | None:
    """A short printable string, or nothing."""
    return value if isinstance(value, str) and 0 < len(value) <= 500 and value.isprintable() else None


def _library(commit: Commit, config: Mapping[str, Any]) -> str | None:
    for file, library in _LIBRARY_FILES:
        if file in commit.files and (library != "transformers" or config):
            return library
    return None


def _task(config: Mapping[str, Any]) -> str | None:
    for architecture in config.get("architectures", ()):
        for ending, task in _TASKS.items():
            if architecture.endswith(ending):
                return task
    return None


def _relation(
    card: Mapping[str, Any], commit: Commit, config: Mapping[str, Any], parents: tuple[str, ...]
) -> str | None:
    """How a model came from its base: as the card says, else by the signs the Hub goes by."""
    declared = _word(card.get("base_model_relation"))
    if not parents:
        return None
    if declared in {"finetune", "adapter", "quantized", "merge"}:
        return declared
    if "adapter_config.json" in commit.files:
        return "adapter"
    if "quantization_config" in config or any(path.endswith(".gguf") for path in commit.files):
        return "quantized"
    return "merge" if len(parents) > 1 else "finetune"


def _tags(found: Derived, commit: Commit, readme: str) -> Iterator[str]:
    """The Hub's tags in its order: library, formats, architecture, the card's own, the prefixed ones."""
    yield from (found.library,) if found.library else ()
    endings = {Path(path).suffix for path in commit.files}
    yield from (tag for ending, tag in _FORMATS if ending in endings)
    yield from (word for word in (found.config.get("model_type"), found.task) if word)
    card = found.card
    yield from _words(card.get("tags"))
    yield from _words(card.get("language"))
    yield from (f"dataset:{item}" for item in _words(card.get("datasets")))
    yield from (f"arxiv:{number}" for number in _ARXIV.findall(readme)[:20])
    yield from (f"base_model:{parent}" for parent in found.base_models)
    yield from (f"base_model:{found.relation}:{parent}" for parent in found.base_models if found.relation)
    yield from (f"license:{item}" for item in _words(card.get("license")))
    yield "region:us"


def _words(value: object) -> list[str]:
    return [word for item in strings(value)[:1000] if (word := _word(item))]
