"""A Hub of one's own, and bots that are quick to give up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from stage import settings_for

from hubbot.app import open_bot
from hubbot.bot import Bot
from hubbot.demo.world import TOKENS
from hubbot.localhub.server import Server

BotOf = Callable[..., AbstractContextManager[Bot]]


@pytest.fixture
def hub(tmp_path) -> Iterator[Server]:
    with Server(tmp_path / "hub", tokens=TOKENS) as server:
        yield server


@pytest.fixture
def bot_of(hub, tmp_path) -> BotOf:
    """Bots with one home, so that each remembers what those before it did. Mode auto unless told."""

    def started(**more) -> AbstractContextManager[Bot]:
        usual = {"mode": "auto", "http_retries": 0, "poll_overlap_s": 0}
        return open_bot(settings_for(hub, tmp_path / "home", **(usual | more)))

    return started
