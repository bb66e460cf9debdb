"""The bot itself: what it reads with, what it remembers by, how it behaves. `hubbot.app` puts it together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from hubbot.engine import Engine
from hubbot.experts.router import Router
from hubbot.hub.client import Hub
from hubbot.policy import Quiet
from hubbot.records import AutoencoderInfo, Judgement, Placement, Reading, Suggestion, Upload
from hubbot.store.store import Store
from hubbot.trees.forest import Forest
from hubbot.trees.kin import Crowds

Event: TypeAlias = Upload | Placement | Reading | Judgement | Suggestion
"""What happened, told to whoever watches: the record itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What others may see of the bot, and how much of it; the rules themselves are `hubbot.policy`'s.

    Args:
        trusted: owners and repos whose suggestions need no approval in mode `review`.
        quiet: the hours in which nothing is opened.
        tag_prefix, section: what is suggested beside tags, see `compose`.
    """

    mode: str = "draft"
    blocked: frozenset[str] = frozenset()
    trusted: frozenset[str] = frozenset()
    pulls_per_owner: int = 3
    pulls_per_day: int = 50
    quiet: Quiet | None = None
    tag_prefix: str = ""
    section: bool = False
    contact: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """All that reading a model takes, and nothing that writes: Hub, roots, experts, worker.

    Args:
        autoencoders: what whole models of the few architectures that they know are judged by.
        most_whole_bytes: weight files that are larger are not read as a whole.
    """

    hub: Hub
    forest: Forest
    router: Router
    engine: Engine
    autoencoders: tuple[AutoencoderInfo, ...] = ()
    most_whole_bytes: int = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """A reader with a memory and manners, wired by `hubbot.app`.

    Args:
        overlap: how far behind the watermark a poll looks again.
        catch_up: how far back a bot that slept looks.
        first_limit: how many uploads the very first poll takes.
        most_waiting: with so many unfinished uploads no more are noticed.
        most_tries: after so many passing faults an upload is given up, on record.
        batch_size: models in one batch of the probe.
        fetch_threads: range reads under way at once.
        watch: told of every record as it comes about, in the thread that writes.
        stopping: set from outside; the bot then stops between two uploads.
    """

    reader: Reader
    store: Store
    manners: Manners
    crowds: Crowds = field(default_factory=Crowds)
    overlap: timedelta = timedelta(minutes=5)
    catch_up: timedelta = timedelta(days=14)
    first_limit: int = 1000
    most_waiting: int = 100_000
    most_tries: int = 20
    batch_size: int = 64
    fetch_threads: int = 8
    watch: Callable[[Event], None] = lambda _: None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def hub(self) -> Hub:
        return self.reader.hub
