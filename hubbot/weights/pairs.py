"""The two factors of a low-rank layer, under whatever name the library that saved them gave them.

LoRA (arXiv 2106.09685) leaves a weight as it was and learns what is added to it: B A, with A: (r, d_W) and
B: (d_H, r). The layer `blocks.0.attn2.to_k` of a diffusion transformer lies in a file as

    blocks.0.attn2.to_k.lora_A.weight                       peft alone
    base_model.model.blocks.0.attn2.to_k.lora_A.weight      a peft adapter
    transformer.blocks.0.attn2.to_k.lora_A.weight           a diffusers pipeline; `unet.` for that kind
    unet.blocks.0.attn2.to_k.lora.down.weight               diffusers until 2023, Model-J

and its second factor beside it as `lora_B` or `lora.up`.
"""

from __future__ import annotations

from collections.abc import Container

MAX_RANK = 256
PREFIXES = ("", "base_model.model.", "transformer.", "unet.")
SUFFIXES = ((".lora_A.weight", ".lora_B.weight"), (".lora.down.weight", ".lora.up.weight"))


def pair(layer: str, names: Container[str]) -> tuple[str, str] | None:
    """The names of a layer's A and B among those of a file; None where it has no such pair.

    >>> pair("unet.to_k", {"to_k.lora.down.weight", "to_k.lora.up.weight"})
    ('to_k.lora.down.weight', 'to_k.lora.up.weight')
    """
    for prefix in _prefixes(layer):
        for down, up in SUFFIXES:
            found = f"{prefix}{bare(layer)}{down}", f"{prefix}{bare(layer)}{up}"
            if found[0] in names and found[1] in names:
                return found
    return None


def bare(layer: str) -> str:
    """A layer's name without what a library puts before it."""
    return layer.removeprefix(_own(layer))


def fault(layer: str, shape: tuple[int, ...] | None, A: tuple[int, ...], B: tuple[int, ...]) -> str:
    """What keeps two factors of these shapes from being the layer's; empty where nothing does.

    Args:
        shape: (d_H, d_W), what the layer adds to; None for any.
    """
    if len(A) != 2 or len(B) != 2 or A[0] != B[1]:
        return f"{A} and {B} are not the shapes of two factors"
    if not 1 <= A[0] <= MAX_RANK:
        return f"its rank is {A[0]}, from 1 to {MAX_RANK} is read"
    if shape is not None and shape != (B[0], A[1]):
        return f"its factors make {(B[0], A[1])}, {shape} is expected of {layer}"
    return ""


def _own(layer: str) -> str:
    return next((prefix for prefix in PREFIXES[1:] if layer.startswith(prefix)), "")


def _prefixes(layer: str) -> tuple[str, ...]:
    """The layer's own name is looked for first."""
    return tuple(dict.fromkeys((_own(layer), *PREFIXES)))
