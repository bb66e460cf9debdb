"""Which files of a repo hold its weights."""

from __future__ import annotations

from collections.abc import Sequence

from hubbot.errors import UnsafeFormat, WeightsError

INDEX = "model.safetensors.index.json"
KNOWN = ("model.safetensors", INDEX, "adapter_model.safetensors", "pytorch_lora_weights.safetensors")
"""In the order in which transformers, peft and diffusers look for them."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")


def weights_of(files: Sequence[str], *, repo: str) -> str:
    """The one file that leads to the weights: a safetensors file, or the index of a sharded model.

    A repo with none of the usual names and a single safetensors file at its top has that one.

    Raises:
        UnsafeFormat: there are pickles and nothing else.
        WeightsError: there are no weights that we read.
    """
    for name in KNOWN:
        if name in files:
            return name
    safetensors = [name for name in files if name.endswith(".safetensors")]
    at_top = [name for name in safetensors if "/" not in name]
    if len(at_top) == 1:
        return at_top[0]
    if safetensors:
        why = f"{len(safetensors)} safetensors files, and none of a name that says which to read"
        raise WeightsError(why, repo=repo)
    pickles = [name for name in files if name.lower().endswith(PICKLES)]
    if pickles:
        raise UnsafeFormat(repo=repo, file=pickles[0])
    raise WeightsError("the repo holds no safetensors weights", repo=repo)
