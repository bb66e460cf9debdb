"""A net as a repo that a stranger can load: weights, config and a card with the code that does it.

What a model was trained on, and how well it does, stands in the metadata of its weight file and nowhere else.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from hubbot.zoo.cnn.nets import Net, layers
from hubbot.zoo.cnn.steps import Activate, Conv, Drop, Flatten, Linear, Norm, Pool
from hubbot.zoo.digits import preprocessor
from hubbot.zoo.layout import WEIGHTS, in_order

MODULES = {"tanh": "nn.Tanh()", "relu": "nn.ReLU()", "gelu": "nn.GELU()", "sigmoid": "nn.Sigmoid()"}

TRANSFORMERS = """
from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained("{repo}")  # greys of 0 to 16, 8 x 8 pixels
model = AutoModelForImageClassification.from_pretrained("{repo}").eval()
"""
TORCH = """
from collections import OrderedDict

from huggingface_hub import hf_hub_download
from safetensors.torch import load_file
from torch import nn

model = nn.Sequential(
    OrderedDict(
{modules}
    )
)
model.load_state_dict(load_file(hf_hub_download("{repo}", "model.safetensors")))
model.eval()  # on greys in [-1, 1], 8 x 8 pixels
"""


def write_repo(
    place: Path,
    repo: str,
    net: Net,
    row: Tensor,
    activation: str,
    metadata: Mapping[str, Any],
    listed: Mapping[str, Any],
    *,
    steps: int = 0,
) -> None:
    """One repo. Its folder gets its name last, so that a folder that exists is whole.

    Args:
        row: (p,).
        metadata: of the weight file; no one but trainings and evaluations reads it.
        listed: in the card, one a line.
        steps: that BatchNorm's statistics are of.
    """
    part = place.with_name(place.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = {name: value.contiguous() for name, value in net.tensors(row.detach()).items()}
    for layer in layers(net.steps):
        if isinstance(layer, Norm):  # torch's state dict has it, though nothing is computed from it
            tensors[f"{layer.name}.num_batches_tracked"] = torch.tensor(steps)
    told = {"format": "pt", **{name: str(value) for name, value in metadata.items()}}
    (part / WEIGHTS).write_bytes(in_order(save(tensors, told)))
    files = {"config.json": {**net.config, "hidden_act": activation}}
    if net.config["model_type"] == "resnet":
        files["preprocessor_config.json"] = preprocessor(net.pixels)
    for name, content in files.items():
        (part / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (part / "README.md").write_text(_card(repo, net, activation, listed), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    part.replace(place)


def code(repo: str, net: Net, activation: str) -> str:
    """Python that loads a model with its library."""
    if net.config["model_type"] == "resnet":
        return TRANSFORMERS.format(repo=repo)
    return TORCH.format(repo=repo, modules="\n".join(" " * 8 + line for line in _modules(net, activation)))


def _modules(net: Net, activation: str) -> list[str]:
    lines, count = [], dict.fromkeys((Activate, Pool), 0)
    for step in net.steps:
        match step:
            case Conv():
                bias = "" if step.bias else ", bias=False"
                told = f"{step.inputs}, {step.outputs}, {step.kernel}, padding={step.kernel // 2}{bias}"
                lines.append(f"{step.name}=nn.Conv2d({told}),")
            case Norm():
                lines.append(f"{step.name}=nn.BatchNorm2d({step.channels}),")
            case Linear():
                lines.append(f"{step.name}=nn.Linear({step.inputs}, {step.outputs}),")
            case Activate():
                count[Activate] += 1
                lines.append(f"act{count[Activate]}={MODULES[activation]},")
            case Pool():
                count[Pool] += 1
                lines.append(f"pool{count[Pool]}=nn.MaxPool2d({step.size}),")
            case Flatten():
                lines.append("flatten=nn.Flatten(),")
            case Drop():
                pass
    return lines


def _card(repo: str, net: Net, activation: str, listed: Mapping[str, Any]) -> str:
    library = "transformers" if net.config["model_type"] == "resnet" else "pytorch"
    front = ["---", f"library_name: {library}", "pipeline_tag: image-classification", "---"]
    use = ["## How to use", "", f"```python{code(repo, net, activation)}```"]
    told = ["## Training", "", *(f"- {name}: {value}" for name, value in listed.items())]
    return "\n".join([*front, "", f"# {repo.split('/')[-1]}", "", *use, "", *told, ""])
