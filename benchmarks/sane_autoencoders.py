"""The autoencoders that the SANE benchmarks measure: which there are, trained once and kept.

    python -m benchmarks.sane_autoencoders NAME    trains one; `benchmarks.sane` trains those that are missing

A file is named by a hash of all that decides it, so that what is found is what would be made.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from safetensors.torch import load_file, save_file

from benchmarks.report import RESULTS
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.schema import Size
from hubbot.sane.train import Course
from hubbot.training.sane import Plan, Study, learn
from hubbot.training.zoos import build_zoo
from hubbot.zoo.cnn.history import open_history
from hubbot.zoo.threads import one_thread

ZOOS = RESULTS.parent.parent / "zoos"
SEEDS = (0, 1, 2)
CNN = Plan()
SMOKE = replace(CNN, size=Size(width=16, latent=8, blocks=1, heads=2), course=Course(steps=20, batch=4))


@dataclass(frozen=True, slots=True)
class Wanted:
    """An autoencoder of a zoo."""

    zoo: str
    plan: Plan

    def seeded(self, seed: int) -> Wanted:
        return replace(self, plan=replace(self.plan, course=replace(self.plan.course, seed=seed)))


def _plan(zoo: str, seed: int = 0, *, behaviour: float | None = None, **changes: object) -> Wanted:
    course = replace(CNN.course, seed=seed)
    if behaviour is not None:
        course = replace(course, behaviour=behaviour)
    return Wanted(zoo, replace(CNN, course=course, **changes))  # type: ignore[arg-type]


AUTOENCODERS = {
    **{f"digits-{seed}": _plan("cnn-digits", seed) for seed in SEEDS},
    **{f"grid-{seed}": _plan("cnn-digits-grid", seed) for seed in SEEDS},
    "digits-structure": _plan("cnn-digits", behaviour=0.0),
    "bn": _plan("cnn-digits-bn", norms=False),
    "resnet": _plan("resnet-digits", norms=False, size=replace(CNN.size, window=64, halo=16)),
}


@cache
def study(folder: Path, length: int, norms: bool) -> Study:
    """A zoo, aligned."""
    return Study.of(open_history(folder), length, norms=norms)


def trained(name: str, zoos: Path, *, smoke: bool = False) -> tuple[Autoencoder, Study]:
    """An autoencoder and its zoo; both are made where they are missing."""
    wanted = AUTOENCODERS[name]
    if smoke:
        wanted = Wanted(wanted.zoo, replace(SMOKE, norms=wanted.plan.norms)).seeded(wanted.plan.course.seed)
    folder = zoos / wanted.zoo
    build_zoo(wanted.zoo, "tiny" if smoke else "bench", folder, progress=False)
    shown = study(folder, wanted.plan.length, wanted.plan.norms)
    told = {"plan": asdict(wanted.plan), "recipe": shown.history.recipe_hash}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    file = zoos / "sane" / f"{name}-{digest}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        model = Autoencoder(shown.layout, wanted.plan.size)
        model.load_state_dict(load_file(file))
        return model.eval(), shown
    unfinished = file.with_suffix(".unfinished")
    with one_thread():
        model, _ = learn(shown, wanted.plan, unfinished, lambda point: print(name, point, flush=True))
    save_file(model.state_dict(), file)
    unfinished.unlink(missing_ok=True)
    return model, shown


if __name__ == "__main__":
    for one in sys.argv[1:]:
        trained(one, ZOOS)
