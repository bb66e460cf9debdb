"""The bot's main job, done once over the demo's Hub."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hubbot.admin import poll
from hubbot.app import open_bot, open_store
from hubbot.bot import Event
from hubbot.demo.nets import AUTOENCODER
from hubbot.demo.world import TOKENS, build
from hubbot.localhub.server import Server
from hubbot.records import Judgement, Placement, Reading, Suggestion
from hubbot.settings import Settings, load

PORTS = (8090, 8091)
"""Where the Hub and its CDN are, if free: the addresses of pull requests stay good in the next run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stranger is told when the job is done."""

    counts: Mapping[str, int]
    seconds: float
    database: Path
    placements: tuple[Placement, ...]
    readings: tuple[Reading, ...]
    judgements: tuple[Judgement, ...]
    suggestions: tuple[Suggestion, ...]


@contextmanager
def hub(folder: Path) -> Iterator[Server]:
    """The demo's Hub on loopback, with its world in it."""
    port, cdn_port = (port if _is_free(port) else 0 for port in PORTS)
    with Server(folder / "hub", tokens=TOKENS, port=port, cdn_port=cdn_port) as server:
        build(server.repos)
        yield server


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def settings(folder: Path, endpoint: str) -> Settings:
    """How the demo's bot runs: on loopback it may do what it otherwise only drafts."""
    device = {name: value for name, value in os.environ.items() if name == "HUBBOT_DEVICE"}
    return load(
        device,
        endpoint=endpoint,
        token=next(iter(TOKENS)),
        home=str(folder),
        sane=AUTOENCODER,
        mode="auto",
        contact="the terminal in which you started this demo",
    )


def run(folder: Path, endpoint: str, watch: Callable[[Event], None] = lambda _: None) -> Outcome:
    """Poll the demo's Hub once, and gather what came of it."""
    began, given = time.perf_counter(), settings(folder, endpoint)
    with open_bot(given, watch=watch) as bot:
        poll(bot)
    seconds = time.perf_counter() - began
    with open_store(given, read_only=True) as store:
        uploads = store.uploads()
        known = store.several([upload.repo for upload in uploads])
        return Outcome(
            counts=store.counts(),
            seconds=round(seconds, 1),
            database=folder / "hubbot.db",
            placements=tuple(p for u in uploads if (p := store.placement(u.repo))),
            readings=tuple(store.readings()),
            judgements=tuple(judgement for page in known for judgement in page.judgements),
            suggestions=tuple(store.suggestions()),
        )
