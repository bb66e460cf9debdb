"""What judging a large model takes beside the model: its tokens, and no more than that again."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import torch
from hubbot.sane.artifact import Artifact
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.judge import judge
from hubbot.sane.properties import Ridge, width
from hubbot.sane.schema import Config, Property, Size
from hubbot.weights.symmetry import Axis, Group

def most():
    told = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return 1024 * int(told["VmHWM"].split()[0])

torch.manual_seed(0)
shapes = {f"layer.{n}.weight": (1000, 1024) for n in range(8)}
groups = (Group(1000, (Axis("layer.0.weight", 0),)),)
size = Size(width=8, latent=4, blocks=1, heads=1, window=64, halo=4, projection=2)
config = Config("large", shapes, 512, norms=True, size=size, trained_on="nothing", groups=groups,
                features=("layers",), properties=(Property("accuracy", 0.1),))
model = Autoencoder(config.layout, size).eval()
values = {name: torch.randn(shape) for name, shape in shapes.items()}
ridge = Ridge(torch.zeros(width(config.features, config.layout, 4), 1).double(), torch.zeros(1).double())
artifact = Artifact(config, "", model, values, ridge)
small = Config("small", {"a": (2, 2)}, 2, norms=True, size=size, trained_on="nothing")
Autoencoder(small.layout, size).eval().encode(torch.zeros(1, 2, 2), torch.zeros(1, 2, 3, dtype=torch.long))
before = most()
assert judge(artifact, values)[0].value == 0
print((most() - before) / sum(value.nbytes for value in values.values()))
"""


def test_judging_takes_little_more_than_a_models_tokens() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < 4
