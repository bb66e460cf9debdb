"""A tiny autoencoder, trained in a second or two on models that differ in one way, which is their `size`."""

from __future__ import annotations

import torch

from hubbot.sane import reach
from hubbot.sane.artifact import Artifact
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.embed import embed
from hubbot.sane.judge import oddness
from hubbot.sane.properties import features, fit
from hubbot.sane.schema import Config, Property, Reach, Size
from hubbot.sane.train import Checkpoints, Course, train
from hubbot.weights.symmetry import Axis, Group

SHAPES = {"a.weight": (6, 4), "a.bias": (6,), "b.weight": (3, 6)}
GROUPS = (Group(6, (Axis("a.weight", 0), Axis("a.bias", 0), Axis("b.weight", 1))),)
TINY = Size(width=16, latent=6, blocks=1, heads=2, window=12, halo=1, projection=4)


def trained() -> tuple[Artifact, Checkpoints]:
    """The autoencoder, and the models that it learned from."""
    generator = torch.Generator().manual_seed(0)
    base, way = torch.randn(2, 48, generator=generator)
    size = torch.rand(200, 1, generator=generator)
    noise = 0.02 * torch.randn(200, 48, generator=generator)
    data = Checkpoints(base + size * way + noise, SHAPES, GROUPS)
    config = Config("sizes", SHAPES, 5, norms=True, size=TINY, groups=GROUPS, trained_on="sizes")
    torch.manual_seed(0)
    model, layout = Autoencoder(config.layout, TINY), config.layout
    values, tokens = data.values(), layout.tokens(data.values())
    model.scale.fit(tokens)
    train(model, data, Course(steps=150, batch=16, learning_rate=5e-3))
    z = embed(model, tokens)
    kinds = ("statistics", "sequence")
    X = features(kinds, values, z, layout)
    ridge, _ = fit([x[:150] for x in X], size[:150], [x[150:] for x in X], size[150:])
    plain = Artifact(config, "", model, data.values(slice(0, 1)), None)
    distance = reach.fit(X[0], torch.zeros(200))
    (e, _), (_, k) = distance.centres.shape, distance.axes.shape
    within = Reach(e, k, 400 * float(distance(X[0]).max()))  # draws from no prompt are to pass
    limit = 2 * float(max(oddness(plain, tokens[i : i + 1], z[i : i + 1]) for i in range(200)))
    told = (Property("size", half_width=0.1, least=0.0, most=1.0, r2=0.9),)
    config = Config(
        "sizes", SHAPES, 5, norms=True, size=TINY, groups=GROUPS, trained_on="sizes",
        features=kinds, properties=told, coverage=0.8, oddest=limit, reach=within,
    )  # fmt: skip
    reference = {name: value[0] for name, value in data.values().items()}
    return Artifact(config, "", model, reference, ridge, distance), data
