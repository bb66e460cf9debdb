"""What the Hub works out from a model's files."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from hubbot.localhub.derive import Derived, Deriver
from hubbot.localhub.repos import Repos


@pytest.fixture
def derive(tmp_path: Path) -> Any:
    repos = Repos(tmp_path)
    repos.create("alice/model")
    deriver = Deriver(repos)

    def of(**files: bytes | str | dict[str, Any]) -> Derived:
        encoded = {name.replace("__", "."): _bytes(content) for name, content in files.items()}
        return deriver.of("alice/model", repos.commit("alice/model", encoded))

    return of


def _bytes(content: bytes | str | dict[str, Any]) -> bytes:
    if isinstance(content, dict):
        content = json.dumps(content)
    return content.encode() if isinstance(content, str) else content


def _safetensors(header: object) -> bytes:
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw


@pytest.mark.parametrize(
    ("card", "files", "relation"),
    [
        ("base_model: a/b", {}, "finetune"),
        ("base_model: [a/b]\nbase_model_relation: merge", {}, "merge"),
        ("base_model: [a/b, c/d]", {}, "merge"),
        ("base_model: a/b", {"adapter_config__json": "{}"}, "adapter"),
        ("base_model: a/b", {"model__gguf": b"GGUF"}, "quantized"),
        ("base_model: a/b", {"config__json": {"quantization_config": {"quant_method": "gptq"}}}, "quantized"),
        ("base_model: a/b\nbase_model_relation: cousin", {}, "finetune"),
        ("license: mit", {}, None),
    ],
)
def test_relations(derive: Any, card: str, files: dict[str, Any], relation: str | None) -> None:
    found = derive(README__md=f"---\n{card}\n---\n", **files)
    assert found.relation == relation
    expected = [f"base_model:{relation}:{parent}" for parent in found.base_models]
    assert [tag for tag in found.tags if tag.count(":") == 2] == expected


@pytest.mark.parametrize(
    ("files", "library", "task"),
    [
        (
            {"config__json": {"model_type": "vit", "architectures": ["ViTForImageClassification"]}},
            "transformers",
            "image-classification",
        ),
        (
            {"config__json": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}},
            "transformers",
            "text-generation",
        ),
        ({"config__json": {"model_type": "bert"}, "modules__json": "[]"}, "sentence-transformers", None),
        ({"model_index__json": {"_class_name": "StableDiffusionPipeline"}}, "diffusers", None),
        ({"adapter_config__json": {"task_type": "X"}}, "peft", None),
        ({"config__json": "{"}, None, None),
        (
            {"README__md": "---\nlibrary_name: timm\npipeline_tag: image-classification\n---\n"},
            "timm",
            "image-classification",
        ),
        ({}, None, None),
    ],
)
def test_libraries_and_tasks(
    derive: Any, files: dict[str, Any], library: str | None, task: str | None
) -> None:
    found = derive(**files)
    assert (found.library, found.task) == (library, task)
    assert {word for word in (library, task) if word} <= set(found.tags)


def test_tags_of_a_card(derive: Any) -> None:
    card = "license: mit\nlanguage: [en, de]\ntags: [a, a, b]\ndatasets: mnist"
    found = derive(README__md=f"---\n{card}\n---\nSee https://arxiv.org/abs/2410.13569.", w__bin=b"x")
    assert found.tags == (
        *("pytorch", "a", "b", "en", "de", "dataset:mnist", "arxiv:2410.13569", "license:mit", "region:us"),
    )


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"\x00",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 9) + b"not json!",
        _safetensors([1, 2]),
        _safetensors(
            {"a": 1, "b": {"shape": "x"}, "c": {"shape": [-1], "dtype": "F32"}, "d": {"shape": [True, "2"]}}
        ),
    ],
)
def test_odd_weights_count_nothing(derive: Any, weights: bytes) -> None:
    assert sum(derive(model__safetensors=weights).parameters.values()) == 0


def test_parameters_by_dtype(derive: Any) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 24]},
        "b": {"dtype": "F32", "shape": [], "data_offsets": [24, 28]},
    }
    assert derive(model__safetensors=_safetensors(header)).parameters == {"BF16": 12, "F32": 1}


def test_the_digest_keeps_what_the_hub_keeps(derive: Any) -> None:
    config = {
        "architectures": ["A", 1],
        "model_type": "vit",
        "id2label": {"0": "seven"},
        "quantization_config": {"quant_method": "awq", "bits": 4, "modules": ["x"]},
    }
    assert derive(config__json=config).config == {
        "architectures": ["A"],
        "model_type": "vit",
        "quantization_config": {"quant_method": "awq", "bits": 4},
    }
