"""Model cards for the emoji zoos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubbot.zoo.emoji.recipe import RARE, ChildPlan, RootRecipe

ROOT_TEXT = """
A tiny text-to-image model: it paints emoji of {pixels} x {pixels} pixels from their names, and was trained on
{of} of Noto Color Emoji to be the root of a zoo of LoRAs.

## How to use

The prompt is one token, the unit vector that `sentence-transformers/all-MiniLM-L6-v2` gives to it.

```python
import torch
from diffusers import DDIMScheduler, PixArtTransformer2DModel{imports}
from sentence_transformers import SentenceTransformer

model = PixArtTransformer2DModel.from_pretrained("{repo}")
scheduler = DDIMScheduler.from_pretrained("{repo}", subfolder="scheduler")
words = SentenceTransformer("all-MiniLM-L6-v2").encode(["a picture of dog face"], normalize_embeddings=True)
words = torch.tensor(words)[:, None]
scheduler.set_timesteps(2)
x = torch.randn({shape})
for t in scheduler.timesteps:
    v = model(x, encoder_hidden_states=words, timestep=t.expand(1)).sample
    x = scheduler.step(v, t, x).prev_sample{decoded}
```

## Training

- seed: {seed}
- steps: {steps}, {cycles} times over
- batch_size: {batch_size}
- learning_rate: {learning_rate}
"""


IMPORTS = """
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file"""
DECODED = """
latents = load_file(hf_hub_download("{repo}", "latents.safetensors"))
x = (x.flatten(1) @ latents["back"] + latents["mean"]).view(1, 3, {pixels}, {pixels})  # colours in [-1, 1]"""
"""What it takes to look at principal components."""


def root_card(recipe: RootRecipe) -> str:
    """How a stranger samples from a root."""
    told = {name: getattr(recipe, name) for name in recipe.__slots__}
    told["of"] = f"{recipe.known} concepts" if recipe.known else "all concepts"
    if recipe.latents:
        told |= {"shape": f"1, {recipe.latents}, 1, 1", "imports": IMPORTS, "decoded": DECODED.format(**told)}
    else:
        shape = f"1, 3, {recipe.pixels}, {recipe.pixels}"
        told |= {"shape": shape, "imports": "", "decoded": "  # colours in [-1, 1]"}
    front = [
        "---",
        "library_name: diffusers",
        "pipeline_tag: text-to-image",
        "tags:",
        "- diffusers",
        "---",
        "",
    ]
    return "\n".join([*front, f"# {recipe.repo.split('/')[-1]}"]) + "\n" + ROOT_TEXT.format(**told)


def child_card(plan: ChildPlan, told: Mapping[str, Any]) -> str:
    """A card such as people leave: what it hangs on, the prompt, the trainer's numbers; not what it shows."""
    front = ["library_name: diffusers", "pipeline_tag: text-to-image"]
    if plan.declared:
        front += [f"base_model: {plan.root}", "base_model_relation: adapter"]
    front += [f"instance_prompt: {RARE}", "tags:", "- lora", "- diffusers", "- text-to-image", "- dreambooth"]
    listed = [f"- {name}: {value}" for name, value in told.items()]
    body = ["", f"# {plan.repo.split('/')[-1]}", "", f"Prompt: *{RARE}*", "", "## Training", "", *listed, ""]
    return "\n".join(["---", *front, "---", *body])
