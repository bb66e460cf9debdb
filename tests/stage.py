"""What the path's tests play on: the demo's children with the truth about them, and small uploads."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from ast import literal_eval
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.bot import Bot
from hubbot.demo.world import MODELS, TOKENS
from hubbot.hub import uploads
from hubbot.localhub.repos import Repos
from hubbot.localhub.server import Server
from hubbot.pipeline import suggest
from hubbot.records import ExpertInfo, How, Label, Placement, Prediction, Reading, Upload, Wanted
from hubbot.settings import Settings, load
from hubbot.store.store import Store
from hubbot.weights.local import read_metadata

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

TOKEN = next(iter(TOKENS))


PATIENCE_S, PATIENCE_MS = 120.0, 120_000.0
"""For what comes in a moment, unless the machine is busy with other things."""

ROOT = Path(__file__).parents[1]

HUBBOT = Path(sys.executable).parent / "hubbot"


def clean_environ(**more: str) -> dict[str, str]:
    """The environment without anything that its owner set for hubbot or for the Hub's client."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUBBOT_", "HF_"))}
    return kept | {"HUBBOT_CACHE": os.environ["HUBBOT_CACHE"]} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Does anybody listen there?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


@contextmanager
def running(home: Path, endpoint: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """`hubbot run` as a process of its own, which is killed at the end."""
    environ = clean_environ(HUBBOT_HOME=str(home), HUBBOT_ENDPOINT=endpoint, HUBBOT_TOKEN=TOKEN)
    environ |= {"HUBBOT_POLL_INTERVAL_S": "0.3", "HUBBOT_DEVICE": "cpu", **more}
    process = subprocess.Popen(
        [HUBBOT, "run"], env=environ, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def serving(home: Path, endpoint: str, **more: str) -> Iterator[str]:
    """The Space over the database of a bot, as a process of its own; its address."""
    port, log = free_port(), home / "space.log"
    environ = clean_environ(HUBBOT_HOME=str(home), HUBBOT_ENDPOINT=endpoint, **more)
    command = [sys.executable, "-m", "space", "--port", str(port)]
    with (
        log.open("w") as told,
        subprocess.Popen(command, env=environ, cwd=ROOT, stdout=told, stderr=told) as process,
    ):
        try:
            wait_for(lambda: "the Space is at" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@dataclass(frozen=True)
class Child:
    """A model of the demo with the truth about it, which the bot never gets to see."""

    repo: str
    root: str
    folder: Path
    declared: bool

    @property
    def digits(self) -> set[str]:
        words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
        chosen = literal_eval(read_metadata(self.folder / "model.safetensors")["dataset_chosen_targets"])
        return {words[int(digit)] for digit in chosen}


def all_children() -> list[Child]:
    index = json.loads((MODELS / "index.json").read_text())
    return [
        Child(entry["repo"], entry["root"], MODELS / entry["folder"], entry["declared"])
        for entry in index
        if entry["split"] == "test" and entry["root"].startswith("digits-zoo/")
    ]


LEFT, LOST = "AbortError: signal is aborted without reason", "Connection errored out. "


def complaints(faults: Sequence[str]) -> list[str]:
    """What a browser said, but for what Gradio says when a page is left: that its stream is lost."""
    left = any(fault.startswith(LEFT) for fault in faults)
    return [fault for fault in faults if not (left and (fault.startswith(LEFT) or fault == LOST))]


@contextmanager
def watched(context: BrowserContext) -> Iterator[tuple[Page, list[str]]]:
    """A fresh page, and what its scripts complain of: in the end nothing, nor did a stranger's script run."""
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    yield page, faults
    assert page.evaluate("window.isOwned") is None
    assert complaints(faults) == []
    page.close()


def upload(repos: Repos, repo: str, files: dict[str, bytes | Path]) -> str:
    """A new repo with these files; its commit."""
    repos.create(repo)
    return repos.commit(repo, files)


def files_of(child: Child, **instead: bytes) -> dict[str, bytes | Path]:
    """All files of a child, some of them replaced."""
    return {path.name: path for path in child.folder.iterdir()} | {
        name.replace("_", "."): content for name, content in instead.items()
    }


def settings_for(server: Server, home: Path, **more: object) -> Settings:
    usual = {"token": TOKEN, "home": str(home), "device": "cpu", "contact": "bot@example.org"}
    usual |= {"cache": os.environ["HUBBOT_CACHE"]}
    return load({}, endpoint=server.endpoint, **(usual | more))


def drafted(bot: Bot, hub: Server, repo: str) -> None:
    """A repo that was read and has a draft, all but the reading itself done as the bot does it."""
    upload(hub.repos, repo, {"README.md": b"# Mine\n"})
    seen, expert = uploads.one(bot.hub, repo), bot.reader.router.experts[0]
    said = (Prediction(expert.labels[0].name, 0.99, True),)
    reading = Reading(repo, seen.commit, (seen.commit,), expert.tree, expert.name, expert.version, said)
    bot.store.conclude(seen, [Placement(repo, seen.commit, expert.tree, None, How.DECLARED)], reading)
    bot.store.finish_upload(seen)
    suggest(bot, seen, reading, expert)


def recorded(store: Store, repo: str, known: str = "seven") -> None:
    """A model in the store of which an expert said that it knows one digit; no weights, and no Hub."""
    digits, root, commit = ("one", "two", "three", "four", "five", "six", "seven"), "lab/root", "c" * 40
    labels = tuple(Label(digit, f"a handwritten digit {digit}", f"digit-{digit}") for digit in digits)
    encoder = "sentence:all-MiniLM-L6-v2"
    expert = ExpertInfo("digits", "v1", "/nowhere", (root,), (Wanted("w"),), labels, encoder, "a zoo")
    store.save_expert(expert)
    upload = Upload(repo, commit, datetime(2026, 11, 20, tzinfo=UTC))
    store.save_upload(upload)
    said = tuple(Prediction(digit, 0.97 if digit == known else 0.02, digit == known) for digit in digits)
    reading = Reading(repo, commit, (repo,), root, expert.name, expert.version, said)
    store.conclude(upload, [Placement(repo, commit, root, root, How.DECLARED)], reading)
