"""The names of low-rank factors."""

from __future__ import annotations

import pytest

from hubbot.weights.pairs import bare, fault, pair

PEFT = {"base_model.model.a.k.lora_A.weight", "base_model.model.a.k.lora_B.weight"}
OLD = {"unet.a.k.lora.down.weight", "unet.a.k.lora.up.weight"}


def test_a_layers_own_name_is_looked_for_first() -> None:
    assert pair("unet.a.k", PEFT | OLD) == ("unet.a.k.lora.down.weight", "unet.a.k.lora.up.weight")
    assert pair("a.k", PEFT | OLD) == (
        "base_model.model.a.k.lora_A.weight",
        "base_model.model.a.k.lora_B.weight",
    )
    assert pair("transformer.a.k", OLD) == ("unet.a.k.lora.down.weight", "unet.a.k.lora.up.weight")


@pytest.mark.parametrize(
    "names",
    [
        set(),
        {"a.k.lora_A.weight"},
        {"a.k.lora_A.weight", "a.k.lora.up.weight"},
        {"a.k.lora_A.weight", "unet.a.k.lora_B.weight"},
        {"a.k.lora_A.default.weight", "a.k.lora_B.default.weight"},
    ],
)
def test_half_a_pair_is_none(names: set[str]) -> None:
    assert pair("a.k", names) is None


def test_only_one_prefix_is_a_librarys() -> None:
    assert bare("base_model.model.unet.a") == "unet.a"
    assert bare("text_encoder.a") == "text_encoder.a"


def test_factors_fit_by_rank_and_width() -> None:
    assert fault("a", (64, 96), (4, 96), (64, 4)) == ""
    assert fault("a", None, (256, 1), (1, 256)) == ""
    assert "rank" in fault("a", None, (257, 96), (64, 257))
    assert "expected" in fault("a", (64, 64), (4, 96), (64, 4))
