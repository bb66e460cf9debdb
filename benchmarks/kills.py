"""A bot that is killed again and again, and what is on record afterwards: a part of `benchmarks.faults`."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from hubbot.demo.world import TOKENS, Scene, models, troublemakers
from hubbot.localhub.server import Server

BEGINNING = datetime.now(UTC) - timedelta(hours=12)
COMMIT_S = 0.3
"""So long a commit takes on the Hub, so that some kills strike while one is on its way."""

RUN = "import sys; from hubbot.__main__ import main; sys.argv = ['hubbot', 'run']; main()"
HASTY = "import datetime; from hubbot import courtesy; courtesy.SETTLING = datetime.timedelta(seconds={});"
"""Put before RUN by a test that has no minutes to wait."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long everybody waits.

    Args:
        late_s: so late is the Hub's list of discussions.
        settling_s: so long the bot waits for it; None is as it does.
        end_s: so long we wait for the bot.
        timeout_s: so long the bot waits for an answer of a Hub that fails; what hangs takes longer.
    """

    late_s: float = 30.0
    settling_s: float | None = None
    end_s: float = 3600.0
    timeout_s: float = 2.0


@dataclass(slots=True)
class Killed:
    """What many kills came to.

    Args:
        during: kills by what the bot was at.
        half_opened: kills that left a pull request asked for and not confirmed; `made` of these existed.
        damaged: kills after which the database was not whole.
        left: states and uploads that were unfinished when our patience ended.
    """

    during: Counter[str] = field(default_factory=Counter)
    half_opened: int = 0
    made: int = 0
    damaged: int = 0
    left: str = ""

    @property
    def kills(self) -> int:
        return self.during.total()


def world(count: int) -> list[Scene]:
    """The demo's models and troublemakers, then the models again under other names."""
    scenes = [*models(), *troublemakers()]
    again = [
        Scene(f"again-{turn}/{scene.repo.replace('/', '-')}", scene.files)
        for turn in range(1 + count // len(scenes))
        for scene in models()
    ]
    return [*scenes, *again][:count]


def put(server: Server, scenes: Sequence[Scene], begin: int = 0) -> None:
    """Upload scenes from `begin` on, as if a minute apart; earlier ones are there."""
    for minute, scene in enumerate(scenes[begin:], begin):
        when = BEGINNING + timedelta(minutes=minute)
        server.repos.create(scene.repo, created_at=when, gated="auto" if scene.gated else False)
        server.repos.commit(scene.repo, scene.files, when=when)


def kill_often(server: Server, home: Path, scenes: Sequence[Scene], kills: int, patience: Patience) -> Killed:
    """Let a bot run and kill it so many times, at random instants, while repos come one by one; let it end.

    The instants spread over one and a quarter times what it takes a life to open its first pull request.
    """
    dice, killed, bot = random.Random(5), Killed(), Life(server, home, patience)  # noqa: S311 - dice
    server.faults.add("latency", path="*/commit/*", seconds=COMMIT_S)
    server.faults.add("late-list", path="*/discussions", method="GET", seconds=patience.late_s)
    at = max(3, len(scenes) - kills)
    put(server, scenes[:at])
    took = bot.until_idle(patience)
    for _ in range(kills):
        put(server, scenes[: at + 1], at)
        at = min(at + 1, len(scenes))
        bot.live(dice.uniform(0, 1.25 * took), killed)
    bot.until_idle(patience)
    killed.left = bot.left()
    return killed


class Life:
    """Lives of one bot, with one home."""

    def __init__(self, server: Server, home: Path, patience: Patience) -> None:
        self._server, self._home = server, home
        hasty = HASTY.format(patience.settling_s) if patience.settling_s is not None else ""
        self._command = [sys.executable, "-c", hasty + RUN]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUBBOT_", "HF_"))}
        self._environ = kept | environ(server.endpoint, home)
        self.database = home / "hubbot.db"
        home.mkdir(parents=True, exist_ok=True)

    def live(self, seconds: float, killed: Killed) -> None:
        """One life of so many seconds; what it was at in the end is added to `killed`."""
        before, self._server_log_at = self.half_opened(), len(self._server.log)
        with (self._home / "log").open("a") as log, self._begin(log) as process:
            time.sleep(seconds)
            process.kill()
        half = self.half_opened()
        fresh = half - before
        if not self.is_whole():
            killed.damaged += 1
        killed.half_opened += bool(fresh)
        killed.made += any(self._server.talks.all(repo) for repo in fresh)
        killed.during[self._at(bool(fresh))] += 1

    def until_idle(self, patience: Patience) -> float:
        """One life until nothing is left to do; how many seconds."""
        began = time.monotonic()
        with (self._home / "log").open("a") as log, self._begin(log) as process:
            time.sleep(1)
            while self.left() and time.monotonic() - began < patience.end_s:
                if process.poll() is not None:
                    raise RuntimeError((self._home / "log").read_text())
                time.sleep(0.5)
            took = time.monotonic() - began
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        return took

    def _begin(self, log: IO[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            env=self._environ,
            cwd=self._home,
            stdout=log,
            stderr=log,
        )

    def _at(self, opening: bool) -> str:
        """What it was at, by what it had asked the Hub last."""
        asked = list(self._server.log)[self._server_log_at :]
        if opening:
            return "opening a pull request"
        if not asked:
            return "starting"
        if "/discussions" in asked[-1].path or "/commit/" in asked[-1].path or "/preupload" in asked[-1].path:
            return "looking before or after a pull request"
        return "reading" if self.left() else "waiting for the next poll"

    def left(self) -> str:
        """What is unfinished, in words; empty where nothing is."""
        there = len(self._server.repos.all())
        done = self.ask('SELECT count(*) FROM uploads WHERE finished = "commit"')
        states = self.ask("SELECT state, count(*) FROM suggestions WHERE latest GROUP BY state")
        waiting = [f"{count} {state}" for state, count in states if state in ("draft", "opening", "approved")]
        unread = there - (done[0][0] if done else 0)
        return ", ".join([*([f"{unread} uploads"] if unread else []), *waiting])

    def half_opened(self) -> set[str]:
        return {repo for (repo,) in self.ask("SELECT repo FROM suggestions WHERE state = 'opening'")}

    def is_whole(self) -> bool:
        return self.ask("PRAGMA integrity_check") in ([("ok",)], []) and not self.ask(
            "PRAGMA foreign_key_check"
        )

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Read only; nothing where the bot has not made the database yet."""
        try:
            connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)
        except sqlite3.OperationalError:
            return []
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()


def environ(endpoint: str, home: Path) -> dict[str, str]:
    """The settings of a bot that may do all it likes, on loopback."""
    return {
        "HUBBOT_ENDPOINT": endpoint,
        "HUBBOT_HOME": str(home),
        "HUBBOT_TOKEN": next(iter(TOKENS)),
        "HUBBOT_DEVICE": "cpu",
        "HUBBOT_MODE": "auto",
        "HUBBOT_CONTACT": "the benchmark of faults",
        "HUBBOT_POLL_INTERVAL_S": "0.5",
        "HUBBOT_PULLS_PER_DAY": "100000",
        "HUBBOT_PULLS_PER_OWNER": "100000",
    }
