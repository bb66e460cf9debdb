"""The same readings on a GPU as on the CPU."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hubbot.demo.world import MODELS
from hubbot.engine import Engine
from hubbot.experts.artifact import describe
from hubbot.experts.router import shipped
from hubbot.records import RemoteFile, Tensors
from hubbot.weights.local import read_local

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


@pytest.mark.parametrize("expert", [describe(folder) for folder in shipped()], ids=lambda info: info.name)
def test_a_gpu_reads_what_the_cpu_reads(expert):
    index = json.loads((MODELS / "index.json").read_text())
    children = [entry for entry in index if entry["root"] == expert.tree]
    files = [MODELS / entry["folder"] / entry.get("file", "model.safetensors") for entry in children]
    batch = [
        Tensors(
            repo=file.parent.name,
            commit="c" * 40,
            values=read_local(file),
            stored_dtypes={},
            files=(RemoteFile("model.safetensors", 100, "0" * 64),),
            bytes_read=0,
            bytes_stored=100,
        )
        for file in files
    ]
    with Engine("cpu") as cpu, Engine("cuda:0") as gpu:
        assert gpu.resolved_device() == "cuda:0"
        for one, other in zip(cpu.probe(expert, batch), gpu.probe(expert, batch), strict=True):
            assert [p.label for p in one.recognised] == [p.label for p in other.recognised]
            probabilities = [[p.probability for p in reading.predictions] for reading in (one, other)]
            np.testing.assert_allclose(*probabilities, atol=1e-5)
