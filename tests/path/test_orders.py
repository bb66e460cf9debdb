"""What admins may order: to approve what was drafted, and nothing that was refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from stage import files_of, settings_for, upload

from hubbot import batches
from hubbot.admin import order
from hubbot.app import open_bot
from hubbot.errors import UsageError
from hubbot.records import SuggestionState
from hubbot.rounds import poll

REPO = "owner/model"
TWO_TAG_LISTS = b"---\ntags:\n- one\ntags:\n- two\n---\n"


@pytest.fixture
def sure(children, demo_readings):
    return next(c for c in children if demo_readings[c.repo].recognised)


@pytest.fixture
def refused(hub, tmp_path, sure):
    """The settings of a bot that met a card which it does not edit."""
    upload(hub.repos, REPO, {**files_of(sure), "README.md": TWO_TAG_LISTS})
    settings = settings_for(hub, tmp_path / "home")
    with open_bot(settings) as bot:
        poll(bot)
    return settings


@pytest.mark.parametrize("verb", ["card approve", "card open"])
def test_what_was_refused_keeps_its_reason(refused, hub, verb):
    with pytest.raises(UsageError, match="'tags' twice"):
        order(refused, verb, {"repo": REPO}, "an admin")
    with open_bot(refused) as bot:
        suggestion = bot.store.suggestion(REPO)
        assert bot.store.commands()[0].outcome.startswith("failed: ")
    assert suggestion.state is SuggestionState.REFUSED
    assert "twice" in suggestion.reason
    assert not [x for x in hub.log if "/commit/" in x.path and x.method == "POST"]


def test_what_was_drafted_is_approved_and_opened(hub, tmp_path, sure):
    upload(hub.repos, REPO, files_of(sure))
    settings = settings_for(hub, tmp_path / "home")
    with open_bot(settings) as bot:
        poll(bot)
    assert "is approved" in order(settings, "card approve", {"repo": REPO}, "an admin")
    assert order(settings, "card open", {"repo": REPO}, "an admin").startswith("opened http")


def test_an_upload_that_was_given_up_is_tried_again_when_an_admin_says_so(hub, tmp_path, sure):
    upload(hub.repos, REPO, {**files_of(sure), "README.md": b"---\nbase_model: evil/parent\n---\n"})
    settings = settings_for(hub, tmp_path / "home", upload_tries=1)
    hub.faults.add("error", path="/api/models/evil/parent")
    with open_bot(settings) as bot:
        poll(bot)
        assert bot.store.reading(REPO).abstention.text.startswith(REPO)
    told = order(settings, "upload retry", {"repo": REPO}, "an admin")
    assert "no answer" in told
    assert "given up after 1 try: evil/parent: the Hub fails" in told
    hub.faults.clear()
    told = order(settings, "upload retry", {"repo": REPO}, "an admin")
    assert told.startswith(f"{REPO}: ")
    assert "no answer" not in told
    with pytest.raises(UsageError, match="nobody/there"):
        order(settings, "upload retry", {"repo": "nobody/there"}, "an admin")


def test_the_status_tells_what_waits_and_what_could_not_be_read(hub, tmp_path, sure, monkeypatch):
    monkeypatch.setattr(batches, "IMPATIENT", 0)
    upload(hub.repos, REPO, files_of(sure))
    upload(hub.repos, "evil/waits", {**files_of(sure), "README.md": b"---\nbase_model: evil/parent\n---\n"})
    upload(hub.repos, "old/pickle", {"pytorch_model.bin": b"never opened"})
    hub.faults.add("error", path="/api/models/evil/parent")
    with open_bot(settings_for(hub, tmp_path / "home")) as bot:
        poll(bot)
        now = datetime.now(UTC)
        bot.store.enqueue("tree rerun", {"root": sure.root}, "an admin")
        found = bot.store.status(now)
        assert (found.due, found.waiting, found.orders, found.answered) == (0, 1, 1, 1)
        assert now < found.next_due < now + timedelta(seconds=76)
        assert found.reasons == {"not-readable-safely": 1}
        assert found.suggestions == {"draft": 1}
        assert list(found.watermarks) == [hub.endpoint]
        later = bot.store.status(found.next_due)
        assert (later.due, later.waiting, later.next_due) == (1, 0, None)
