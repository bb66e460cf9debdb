"""What does it cost to place an upload: in bytes of a large model, and in time as the forest grows?

    python -m benchmarks.placing [--uploads 10000] [--smoke] [--json]

Bytes: a ViT-B/16 of random weights in true size, a root and a child of it, on a Hub on loopback; bytes are
those that the server sent for the child's weight file.

Time: 40 roots of one small architecture, and uploads that go on from any model before them, up to three steps
from the root; all declare nothing. The bot reads them over HTTP, a block of 500 at a time, as a poll would,
and writes to SQLite. What is compared is the time per upload around the thousandth with that around the last.
`--smoke` does it with a few dozen, and without the large model.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save, save_file

from benchmarks.bytes import vit_shapes
from benchmarks.report import Row, arguments, machine, publish, table, told, verdict
from hubbot.app import open_bot, open_reader
from hubbot.batches import process
from hubbot.bot import Bot
from hubbot.hub import uploads
from hubbot.localhub.repos import Repos
from hubbot.localhub.server import Server
from hubbot.records import How, Upload
from hubbot.rounds import add_root, consult
from hubbot.settings import Settings, load
from hubbot.zoo.threads import one_thread

Weights = Mapping[str, NDArray[np.float32]]

MOST_BYTES = 2_000_000
FLAT = 1.2
"""So many times as long as the thousandth upload the last may take."""
ROOTS, BLOCK = 40, 500
SHAPES = {f"encoder.layer.{i}.{kind}.weight": (64, 64) for i in range(2) for kind in ("attention", "output")}
STEP = 0.3
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Large:
    """What placing one large model cost."""

    sent: int
    stored: int
    how: How


@dataclass(frozen=True, slots=True)
class Block:
    """One block of uploads: how many were there by then, seconds for each, and how many have their parent."""

    until: int
    seconds: float
    right: int
    of: int


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("placing", __doc__, "a few dozen uploads, no large model")
    parser.add_argument("--uploads", type=int, default=10_000, help="how many are placed")
    given = parser.parse_args()
    count, block = (60, 20) if given.smoke else (given.uploads, BLOCK)
    with one_thread():
        large = None if given.smoke else measure_large()
        blocks = measure_growth(count, block)
    rows = [*judge(large, blocks)]
    publish("placing", rows, report(large, blocks, rows), given)


def measure_large() -> Large:
    """Place a child of a root of true size."""
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch, Server(Path(scratch) / "hub") as server:
        folder = Path(scratch)
        root = {
            name: 0.02 * draw.standard_normal(shape, np.float32) for name, shape in vit_shapes(1000).items()
        }
        child = {
            name: root[name] + 0.005 * draw.standard_normal(shape, np.float32)
            if root[name].shape == shape
            else draw.standard_normal(shape, np.float32)
            for name, shape in vit_shapes(50).items()
        }
        for repo, weights in (("lab/vit-b", root), ("me/vit-b-tuned", child)):
            save_file(weights, folder / "model.safetensors")
            server.repos.create(repo)
            server.repos.commit(repo, {"model.safetensors": folder / "model.safetensors"})
        settings = _settings(server, folder)
        with open_bot(settings) as bot:
            add_root(bot, "lab/vit-b")
        server.log.clear()
        with open_reader(settings) as reader:
            placement = consult(reader, "me/vit-b-tuned")[0].placement
        sent = sum(each.bytes_sent for each in server.log if each.path.startswith("/blobs/"))
        return Large(sent, sum(4 * weights.size for weights in child.values()), placement.how)


def measure_growth(count: int, block: int) -> list[Block]:
    """Place so many uploads, a block at a time."""
    with tempfile.TemporaryDirectory() as scratch, Server(Path(scratch) / "hub") as server:
        parents = grow(server.repos, count)
        with open_bot(_settings(server, Path(scratch))) as bot:
            for i in range(ROOTS):
                add_root(bot, f"lab/root-{i}")
            waiting = list(uploads.recent(bot.hub, since=None))[::-1]
            waiting = [upload for upload in waiting if upload.repo in parents]
            return [_place(bot, waiting[at : at + block], at, parents) for at in range(0, count, block)]


def _place(bot: Bot, some: Sequence[Upload], at: int, parents: Mapping[str, str]) -> Block:
    began = time.perf_counter()
    process(bot, some)
    seconds = (time.perf_counter() - began) / len(some)
    found = {upload.repo: bot.store.placement(upload.repo) for upload in some}
    right = sum(placed is not None and placed.parent == parents[repo] for repo, placed in found.items())
    return Block(at + len(some), seconds, right, len(some))


def grow(repos: Repos, count: int) -> dict[str, str]:
    """Roots, and so many models that go on from them or from one another; whose child each is."""
    draw = np.random.default_rng(1)
    there: dict[str, Weights] = {}
    for i in range(ROOTS):
        there[f"lab/root-{i}"] = _upload(repos, f"lab/root-{i}", _drawn(draw), 0)
    parents: dict[str, str] = {}
    levels = dict.fromkeys(there, 0)
    names = list(there)
    for i in range(count):
        # As often from a root as from its children; a grandchild of a grandchild is rare on the Hub.
        parent = names[int(draw.integers(ROOTS if i % 2 else len(names)))]
        if levels[parent] > 1:
            parent = parents[parent]
        repo, moved = f"me/model-{i}", {n: STEP * step for n, step in _drawn(draw).items()}
        weights = {name: there[parent][name] + step for name, step in moved.items()}
        there[repo] = _upload(repos, repo, weights, i + 1)
        parents[repo], levels[repo] = parent, levels[parent] + 1
        names.append(repo)
    return parents


def _drawn(draw: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    return {name: draw.standard_normal(shape, np.float32) for name, shape in SHAPES.items()}


def _upload(repos: Repos, repo: str, weights: Weights, minute: int) -> Weights:
    when = BEGINNING + timedelta(minutes=minute)
    repos.create(repo, created_at=when)
    repos.commit(repo, {"model.safetensors": save(dict(weights))}, when=when)
    return weights


def _settings(server: Server, folder: Path) -> Settings:
    return load({}, endpoint=server.endpoint, home=str(folder / "home"), device="cpu", token="")


# --- the report -----------------------------------------------------------------------------------


def judge(large: Large | None, blocks: Sequence[Block]) -> Iterator[Row]:
    """The issue's targets."""
    if large:
        fits = large.sent < MOST_BYTES and large.how is How.RECOVERED
        yield Row("ViT-B, one placement", large.sent, "bytes", MOST_BYTES, large.stored, fits)
    early, late = _around(blocks, min(1000, blocks[-1].until // 2)), _around(blocks, blocks[-1].until)
    ratio = late / early
    yield Row("time per upload, last to thousandth", ratio, "times", FLAT, None, ratio <= FLAT)
    yield told("time per upload at the end", 1000 * late, "ms", 1000 * early)
    right = sum(block.right for block in blocks) / sum(block.of for block in blocks)
    yield told("parents found", right, "share of uploads")


def _around(blocks: Sequence[Block], count: int) -> float:
    """Seconds for each upload: the median of the three blocks up to there, and one behind."""
    at = next(i for i, block in enumerate(blocks) if block.until >= count)
    return statistics.median(block.seconds for block in blocks[max(at - 2, 0) : at + 2])


def report(large: Large | None, blocks: Sequence[Block], rows: Sequence[Row]) -> str:
    """docs/results/placing.md."""
    step = max(1, len(blocks) // 10)
    lines = [
        (f"{block.until:,}", f"{1000 * block.seconds:.1f}", f"{block.right / block.of:.3f}")
        for block in blocks[step - 1 :: step]
    ]
    size = ""
    if large:
        size = f"""A ViT-B/16 of random weights, {large.stored / 1e6:.0f} MB: {large.sent / 1e3:.0f} kB of it
were sent, header included, and it was {large.how.value}.
"""
    return f"""# What does it cost to place an upload?

    python -m benchmarks.placing

{machine()}. {size}
Time as the forest grows, over HTTP and into SQLite, all on this machine, in blocks of {blocks[0].of}:

{table(("uploads", "ms each", "parents found"), lines)}

Parents are judged when their block is done; who is adopted by a parent that comes later is not counted again.

{verdict(rows)}
"""


if __name__ == "__main__":
    main()
