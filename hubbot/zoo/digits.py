"""The pictures and the architectures of the `digits` zoo: scikit-learn's 1,797 handwritten digits.

Letters: n pictures, c = 1 channel, s pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from hubbot.zoo.recipes import RootRecipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HELD_OUT = 360
"""Pictures that no model is trained on; accuracies in trainer_state.json are measured on them."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures in [-1, 1] with their digit, and which of them may be trained on."""

    x: Tensor  # (n, 1, s, s)
    y: Tensor  # (n,)
    train: Tensor  # (n,) bool


def load(seed: int, pixels: int) -> Pictures:
    """All pictures at a size; the larger one doubles each pixel, so that nothing is invented."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 8 - 1  # (n, 1, 8, 8)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train = torch.ones(len(x), dtype=torch.bool)
    train[order[:HELD_OUT]] = False
    return Pictures(enlarge(x, pixels), torch.tensor(bunch.target), train)


def enlarge(x: Tensor, pixels: int) -> Tensor:
    """(n, 1, 8, 8) -> (n, 1, s, s)"""
    return x.repeat_interleave(pixels // 8, 2).repeat_interleave(pixels // 8, 3)


def augment(x: Tensor, root: RootRecipe, generator: torch.Generator) -> Tensor:
    """Pictures moved and made noisy, as the root's recipe says. x and result: (n, 1, s, s)."""
    if root.shift:
        s, shift = root.pixels, root.shift
        padded = functional.pad(x, (shift,) * 4, value=-1.0)
        dy, dx = torch.randint(0, 2 * shift + 1, (2,), generator=generator).tolist()
        x = padded[:, :, dy : dy + s, dx : dx + s]
    if root.noise:
        x = x + root.noise * torch.randn(x.shape, generator=generator)
    return x


def architecture(root: RootRecipe, labels: int, seed: int) -> PreTrainedModel:
    """A fresh model of the root's architecture: tiny, but of transformers' own classes."""
    from transformers import ResNetConfig, ResNetForImageClassification, ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    common: dict[str, Any] = {"num_channels": 1, "num_labels": labels}
    if root.kind == "vit":
        vit = ViTConfig(
            hidden_size=48,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=96,
            image_size=root.pixels,
            patch_size=root.pixels // 2,
            **common,
        )
        # Eager attention is plain matrix products, which vmap can batch over models.
        vit._attn_implementation = "eager"
        return ViTForImageClassification(vit)
    resnet = ResNetConfig(
        embedding_size=24, hidden_sizes=[24, 32, 48], depths=[2, 2, 2], layer_type="basic", **common
    )
    return ResNetForImageClassification(resnet)


def preprocessor(pixels: int) -> dict[str, Any]:
    """preprocessor_config.json: so many pixels a side, and of 0 to 16 become -1 to 1."""
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "resample": 0,
        "size": {"height": pixels, "width": pixels},
        "do_rescale": True,
        "rescale_factor": 1 / 16,
        "do_normalize": True,
        "image_mean": [0.5],
        "image_std": [0.5],
    }
