"""What a listing that stumbles, or a clock that jumps, must not make the bot forget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from stage import upload

from hubbot import rounds
from hubbot.batches import LONGEST_PAUSE
from hubbot.hub import uploads
from hubbot.hub.client import Hub
from hubbot.records import Upload
from hubbot.rounds import poll
from hubbot.store.store import Store
from hubbot.store.uploads import FARTHEST

NOW = datetime.now(UTC)


@pytest.mark.parametrize("times", [1, 3])
def test_a_page_that_comes_again_does_not_end_the_listing(hub, monkeypatch, times):
    monkeypatch.setattr(uploads, "PAGE", 2)
    monkeypatch.setattr(uploads, "MOST_PER_PAGE", 2)
    names = {f"owner/model{number}" for number in range(7)}
    for name in names:
        hub.repos.create(name)
        hub.repos.commit(name, {"a": b""})
    with Hub(hub.endpoint) as door:
        listed = uploads.recent(door, since=None)
        found = [next(listed).repo]
        hub.faults.add("repeat-page", path="/api/models", times=times)
        found += [upload.repo for upload in listed]
    assert hub.faults.struck == times
    assert len(found) == len(set(found))
    assert set(found) == names


def test_a_clock_that_is_set_back_loses_and_repeats_nothing(hub, bot_of, monkeypatch):
    def come(name: str) -> None:
        upload(hub.repos, name, {"pytorch_model.bin": b"never opened"})

    come("owner/before")
    with bot_of() as bot:
        assert poll(bot) == 1
        with monkeypatch.context() as patched:
            patched.setattr(rounds, "datetime", Yesterday)
            assert poll(bot) == 0
            come("owner/meanwhile")
            assert poll(bot) == 1
        come("owner/after")
        assert poll(bot) == 1
        assert poll(bot) == 0
        assert {reading.repo for reading in bot.store.readings()} == {
            "owner/before",
            "owner/meanwhile",
            "owner/after",
        }


class Yesterday(datetime):
    """A clock that is a day behind."""

    @classmethod
    def now(cls, tz=None):
        return super().now(tz) - timedelta(days=1)


def test_what_was_put_off_by_a_clock_that_was_ahead_is_due_at_once(tmp_path):
    """A year ahead, say, until the network told it the time."""
    late = Upload("owner/model", "a" * 40, NOW)
    with Store.open(f"sqlite:///{tmp_path / 'hubbot.db'}") as store:
        store.save_upload(late)
        store.postpone(late, NOW + timedelta(days=365))
        assert store.due(NOW) == [late]
        assert store.status(NOW).due == 1
        store.postpone(late, NOW + 1.25 * LONGEST_PAUSE)
        assert store.due(NOW) == []
        assert store.status(NOW).waiting == 1
    assert 1.25 * LONGEST_PAUSE < FARTHEST, "no pause is as long as that"
