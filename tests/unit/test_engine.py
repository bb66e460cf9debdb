"""The worker: it answers batches, is replaced when it dies, and never outlives the bot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hubbot.engine import Engine
from hubbot.errors import EngineError
from hubbot.experts.artifact import describe
from hubbot.experts.router import shipped
from hubbot.records import Reading, RemoteFile, Tensors

EXPERT = describe(shipped()[0])


def batch(*repos: str) -> list[Tensors]:
    """Random weights of the right shape, for which an expert has an abstention."""
    random = np.random.default_rng(0)
    values = {w.name: random.normal(size=w.shape).astype(np.float32) for w in EXPERT.wanted}
    file = RemoteFile("model.safetensors", 100, "0" * 64)
    return [Tensors(repo, "c" * 40, values, dict.fromkeys(values, "F32"), (file,), 10, 100) for repo in repos]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def worker_of(engine: Engine) -> int:
    assert engine._pid
    return engine._pid


def test_a_batch_is_answered_in_its_order_and_on_the_device_asked_for():
    with Engine("cpu") as engine:
        readings = engine.probe(EXPERT, batch("a/b", "c/d"))
        assert [reading.repo for reading in readings] == ["a/b", "c/d"]
        assert readings[0].abstention.code == "unlike-training"
        assert engine.resolved_device() == "cpu"


def test_a_worker_that_dies_is_replaced():
    with Engine("cpu") as engine:
        engine.probe(EXPERT, batch("a/b"))
        os.kill(worker_of(engine), signal.SIGKILL)
        assert [reading.repo for reading in engine.probe(EXPERT, batch("a/b"))] == ["a/b"]


class Bomb:
    """Ends the process that unpickles it, as a crash of the GPU's driver would."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_batch_that_kills_every_worker_is_named_and_the_next_is_answered():
    with Engine("cpu") as engine:
        (harmless,) = batch("a/b")
        with pytest.raises(EngineError, match="evil/model"):
            engine.probe(EXPERT, [replace(harmless, repo="evil/model", values=Bomb())])
        assert len(engine.probe(EXPERT, [harmless])) == 1


class Hang:
    """Keeps the process that unpickles it busy, as a kernel that never ends would."""

    def __reduce__(self):
        return time.sleep, (600,)


@pytest.mark.parametrize("trap", [Bomb, Hang, dict])
def test_what_stops_the_worker_costs_its_neighbours_nothing(trap):
    """A crash, a hang, and an exception from the depths; the others of the batch are answered."""
    sound = batch("a/b", "c/d", "e/f")
    evil = replace(sound[0], repo="evil/model", values=trap())
    if trap is dict:
        evil = replace(evil, values=dict.fromkeys(sound[0].values, "no numbers"))
    with Engine("cpu") as engine:
        engine.probe(EXPERT, sound)
        engine.longest_batch_s = 6.0
        answers = engine.submit(EXPERT, [*sound[:2], evil, sound[2]]).result()
    assert [answer.repo for answer in answers] == ["a/b", "c/d", "evil/model", "e/f"]
    assert isinstance(answers[2], EngineError)
    assert all(isinstance(answers[i], Reading) for i in (0, 1, 3))


def test_a_batch_that_does_not_fit_is_asked_in_halves_and_the_next_at_once():
    """The worker's memory is really limited here: a thousand models do not fit into what is left of it."""
    many = batch(*(f"a/{i}" for i in range(2000)))
    with Engine("cpu") as engine:
        engine.probe(EXPERT, many[:1])
        left = """
import resource
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 150_000_000, resource.RLIM_INFINITY))
"""
        engine._watch.submit(engine._asked, exec, left).result()
        pid = engine._pid
        assert [reading.repo for reading in engine.probe(EXPERT, many)] == [each.repo for each in many]
        assert engine._pid == pid, "it was not killed for it"
        assert engine._most
        assert engine._most < len(many)


def test_a_device_that_is_not_there_is_one_clear_error():
    with Engine("cuda:99") as engine, pytest.raises(EngineError, match="cuda:99"):
        engine.probe(EXPERT, batch("a/b"))


def test_closing_ends_the_worker():
    with Engine("cpu") as engine:
        engine.probe(EXPERT, batch("a/b"))
        pid = worker_of(engine)
    assert not alive(pid)


def test_a_killed_bot_leaves_no_worker_behind():
    program = textwrap.dedent(
        """
        import json, os, signal
        from hubbot.engine import Engine
        if __name__ == "__main__":
            engine = Engine("cpu")
            engine.resolved_device()
            print(json.dumps([engine._pid]), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    command, quiet = [sys.executable, "-c", program], subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as bot:
        assert bot.stdout is not None
        (worker,) = json.loads(bot.stdout.readline())
    deadline = time.monotonic() + 10
    while alive(worker):
        assert time.monotonic() < deadline, "an orphan holds the device"
        time.sleep(0.05)
