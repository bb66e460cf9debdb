"""How does the Space bear fifty people who search at once?

    python -m benchmarks.space [--people 50] [--rounds 10] [--smoke] [--json]

The Space serves the demo's database as it does anywhere, in a process of its own on loopback; people are
asyncio tasks of another, which speak to Gradio as its page does: join the queue, then listen until the answer
is there. All press Enter in the same moment, wait for their answers, and press it again; nobody asks what was
asked before, so that every text is encoded anew. Baseline: one person alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.report import Row, arguments, machine, publish, table, told, verdict
from hubbot.demo import run as demo

P95_S = 1.5
PATIENCE_S = 60.0
THINGS = ("dog", "fruit", "bicycle", "seven", "musical instrument", "face", "flag", "vehicle", "cake", "tree")
WAYS = ("a {}", "pictures of a {}", "the {}", "something like a {}", "an old {}", "a small {}", "one more {}")


def main() -> None:
    """Measure and publish."""
    parser = arguments("space", __doc__, "five people, two rounds, nothing written")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    people, rounds = (5, 2) if given.smoke else (given.people, given.rounds)
    with tempfile.TemporaryDirectory() as folder, _space(Path(folder)) as (address, started):
        alone = asyncio.run(crowd(address, 1, 20))
        together = asyncio.run(crowd(address, people, rounds))
    rows = judged(people, alone, together, started)
    cells = [
        (row.name, f"{row.value:.3g} {row.unit}", _short(row.target), _short(row.baseline)) for row in rows
    ]
    text = f"""# The Space under load

    python -m benchmarks.space --people {people} --rounds {rounds}

{machine()}, which serve and ask at once. What is measured stands at the top of `benchmarks/space.py`.

{table(["what", "measured", "target", "one person alone"], cells)}

{verdict(rows)}
"""
    publish("space", rows, text, given)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def judged(people: int, alone: Sequence[float], together: Sequence[float], started: float) -> list[Row]:
    """The rows; a search that failed took forever."""
    failed = float(np.sum(~np.isfinite(together)))
    done = [seconds for seconds in together if np.isfinite(seconds)]
    p95, p50 = float(np.quantile(together, 0.95)), float(np.median(done))
    return [
        Row(
            f"p95 of a search, {people} at once",
            p95,
            "s",
            P95_S,
            float(np.quantile(alone, 0.95)),
            p95 <= P95_S,
        ),
        Row("searches that failed", failed, "searches", 0.0, None, failed == 0),
        told("p50 of a search", p50, "s", float(np.median(alone))),
        told("searches in a second", people / float(np.mean(_longest(together, people))), "1/s"),
        told("from the command to the first answer", started, "s"),
    ]


def _longest(seconds: Sequence[float], people: int) -> list[float]:
    """How long each round took: as long as its slowest search."""
    finite = [min(one, PATIENCE_S) for one in seconds]
    return [max(finite[i : i + people]) for i in range(0, len(finite), people)]


# --- people --------------------------------------------------------------------------------------


async def crowd(address: str, people: int, rounds: int) -> list[float]:
    """Seconds of all searches, round by round; infinite where there was no answer."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, limits=limits) as client:
        function = await _function(client)
        sessions = [uuid.uuid4().hex for _ in range(people)]
        seconds: list[float] = []
        for turn in range(rounds):
            asked = (
                _search(client, function, session, _text(turn * people + i))
                for i, session in enumerate(sessions)
            )
            seconds += await asyncio.gather(*asked)
    return seconds


def _text(i: int) -> str:
    return WAYS[i % len(WAYS)].format(THINGS[i // len(WAYS) % len(THINGS)]) + f" {uuid.uuid4().hex[:4]}"


async def _function(client: httpx.AsyncClient) -> int:
    """Which of the page's functions answers Enter: the first that takes the text and the tree."""
    config = (await client.get("/config")).raise_for_status().json()
    return next(int(one["id"]) for one in config["dependencies"] if len(one["inputs"]) == 2 and one["queue"])


async def _search(client: httpx.AsyncClient, function: int, session: str, text: str) -> float:
    asked = {"data": [text, "all trees"], "fn_index": function, "session_hash": session, "trigger_id": None}
    began = time.perf_counter()
    try:
        (await client.post("/gradio_api/queue/join", json=asked)).raise_for_status()
        async with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as told_:
            async for line in told_.aiter_lines():
                if line.startswith("data: ") and _ended(json.loads(line[6:])):
                    return time.perf_counter() - began
    except (httpx.HTTPError, ValueError):
        pass
    return float("inf")


def _ended(message: dict[str, Any]) -> bool:
    """Whether the answer is complete.

    Raises:
        ValueError: it is no answer.
    """
    if message["msg"] != "process_completed":
        return False
    if not message["success"]:
        raise ValueError(message)
    return True


# --- the Space -------------------------------------------------------------------------------------


@contextmanager
def _space(folder: Path) -> Iterator[tuple[str, float]]:
    """A Space over the demo's database: its address, and how long it took to answer a first search."""
    with demo.hub(folder) as server:
        database = demo.run(folder, server.endpoint).database
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "space", "--database", str(database), "--port", str(port)]
        began, env = time.perf_counter(), os.environ | {"HUBBOT_ENDPOINT": server.endpoint}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                address = f"http://127.0.0.1:{port}"
                asyncio.run(crowd(address, 1, 1))
                yield address, time.perf_counter() - began
            finally:
                process.terminate()


if __name__ == "__main__":
    main()
