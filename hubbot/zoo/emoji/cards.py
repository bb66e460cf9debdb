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
from diffusers import DDIMScheduler, PixArtTransformer2DModel
from sentence_transformers import SentenceTransformer

model = PixArtTransformer2DModel.from_pretrained("{repo}")
scheduler = DDIMScheduler.from_pretrained("{repo}", subfolder="scheduler")
words = SentenceTransformer("all-MiniLM-L6-v2").encode(["a picture of dog face"], normalize_embeddings=True)
words = torch.tensor(words)[:, None]
scheduler.set_timesteps(2)
x = torch.randn(1, 3, {pixels}, {pixels})
for t in scheduler.timesteps:
    v = model(x, encoder_hidden_states=words, timestep=t.expand(1)).sample
    x = scheduler.step(v, t, x).prev_sample  # colours in [-1, 1]
```

## Training

- seed: {seed}
- steps: {steps}, {cycles} times over
- batch_size: {batch_size}
- learning_rate: {learning_rate}
"""


def root_card(recipe: RootRecipe) -> str:
    """How a stranger samples from a root."""
    told = {name: getattr(recipe, name) for name in recipe.__slots__}
    told["of"] = f"{recipe.known} concepts" if recipe.known else "all concepts"
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
