"""Does the bot stay as it is however many uploads come: in memory, in time for each, and beside a bare loop?

    python -m benchmarks.soak [--uploads 50000] [--smoke] [--json]

A Hub of synthetic uploads in a process of its own, over HTTP on loopback, answers from a formula: of fifty
uploads one is a child of the demo's digits and gets a reading, ten are safetensors of no tree that is known,
and the others are pickles, which are never opened. The bot notices them all and leads all down the path.

- Listing: our own reading of the listing against a bare loop over huggingface_hub's `list_models` with the
  same fields, three times each, by turns.
- Memory: the resident set of the bot's process, by the end against that at a fifth of the way.
- Time for each upload: the last fifth against the second.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from huggingface_hub import HfApi
from safetensors.numpy import save
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.report import Row, arguments, machine, publish, table, told, verdict
from hubbot.app import open_bot, open_hub
from hubbot.bot import Bot
from hubbot.demo.world import MODELS
from hubbot.hub import uploads
from hubbot.rounds import look, read
from hubbot.settings import Settings, load

LISTING, MEMORY, GROWTH = 1.3, 1.1, 1.2
"""Targets: so many times as long as a bare loop; as large, and as slow, as early on."""
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
FIFTY, STRANGE = 50, 10
PAGE = 1000
"""Entries of a page where the client names no number, as on the Hub."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some uploads: how many were done by then, seconds for each, and the process's memory in bytes."""

    until: int
    seconds: float
    memory: int


# --- the synthetic Hub ------------------------------------------------------------------------


class Formula:
    """A Hub of `count` uploads that are computed when they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        entries = json.loads((MODELS / "index.json").read_text())
        child = next(e for e in entries if e["split"] == "test" and "digits" in (e["root"] or ""))
        self.child = (MODELS / child["folder"] / "model.safetensors").read_bytes()
        draw = np.random.default_rng(0)
        strange = {f"mixer.{i}.weight": draw.standard_normal((24, 40), np.float32) for i in range(3)}
        self.strange = save(strange)

    def entry(self, i: int) -> dict[str, Any]:
        when = (BEGINNING + timedelta(minutes=i)).isoformat().replace("+00:00", ".000Z")
        return {
            "id": f"owner-{i % 997}/model-{i}",
            "sha": hashlib.sha1(str(i).encode(), usedforsecurity=False).hexdigest(),
            "lastModified": when,
            "createdAt": when,
            "tags": ["pytorch", "vit", "license:mit", f"region:{i % 7}"],
            "cardData": {"license": "mit", "tags": ["vision"], "language": ["en"]},
            "config": {"architectures": ["ViTForImageClassification"], "model_type": "vit"},
            "downloads": i % 1000,
            "gated": False,
            "private": False,
            "disabled": False,
            "siblings": [{"rfilename": name} for name in (".gitattributes", "README.md", self.file(i)[0])],
        }

    def file(self, i: int) -> tuple[str, bytes]:
        if i % FIFTY == 0:
            return "model.safetensors", self.child
        return ("model.safetensors", self.strange) if i % FIFTY <= STRANGE else ("pytorch_model.bin", b"no")

    def listed(self, request: Request) -> JSONResponse:
        asked = request.query_params
        if asked.get("filter"):
            return JSONResponse([])  # nobody names any of these as its base model
        size, start = int(asked.get("limit", PAGE)), int(asked.get("cursor", self.count))
        page = [self.entry(i) for i in range(start - 1, max(start - size, 0) - 1, -1)]
        more = start - size
        link = {"Link": f'<{request.url.include_query_params(cursor=more)}>; rel="next"'} if more > 0 else {}
        return JSONResponse(page, headers=link)

    def described(self, request: Request) -> JSONResponse:
        return JSONResponse(self.entry(_number(request)))

    def sized(self, request: Request) -> JSONResponse:
        name, content = self.file(_number(request))
        sha = hashlib.sha256(content).hexdigest()
        lfs = {"oid": sha, "size": len(content), "pointerSize": 130}
        return JSONResponse(
            [{"type": "file", "path": name, "size": len(content), "oid": sha[:40], "lfs": lfs}]
        )

    def resolved(self, request: Request) -> Response:
        content, said = self.file(_number(request))[1], request.headers.get("range", "bytes=0-")
        first, _, last = said.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
        headers = {"Content-Range": f"bytes {start}-{end}/{len(content)}"}
        return Response(content[start : end + 1], 206, headers, "application/octet-stream")


def _number(request: Request) -> int:
    return int(request.path_params["name"].rpartition("-")[2])


def _serve(count: int, told_port: Connection) -> None:
    hub, repo = Formula(count), "/{owner}/{name}"
    app = Starlette(
        routes=[
            Route("/api/models", hub.listed),
            Route(f"/api/models{repo}/paths-info/{{rev}}", hub.sized, methods=["POST"]),
            Route(f"/api/models{repo}", hub.described),
            Route(f"{repo}/resolve/{{rev}}/{{path:path}}", hub.resolved),
        ]
    )
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    sock = config.bind_socket()
    told_port.send(sock.getsockname()[1])
    server.run([sock])


@contextmanager
def synthetic(count: int) -> Iterator[str]:
    """The address of a synthetic Hub, which ends with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(count, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


# --- measuring --------------------------------------------------------------------------------


def main() -> None:
    """Parse the command line, measure, write."""
    parser = arguments("soak", __doc__, "a few hundred uploads")
    parser.add_argument("--uploads", type=int, default=50_000, help="how many there are")
    given = parser.parse_args()
    count = 400 if given.smoke else given.uploads
    os.environ["OMP_NUM_THREADS"] = "1"  # of the worker
    with tempfile.TemporaryDirectory() as home, synthetic(count) as endpoint:
        settings = load({}, endpoint=endpoint, home=home, device="cpu", poll_limit=count)
        loops = measure_listing(settings, count, 1 if given.smoke else 3)
        with open_bot(settings) as bot:
            began = time.perf_counter()
            noticed = look(bot)
            looked = time.perf_counter() - began
            blocks = [*measure_path(bot, max(count // 25, 1))]
            answered = bot.store.status()
        size = sum(file.stat().st_size for file in Path(home).iterdir())
    if noticed != count or blocks[-1].until != count:
        raise SystemExit(
            f"of {count} uploads {noticed} were noticed and {blocks[-1].until} came to their end"
        )
    rows = [*judge(loops, looked / count, blocks, size / count)]
    publish("soak", rows, report(count, answered.answered, blocks, rows, given), given)


def measure_listing(settings: Settings, count: int, times: int) -> list[tuple[float, float]]:
    """Seconds for the whole listing: ours and the bare loop's, by turns."""
    api = HfApi(settings.endpoint, token=False)

    def bare() -> int:
        fields: Any = list(uploads.FIELDS)
        return len([model.id for model in api.list_models(sort="last_modified", expand=fields)])

    def ours() -> int:
        with open_hub(settings) as hub:
            return len([upload.repo for upload in uploads.recent(hub, since=None)])

    return [(_timed(ours, count), _timed(bare, count)) for _ in range(times)]


def _timed(listing: Callable[[], int], count: int) -> float:
    began = time.perf_counter()
    if (found := listing()) != count:
        raise SystemExit(f"{found} of {count} uploads were listed")
    return time.perf_counter() - began


def measure_path(bot: Bot, block: int) -> Iterator[Block]:
    """Lead all that waits down the path, told a block at a time."""
    done, since, began = 0, 0, time.perf_counter()
    while ended := read(bot):
        done += ended
        if done - since >= block:
            yield Block(done, (time.perf_counter() - began) / (done - since), _memory())
            since, began = done, time.perf_counter()
    if done > since:
        yield Block(done, (time.perf_counter() - began) / (done - since), _memory())


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# --- the report -------------------------------------------------------------------------------


def judge(
    loops: Sequence[tuple[float, float]], looked: float, blocks: Sequence[Block], stored: float
) -> Iterator[Row]:
    """The issue's targets."""
    ratio = statistics.median(ours / bare for ours, bare in loops)
    yield Row("listing, ours to a bare loop", ratio, "times", LISTING, 1.0, ratio <= LISTING)
    early, late = _share(blocks, 1), _share(blocks, 4)
    memory = max(b.memory for b in late) / early[0].memory
    yield Row("memory, last fifth to a fifth of the way", memory, "times", MEMORY, None, memory <= MEMORY)
    slower = statistics.median(b.seconds for b in late) / statistics.median(b.seconds for b in early)
    yield Row("time per upload, last fifth to second", slower, "times", GROWTH, None, slower <= GROWTH)
    yield told("memory at the end", blocks[-1].memory / 1e6, "MB", early[0].memory / 1e6)
    yield told("time per upload", 1000 * statistics.median(b.seconds for b in blocks), "ms")
    yield told("noticed and written down", 1000 * looked, "ms an upload")
    yield told("database", stored, "bytes an upload")


def _share(blocks: Sequence[Block], fifth: int) -> Sequence[Block]:
    """The blocks of one fifth of the way, counted from 0."""
    some = max(1, len(blocks) // 5)
    return blocks[fifth * some :][:some] if fifth * some < len(blocks) else blocks[-1:]


def report(
    count: int, answered: int, blocks: Sequence[Block], rows: Sequence[Row], given: argparse.Namespace
) -> str:
    """docs/results/soak.md."""
    lines = [
        (f"{b.until:,}", f"{1000 * b.seconds:.1f}", f"{b.memory / 1e6:.0f}")
        for b in blocks[:: max(1, len(blocks) // 12)]
    ]
    named = f" --uploads {given.uploads}" if given.uploads != 50_000 else ""
    return f"""# Does the bot stay as it is, however many uploads come?

    python -m benchmarks.soak{named}

{machine()}. {count:,} synthetic uploads over HTTP on loopback, {answered:,} of them with a reading; the Hub,
the bot and its worker share {os.cpu_count()} cores.

{table(("uploads", "ms each", "memory, MB"), lines)}

{table(("what", "value", "unit"), [(row.name, row.value, row.unit) for row in rows])}

{verdict(rows)}
"""


if __name__ == "__main__":
    main()
