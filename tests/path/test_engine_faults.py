"""A device that is gone costs time, never a reading: what it could not compute waits for the next poll."""

from __future__ import annotations

from stage import files_of, settings_for, upload

from hubbot.app import open_bot
from hubbot.rounds import poll


def test_without_its_device_the_bot_judges_nothing_and_loses_nothing(hub, tmp_path, children):
    for child in children[:3]:
        upload(hub.repos, child.repo, files_of(child))
    with open_bot(settings_for(hub, tmp_path, device="cuda:99")) as bot:
        assert poll(bot) == 0
        assert list(bot.store.readings()) == []
    with open_bot(settings_for(hub, tmp_path)) as bot:
        assert poll(bot) == 3
        assert all(reading.predictions for reading in bot.store.readings())
