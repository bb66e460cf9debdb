"""What does it take to embed a large model that lies on the Hub?

    python -m benchmarks.sane_streaming [--smoke] [--json]

Puts safetensors models of 0.125 to 1 GB on a Hub on loopback, in another process: blocks of a transformer and
embeddings of words, in bfloat16, and at 1 GB in three shards and in float32 as well. Each is embedded as
`hubbot sane embed` does it, row by row by range, in a process of its own, which says what memory it took at
most and how long it was. Beside it another process downloads the file whole and embeds it from memory. The
autoencoder is small and untrained: random weights cost what trained ones do.

`--smoke` does the same with a few megabytes in one process; its numbers are not kept.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.report import Row, arguments, machine, publish, table, told, verdict
from hubbot.embedding import embeddings, fitting
from hubbot.hub.client import Hub
from hubbot.hub.uploads import one
from hubbot.localhub.repos import Repos
from hubbot.sane.artifact import Artifact, load, save
from hubbot.sane.autoencoder import Autoencoder
from hubbot.sane.embed import embed_stream
from hubbot.sane.layers import Moments
from hubbot.sane.schema import Config, Size

TOKEN = 1025
"""A row of most layers, and its bias."""
SMALL = Size(width=64, latent=16, blocks=1, heads=2, window=64, halo=8, projection=8)
GB, MEMORY, LINEAR = 1_000_000_000, 1.0, 1.2
WORDS, WIDTH = 16_000, 1024
MODEL, INDEX = "model.safetensors", "model.safetensors.index.json"
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Case:
    """A model to be embedded, in tokens of so many numbers."""

    name: str
    bytes: int
    dtype: torch.dtype = torch.bfloat16
    shards: int = 1
    token: int = TOKEN

    @property
    def repo(self) -> str:
        return f"big/{self.name.replace(' ', '-')}"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Blocks of a transformer until it is as large as it is to be."""
        wide = WIDTH if self.bytes > 10_000_000 else 128
        numbers = self.bytes // self.dtype.itemsize
        shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (min(WORDS, numbers // wide // 3), wide)}
        left, block = numbers - math.prod(shapes["embed_tokens.weight"]), 0
        while left >= 0.5 * (size := sum(map(math.prod, _block(0, wide).values()))):
            shapes |= _block(block, wide)
            left, block = left - size, block + 1
        return shapes | {"norm.weight": (wide,), "norm.bias": (wide,)}


def _block(number: int, d: int) -> dict[str, tuple[int, ...]]:
    stem = f"layers.{number}"
    parts = {**dict.fromkeys(("attention.k", "attention.o", "attention.q", "attention.v"), (d, d))}
    parts |= {"mlp.down": (d, 4 * d), "mlp.up": (4 * d, d)}
    shapes: dict[str, tuple[int, ...]] = {}
    for part, shape in parts.items():
        shapes |= {f"{stem}.{part}.weight": shape, f"{stem}.{part}.bias": shape[:1]}
    for norm in ("norm_1", "norm_2"):
        shapes |= {f"{stem}.{norm}.weight": (d,), f"{stem}.{norm}.bias": (d,)}
    return shapes


FULL = (
    Case("0.125 GB", GB // 8),
    Case("0.25 GB", GB // 4),
    Case("0.5 GB", GB // 2),
    Case("1 GB", GB),
    Case("1 GB in 3 shards", GB, shards=3),
    Case("1 GB of float32", GB, torch.float32),
    Case("1 GB in tokens of 1024", GB, token=1024),
)
SMOKE = (Case("0.25 GB", 2_000_000), Case("1 GB", 4_000_000, shards=2))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one embedding took, of a process that did nothing else.

    Args:
        computing: seconds of them that the processor worked for this process.
        peak: the most bytes of memory that the process ever held.
        idle: the same, before it began.
    """

    seconds: float
    computing: float
    peak: int
    idle: int
    bytes_read: int
    tokens: int
    mean: tuple[float, ...]


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("sane_streaming", __doc__, "two small models, nothing written")
    parser.add_argument(
        "--child", nargs=4, metavar=("HOW", "ENDPOINT", "REPO", "FOLDER"), help=argparse.SUPPRESS
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.child:
        print(json.dumps(asdict(embed(*given.child))))
        return
    cases, repeats, run = (SMOKE, 1, embed) if given.smoke else (FULL, REPEATS, _in_a_process)
    with tempfile.TemporaryDirectory() as scratch:
        costs = measure(cases, Path(scratch), repeats, run)
    rows = list(judge(costs))
    publish("sane-streaming", rows, report(cases, costs, rows, repeats), given)


# --- what is measured, in a process of its own ------------------------------------------------


def embed(how: str, endpoint: str, repo: str, folder: str) -> Cost:
    """Embed one model, streamed or downloaded first."""
    artifact = load(Path(folder))
    idle, start, worked = _peak(), time.monotonic(), time.process_time()
    with Hub(endpoint) as hub:
        if how == "stream":
            model = fitting(hub, one(hub, repo), artifact)
            mean, read = _mean(artifact, embeddings(model, most_bytes=0)), model.meter.bytes_read
        else:
            mean, read = _downloaded(hub, repo, artifact)
    seconds, computing = time.monotonic() - start, time.process_time() - worked
    return Cost(seconds, computing, _peak(), idle, read, artifact.model.layout.count, tuple(mean.tolist()))


def _mean(artifact: Artifact, pieces: Iterable[torch.Tensor]) -> torch.Tensor:
    moments = Moments(artifact.model.layout, SMALL.latent)
    for piece in pieces:
        moments.add(piece)
    return moments.mean


def _downloaded(hub: Hub, repo: str, artifact: Artifact) -> tuple[torch.Tensor, int]:
    """What it is like to fetch the files and embed them from memory, layer by layer."""
    values: dict[str, torch.Tensor] = {}
    layout, read = artifact.model.layout, 0
    with tempfile.TemporaryDirectory() as scratch:
        found = [name for name in hub.api.list_repo_files(repo) if name.endswith(".safetensors")]
        for name in found:
            file, path = Path(scratch) / name, f"/{repo}/resolve/main/{name}"
            with hub.wire.opened(path, repo=repo) as response, file.open("wb") as out:
                for piece in response.iter_raw(1_000_000):
                    out.write(piece)
            read += file.stat().st_size
            values |= load_file(file)
        layers = ((layer, layout.matrix(layer, values)) for layer in layout.layers)
        return _mean(artifact, embed_stream(artifact.model, layers)), read


def _peak() -> int:
    """The most that was ever resident of this program.

    Of `ru_maxrss` that is no lower bound: there a child begins with what its parent had.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found, "this benchmark needs Linux"
    return 1024 * int(found.group(1))


# --- the Hub and the runs ---------------------------------------------------------------------


Costs = Mapping[str, tuple[Sequence[Cost], Sequence[Cost]]]
"""Of each case: streamed, and downloaded."""


def measure(
    cases: Sequence[Case], scratch: Path, repeats: int, run: Callable[[str, str, str, str], Cost]
) -> Costs:
    """Every case both ways, in turn, so that a busy minute hits all of them."""
    found: dict[str, tuple[list[Cost], list[Cost]]] = {case.name: ([], []) for case in cases}
    for case in cases:
        _fill(scratch, case)
    with _serving(scratch / "hub") as endpoint:
        for _ in range(repeats):
            for case in cases:
                for at, how in enumerate(("stream", "download")):
                    found[case.name][at].append(run(how, endpoint, case.repo, str(scratch / case.repo)))
    for name, (streamed, downloaded) in found.items():
        off = max(abs(a - b) for a, b in zip(streamed[0].mean, downloaded[0].mean, strict=True))
        assert off < 1e-4, f"{name}: streamed and whole embeddings differ by {off}"
    return found


def _fill(scratch: Path, case: Case) -> None:
    """A model on the Hub, and an autoencoder of its architecture beside it."""
    torch.manual_seed(0)
    names, repos = list(case.shapes), Repos(scratch / "hub")
    repos.create(case.repo)
    parts = [names[at :: case.shards] for at in range(case.shards)]
    places: dict[str, str] = {}
    for at, part in enumerate(parts):
        name = MODEL if case.shards == 1 else f"model-{at}.safetensors"
        save_file({n: (0.02 * torch.randn(case.shapes[n])).to(case.dtype) for n in part}, scratch / name)
        repos.commit(case.repo, {name: scratch / name})
        (scratch / name).unlink()
        places |= dict.fromkeys(part, name)
    if case.shards > 1:
        repos.commit(case.repo, {INDEX: json.dumps({"weight_map": places}).encode()})
    config = Config("small", case.shapes, case.token, norms=True, size=SMALL, trained_on="nothing")
    save(scratch / case.repo, Artifact(config, "", Autoencoder(config.layout, SMALL), {}, None))


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """The Hub as a process of its own; its address."""
    command = [
        sys.executable,
        "-m",
        "hubbot",
        "localhub",
        "serve",
        str(folder),
        "--port",
        "0",
        "--cdn-port",
        "0",
    ]
    environ = {**os.environ, "COLUMNS": "400", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stdout
            said = re.search(r"http://\S+?(?=[,\s])", process.stdout.readline())
            assert said, "the Hub did not start"
            yield said.group()
        finally:
            process.terminate()


def _in_a_process(how: str, endpoint: str, repo: str, folder: str) -> Cost:
    """The same as `embed`, which says what a process took that did nothing else."""
    command = [sys.executable, "-m", "benchmarks.sane_streaming", "--child", how, endpoint, repo, folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


# --- the report -------------------------------------------------------------------------------


def _seconds(costs: Sequence[Cost]) -> float:
    """The median, since others use this machine too."""
    return statistics.median(cost.seconds for cost in costs)


def _computing(costs: Sequence[Cost]) -> float:
    return statistics.median(cost.computing for cost in costs)


def _per_gb(costs: Sequence[Cost], of: Callable[[Sequence[Cost]], float] = _seconds) -> float:
    return of(costs) / (costs[0].bytes_read / GB)


def _peak_gib(costs: Sequence[Cost]) -> float:
    return max(cost.peak for cost in costs) / 2**30


def judge(costs: Costs) -> Iterator[Row]:
    """The numbers beside their targets."""
    for name, (streamed, downloaded) in costs.items():
        peak, whole = _peak_gib(streamed), _peak_gib(downloaded)
        limit = MEMORY if name.startswith("1 GB") else None
        yield Row(f"{name}: peak memory", peak, "GiB", limit, whole, peak < MEMORY if limit else None)
        yield told(f"{name}: seconds per GB", _per_gb(streamed), "s/GB", _per_gb(downloaded))
    large, small = costs["1 GB"][0], costs["0.25 GB"][0]
    ratio = _per_gb(large) / _per_gb(small)
    holds = 1 / LINEAR <= ratio <= LINEAR
    yield Row("seconds per GB at 1 GB over those at 0.25 GB", ratio, "x", LINEAR, None, holds)
    ratio = _per_gb(large, _computing) / _per_gb(small, _computing)
    yield told("the same of seconds that the processor worked", ratio, "x")


def report(cases: Sequence[Case], costs: Costs, rows: Sequence[Row], repeats: int) -> str:
    """docs/results/sane-streaming.md."""
    columns = (
        "model",
        "tensors",
        "tokens",
        "read MB",
        "peak GiB",
        "s",
        "s/GB",
        "processor s/GB",
        "whole: peak GiB",
        "whole: s",
    )
    lines = []
    for case in cases:
        streamed, downloaded = costs[case.name]
        lines.append(
            (
                case.name,
                len(case.shapes),
                streamed[0].tokens,
                f"{streamed[0].bytes_read / 1e6:.1f}",
                _peak_gib(streamed),
                f"{_seconds(streamed):.1f}",
                f"{_per_gb(streamed):.1f}",
                f"{_per_gb(streamed, _computing):.1f}",
                _peak_gib(downloaded),
                f"{_seconds(downloaded):.1f}",
            )
        )
    idle = max(cost.idle for streamed, _ in costs.values() for cost in streamed) / 2**30
    return f"""# What does it take to embed a large model that lies on the Hub?

    python -m benchmarks.sane_streaming

Blocks of a transformer of width {WIDTH} and embeddings of {WORDS} words, in bfloat16 where nothing else is
said, on a Hub on loopback in another process. Each embedding is made in a process of its own with one thread
to compute. Seconds are medians of {repeats} runs, memory is the worst of them. {machine()}, used by others
meanwhile.

Streamed as `hubbot sane embed` does it, and beside it the file downloaded whole and embedded from memory,
layer by layer. Both give the same embeddings; the benchmark stops where their means differ.

{table(columns, lines)}

Targets: under {MEMORY:g} GiB of memory at 1 GB, and time linear in size, to a factor of {LINEAR}.

{verdict(rows)}

The autoencoder is untrained and small: width {SMALL.width}, {SMALL.latent} numbers an embedding, windows of
{SMALL.window} tokens of {TOKEN} numbers, which is a row of most layers and its bias; cut at 1024 the bias is
a token of its own, and there are nearly twice as many. Random weights cost what trained ones do; a larger
autoencoder costs more time, and its own memory. Of the peak up to {idle:.2f} GiB are Python, torch and the
autoencoder, whose tables of places grow with the number of tokens.
"""


if __name__ == "__main__":
    main()
