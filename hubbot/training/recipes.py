"""Experts that are ready to be trained where the Hub is within reach: Model-J's six subsets.

Layers are those on which the papers' probes did best, scores what they wrote: ProbeX (arXiv 2410.13569) and
MVProbe (arXiv 2605.23410, its own table for both). Discriminative subsets: mean per-label accuracy over
CIFAR-100's classes, of which each model knows 50. Generative ones: top-1 among the 170 or 850 classes that
training has met, and among the 30 or 150 that it has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hubbot.errors import UsageError

MODEL_J = "hf:ProbeX/Model-J"
MEGABYTES_PER_S = 20.0
"""What a good line gives; the Hub's limits below are felt before that."""

API_PER_5_MIN = {"stranger": 500, "token": 1_000}
RESOLVE_PER_5_MIN = {"stranger": 3_000, "token": 5_000}
"""Requests that the Hub answers, November 2026."""

_STABLE_DIFFUSION = (
    "CompVis/stable-diffusion-v1-4",
    "CompVis/stable-diffusion-v1-3",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "runwayml/stable-diffusion-v1-5",
)


@dataclass(frozen=True, slots=True)
class FarRecipe:
    """What to train on, and what to expect of it.

    Args:
        roots: equivalent ones; which of them a model was made from makes no difference to its expert.
        layers: as their files name them.
        prompt: how the text encoder is asked, for a text head; empty: labels.
        encoder: the text encoder.
        models: how many there are.
        bundled: whether they lie in one repo, whose files are listed 500 at a time.
        layer_bytes: what is read of each; file_bytes: what it is.
        papers: the papers' scores by method.
    """

    name: str
    subset: str
    roots: tuple[str, ...]
    layers: tuple[str, ...]
    models: int
    layer_bytes: int
    file_bytes: int
    papers: Mapping[str, str]
    zoo: str = MODEL_J
    bundled: bool = False
    prompt: str = ""
    encoder: str = "sentence:all-MiniLM-L6-v2"

    @property
    def bytes_read(self) -> int:
        """Of all models, headers included, which take some 25 to 40 kB."""
        return self.models * (self.layer_bytes + (40_000 if self.bundled else 25_000))

    @property
    def bytes_stored(self) -> int:
        return self.models * self.file_bytes

    def minutes(self, who: str = "stranger") -> float:
        """How long reading takes: what the line gives, or what the Hub's limits leave of it."""
        line = self.bytes_read / 1e6 / MEGABYTES_PER_S / 60
        asked = self.models / 500 if self.bundled else self.models
        api, files = asked / API_PER_5_MIN[who], 2 * self.models / RESOLVE_PER_5_MIN[who]
        return max(line, 5 * api, 5 * files)


def _classifier(
    name: str, subset: str, root: str, layer: str, values: int, probex: str, mv: str
) -> FarRecipe:
    return FarRecipe(
        name=f"model-j/{name}",
        subset=subset,
        roots=(root,),
        layers=(layer,),
        models=1_002,
        layer_bytes=4 * values,
        file_bytes=170_000_000 if subset == "ResNet" else 343_000_000,
        papers={"ProbeX": probex, "MVProbe": mv},
    )


def _diffusion(name: str, subset: str, probex: str, mv: str) -> FarRecipe:
    return FarRecipe(
        name=f"model-j/{name}",
        subset=subset,
        roots=_STABLE_DIFFUSION,
        layers=("unet.down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_q",),
        models=5_000,
        layer_bytes=4 * 2 * 16 * 1280,
        file_bytes=14_000_000,
        papers={"ProbeX": probex, "MVProbe": mv},
        bundled=True,
        prompt="a photo of a {}",
        encoder="clip:ViT-L-14/openai",
    )


_VIT = "vit.encoder.layer.7.attention.output.dense.weight"
RECIPES = {
    recipe.name: recipe
    for recipe in (
        _classifier("supvit", "SupViT", "google/vit-base-patch16-224", _VIT, 768 * 768, ".885", ".923"),
        _classifier("dino", "DINO", "facebook/dino-vitb16", _VIT, 768 * 768, ".705", ".783"),
        _classifier(
            "mae",
            "MAE",
            "facebook/vit-mae-base",
            "vit.encoder.layer.8.attention.attention.value.weight",
            768 * 768,
            ".765",
            ".816",
        ),
        _classifier(
            "resnet",
            "ResNet",
            "microsoft/resnet-101",
            "resnet.encoder.stages.2.layers.19.layer.0.convolution.weight",
            256 * 1024,
            ".842",
            ".922",
        ),
        _diffusion("sd-200", "SD_200", ".973 / .898", ".998 / .955"),
        _diffusion("sd-1k", "SD_1k", ".296 / .505", ".979 / .980"),
    )
}


def far_recipe(name: str) -> FarRecipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}", hint=f"known are {', '.join(RECIPES)}")
    return RECIPES[name]
