"""What does it save never to multiply a LoRA out? `python -m benchmarks.lora [--smoke] [--json]`

One layer of 1280 x 1280, LoRAs of rank 16, 128 probes, projection 128, encoding 512, batches of 128:

- the probes and projection, and a whole training step with encoder, head and Adam, forward and backward,
  through the factors and on the products. The products are handed over ready-made, so that B @ A itself
  costs that side nothing; the factors have been brought into their canonical form, which is done once before
  training and has a row of its own.
- what autograd keeps for the backward pass, in bytes.
- one expert trained on 3,500 LoRAs with a planted signal: how long until it is within .01 of the validation
  score that it converges to.

Times are the processor's, on one thread, since others may use the machine; ratios are of medians, the two
sides taking turns. `--smoke` does all of it at a tenth of the sizes; its numbers mean nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import Row, arguments, machine, publish, table, told, verdict
from hubbot.experts.heads import Head
from hubbot.experts.matrices import Dense, Factored, Matrices
from hubbot.experts.probe import KINDS, Probe, Sizes
from hubbot.experts.train import Sample, Schedule, train
from hubbot.experts.views import View
from hubbot.zoo.threads import one_thread

LAYER = "layer"
LABELS = 50
RESPONSES, STEP, BYTES, MINUTES = 25.0, 10.0, 20.0, 20.0
"""The targets, as they were set: times faster, times faster, times smaller, at most."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large everything is."""

    width: int = 1280
    rank: int = 16
    probes: int = 128
    encoding: int = 512
    batch: int = 128
    models: int = 3500
    repeats: int = 3


SMOKE = Scale(width=96, rank=4, probes=12, encoding=32, batch=16, models=300, repeats=1)


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("lora", __doc__, "a tenth of the sizes, nothing written")
    given = parser.parse_args()
    scale = SMOKE if given.smoke else Scale()
    with one_thread():
        rows = [*steps(scale), *expert(scale)]
    text = report(scale, rows)
    publish("lora", rows, text, given)


# --- one step -----------------------------------------------------------------------------------


def steps(scale: Scale) -> Iterator[Row]:
    """Each kind of probe on the same LoRAs, factored and multiplied out."""
    loras, truth = planted(scale, scale.batch, seed=1)
    products = Dense(loras.dense())
    for kind in ("probex", "mvprobe"):
        probe = _probe(kind, scale, loras)
        thin, prepared = timed(partial(probe.see, {LAYER: loras}))
        plain = [view.pick(torch.arange(scale.batch)) for view in probe.see({LAYER: products})]
        yield told(f"{kind}: preparing the factors, once", 1000 * prepared / scale.batch, "ms per LoRA")
        bare = _ratio(scale, partial(_responses, probe), thin, plain)
        yield _faster(f"{kind}: probes and projection", bare, RESPONSES)
        step = _ratio(scale, _step(probe, truth), thin, plain)
        yield _faster(f"{kind}: whole training step", step, STEP)
        saved = [saved_bytes(probe, views, truth) for views in (thin, plain)]
        times = saved[1] / saved[0]
        yield Row(
            f"{kind}: kept for backward", times, "times smaller", BYTES, saved[1] / 2**20, times >= BYTES
        )


def _probe(kind: str, scale: Scale, loras: Matrices) -> Probe:
    torch.manual_seed(0)
    sizes = Sizes(scale.probes, scale.probes, scale.encoding, view="raw", dropout=0.0)
    probe = KINDS[kind]({LAYER: loras.shape}, Head("labels", LABELS), sizes, loras=[LAYER])
    probe.look({LAYER: loras})
    return probe


def _responses(probe: Probe, views: Sequence[View]) -> None:
    """Probes and projections, forward and backward, without the encoder."""
    for features in probe.features(views):
        features.sum().backward()  # type: ignore[no-untyped-call]


def _step(probe: Probe, truth: Tensor) -> Callable[[Sequence[View]], None]:
    optimizer = torch.optim.Adam(probe.parameters(), fused=True)

    def step(views: Sequence[View]) -> None:
        loss = probe.head.loss(probe.score(probe.read(views)), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _ratio(
    scale: Scale, work: Callable[[Sequence[View]], None], thin: Sequence[View], plain: Sequence[View]
) -> tuple[float, float]:
    """Medians of the two sides' seconds, after a first round that is not counted."""
    rounds = [(timed(lambda: work(thin))[1], timed(lambda: work(plain))[1]) for _ in range(scale.repeats + 1)]
    factored, dense = zip(*rounds[1:], strict=True)
    return median(factored), median(dense)


def _faster(name: str, seconds: tuple[float, float], target: float) -> Row:
    times = seconds[1] / seconds[0]
    return Row(name, times, f"times faster than {seconds[1]:.2f} s", target, None, times >= target)


def saved_bytes(probe: Probe, views: Sequence[View], truth: Tensor) -> int:
    """What autograd keeps between forward and backward, each storage once, parameters apart."""
    parameters = {p.untyped_storage().data_ptr() for p in probe.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)  # alive, so that no address is given out twice
        return tensor

    held: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        probe.head.loss(probe.score(probe.read(views)), truth)
    return sum(size for address, size in kept.items() if address not in parameters)


# --- one expert ---------------------------------------------------------------------------------


def expert(scale: Scale) -> Iterator[Row]:
    """Ours on thousands of LoRAs."""
    loras, truth = planted(scale, scale.models, seed=2)
    order = torch.randperm(scale.models, generator=torch.Generator().manual_seed(0))
    cut = scale.models * 7 // 8
    sample = Sample({LAYER: loras}, truth)
    sizes = Sizes(scale.probes, scale.probes, scale.encoding, view="standard", dropout=0.1)
    how = Schedule(epochs=3, batch_size=scale.batch, learning_rate=1e-4)
    began = time.perf_counter()
    found = train(sample.pick(order[:cut]), sample.pick(order[cut:]), kind="treeprobe", sizes=sizes, how=how)
    wall = time.perf_counter() - began
    converged = max(score for _, score in found.curve)
    soon = next(seconds for seconds, score in found.curve if score >= converged - 0.01)
    yield told("expert: validation accuracy", converged, "mean per-label accuracy", 0.5)
    minutes = soon / 60
    yield Row("expert: time to within .01", minutes, "minutes of one core", MINUTES, None, minutes <= MINUTES)
    yield told("expert: the whole training", wall / 60, "minutes on the clock")


def planted(scale: Scale, count: int, seed: int) -> tuple[Factored, Tensor]:
    """Random factors; a direction of the input that all share carries the sum of each label's own output.

    Returns:
        LoRAs, and what they were "trained on": (count, LABELS) of 0 and 1, half of them 1.
    """
    shared = torch.Generator().manual_seed(0)
    prompt = torch.randn(scale.width, generator=shared)
    ways = torch.randn(LABELS, scale.width, generator=shared)
    own = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 2, (count, LABELS), generator=own).float()
    B = torch.randn(count, scale.width, scale.rank, generator=own)
    A = torch.randn(count, scale.rank, scale.width, generator=own)
    B[:, :, 0] += 0.1 * (truth - 0.5) @ ways  # weak enough that it takes many models to read all of it
    A[:, 0] += prompt
    return Factored(1e-2 * B, 1e-2 * A), truth


def timed(work: Callable[[], object]) -> tuple[Any, float]:
    """What it gives, and the processor's seconds."""
    began = time.process_time()
    made = work()
    return made, time.process_time() - began


def report(scale: Scale, rows: Sequence[Row]) -> str:
    """docs/results/lora.md."""
    lines = [(row.name, row.value, row.unit, "" if row.target is None else row.target) for row in rows]
    return f"""# What does it save never to multiply a LoRA out?

    python -m benchmarks.lora

LoRAs of rank {scale.rank} on a layer of {scale.width} x {scale.width}, {scale.probes} probes, projection
{scale.probes}, encoding {scale.encoding}, batches of {scale.batch}; {machine()}, one thread, the
processor's time, medians of {scale.repeats}. The products are ready-made: B @ A costs the dense side nothing.

{table(("what", "value", "unit", "target"), lines)}

{verdict(rows)}

The expert learns from {scale.models * 7 // 8} LoRAs with random factors and a planted signal, and is judged
on {scale.models - scale.models * 7 // 8} others; its time counts everything from the raw factors on.
"""


if __name__ == "__main__":
    main()
