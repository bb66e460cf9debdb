"""A small tree of LoRAs whose concept stands in their factors, and an expert with a text head for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from hubbot.encoders.loading import load
from hubbot.experts import artifact
from hubbot.experts.calibrate import NEVER, Geometry, distance
from hubbot.experts.matrices import Factored, Weights
from hubbot.experts.probe import Sizes
from hubbot.experts.schema import Calibration, Config
from hubbot.experts.train import Sample, Schedule, Trained, train
from hubbot.records import Kind, Label, Wanted
from hubbot.weights.dtypes import Floats

ROOT, RIVAL = "tiny/painter", "tiny/rival"
"""Two roots of one form: what their children's factors mean has nothing in common."""
ENCODER = "sentence:all-MiniLM-L6-v2"
CONCEPTS = ("dog", "pear", "watermelon", "fire engine", "violin", "snowman", "castle", "rocket")
LABELS = tuple(Label(text.replace(" ", "-"), text, text.replace(" ", "-")) for text in CONCEPTS)
LAYERS = ("transformer_blocks.0.attn2.to_k", "transformer_blocks.1.attn2.to_v")
SHAPE = (40, 32)
WANTED = tuple(Wanted(f"transformer.{layer}", shape=SHAPE, kind=Kind.LORA) for layer in LAYERS)
PROMPT = "a picture of a {}"


@cache
def vocabulary() -> Floats:
    """(k, d_text)"""
    return load(ENCODER).encode([PROMPT.replace("{}", text) for text in CONCEPTS])


def factors(concept: int, seed: int, rank: int = 4, root: str = ROOT) -> dict[str, tuple[Floats, Floats]]:
    """(B, A) of each layer: the concept's text, turned, is what the first row of A looks for."""
    fixed, random = np.random.default_rng(len(root)), np.random.default_rng(1000 * concept + seed)
    made = {}
    for layer in LAYERS:
        turn, answer = fixed.normal(size=(SHAPE[1], 384)) / 8, fixed.normal(size=SHAPE[0])
        A = random.normal(size=(rank, SHAPE[1])) / 12
        B = random.normal(size=(SHAPE[0], rank)) / 12
        A[0] += turn @ vocabulary()[concept]
        B[:, 0] += answer
        made[layer] = (0.05 * B).astype(np.float32), (0.05 * A).astype(np.float32)
    return made


def weights(models: Mapping[int, range], root: str = ROOT) -> Sample:
    """Some models of each concept, of ranks 2 to 4."""
    pairs = [
        [tuple(map(torch.tensor, pair)) for pair in factors(c, s, 2 + s % 3, root).values()]
        for c, seeds in models.items()
        for s in seeds
    ]
    layers: Weights = {
        want.name: Factored.of([model[i] for model in pairs])
        for i, want in enumerate(WANTED)  # type: ignore[misc]
    }
    truth = torch.eye(len(CONCEPTS))[[c for c, seeds in models.items() for _ in seeds]]
    return Sample(layers, truth)


@cache
def trained(root: str = ROOT) -> Trained:
    everything = range(len(CONCEPTS))
    sizes = Sizes(probes=16, projection=16, encoding=24, dropout=0.0)
    how = Schedule(epochs=60, patience=60, learning_rate=3e-3)
    return train(
        weights(dict.fromkeys(everything, range(12)), root),
        weights(dict.fromkeys(everything, range(12, 15)), root),
        kind="treeprobe",
        sizes=sizes,
        how=how,
        texts=torch.tensor(vocabulary()),
    )


def write_expert(folder: Path, root: str = ROOT) -> Path:
    """The expert's folder."""
    probe = trained(root).probe
    sizes = {"probes": 16, "projection": 16, "encoding": 24, "view": "standard", "dropout": 0.0}
    config = Config(
        name=root.replace("/", "-"),
        roots=(root,),
        wanted=WANTED,
        labels=LABELS,
        text_encoder=ENCODER,
        probe={"kind": "treeprobe", **sizes},
        calibration=_calibration(root),
        trained_on="LoRAs of a tiny painter, each on pictures of one thing",
        head="text",
        prompt=PROMPT,
        scores={"accuracy": 0.99},
    )
    artifact.save(folder, config, probe, {}, {}, {"train": ()}, vocabulary())
    return folder


def _calibration(root: str) -> Calibration:
    everything = dict.fromkeys(range(len(CONCEPTS)), range(12))
    learned = weights(everything, root).weights[WANTED[0].name]
    features = Geometry(None, trained(root).probe.centre(WANTED[0].name)).features(learned)
    centre = features.mean(0)
    precision = torch.linalg.inv(torch.cov(features.T) + 1e-4 * torch.eye(2))
    far = 1.3 * float(distance(features, centre, precision).max())
    rows = tuple(tuple(row) for row in precision.tolist())
    return Calibration(1.0, NEVER, 0.6, tuple(centre.tolist()), rows, far)


def root_weights() -> dict[str, Floats]:
    """A root such as the LoRAs would lie on."""
    random = np.random.default_rng(1)
    return {f"{layer}.weight": random.normal(size=SHAPE).astype(np.float32) for layer in LAYERS}


def noise(seed: int) -> bytes:
    """A weight file of the same form from another world."""
    random, values = np.random.default_rng(seed), {}
    for layer in LAYERS:
        values[f"{layer}.lora_A.weight"] = random.normal(size=(4, SHAPE[1]))
        values[f"{layer}.lora_B.weight"] = random.normal(size=(SHAPE[0], 4))
    return save({name: value.astype(np.float32) for name, value in values.items()})


def file_of(
    concept: int, seed: int, *, names: str = "transformer.{}.lora_{}.weight", root: str = ROOT
) -> bytes:
    """A weight file as diffusers saves it, with tensors beside those that an expert reads."""
    random = np.random.default_rng(seed)
    stored = {f"transformer.other.{n}.lora_A.weight": random.normal(size=(4, 512)) for n in range(40)}
    for layer, (B, A) in factors(concept, seed, 2 + seed % 3, root).items():
        down, up = ("A", "B") if "lora_" in names else ("down", "up")
        stored |= {names.format(layer, down): A, names.format(layer, up): B}
    return save({name: value.astype(np.float32) for name, value in stored.items()})
