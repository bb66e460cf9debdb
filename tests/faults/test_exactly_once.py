"""One pull request, whatever gets lost on the way: replies, and the bot itself."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from huggingface_hub import HfApi
from stage import TOKEN, drafted

from hubbot import courtesy
from hubbot.courtesy import settle
from hubbot.records import SuggestionState as S
from hubbot.rounds import open_due

REPO = "owner/model"
LATE_S, SETTLING_S = 1.0, 2.0


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """Minutes made seconds; the lag of the list is still within."""
    monkeypatch.setattr(courtesy, "SETTLING", timedelta(seconds=SETTLING_S), raising=False)


def pulls(hub, repo=REPO):
    """All there are, the latest too: the Hub's own records, not its list."""
    return [talk for talk in hub.talks.all(repo) if talk.is_pull_request]


def test_a_lost_reply_and_a_late_list_open_no_second_one(hub, bot_of):
    hub.faults.add("late-list", path="*/discussions", method="GET", seconds=LATE_S)
    with bot_of() as bot:
        drafted(bot, hub, REPO)
        hub.faults.add("lost-reply", path="*/commit/*", times=1, seconds=0)
        open_due(bot)
        assert len(pulls(hub)) == 1, "the commit was made"
        assert bot.store.suggestion(REPO).state is S.OPENING, "and nobody said so"
        deadline = time.monotonic() + 2 * SETTLING_S
        while bot.store.suggestion(REPO).state is S.OPENING and time.monotonic() < deadline:
            open_due(bot)
            assert len(pulls(hub)) == 1, "a second one was opened"
            time.sleep(0.2)
        assert bot.store.suggestion(REPO).state is S.OPEN
        assert bot.store.suggestion(REPO).pull_request.endswith("/discussions/1")


@pytest.mark.parametrize("kind", ["hang", "error"])
def test_a_commit_that_was_never_made_is_made_once(hub, bot_of, kind):
    """Nobody can know that it was not, so the settling time is waited out."""
    with bot_of() as bot:
        drafted(bot, hub, REPO)
        hub.faults.add(kind, path="*/commit/*", times=1, seconds=0)
        open_due(bot)
        open_due(bot)
        assert bot.store.suggestion(REPO).state is S.OPENING
        assert pulls(hub) == []
        time.sleep(SETTLING_S)
        open_due(bot)
        open_due(bot)
        assert bot.store.suggestion(REPO).state is S.OPEN
        assert len(pulls(hub)) == 1


@pytest.mark.parametrize("lost", [True, False])
def test_a_bot_that_died_between_its_note_and_the_news(hub, bot_of, lost):
    """It wrote down that it asks, and died: before the Hub was asked, or before it answered."""
    hub.faults.add("late-list", path="*/discussions", method="GET", seconds=LATE_S)
    with bot_of() as bot:
        drafted(bot, hub, REPO)
        draft = bot.store.suggestion(REPO)
        settle(bot, draft, S.OPENING)
    if not lost:
        readme = {"path_or_fileobj": draft.new_text.encode(), "path_in_repo": "README.md"}
        api = HfApi(hub.endpoint, token=TOKEN)
        api.upload_file(repo_id=REPO, create_pr=True, commit_message=draft.title, **readme)
    with bot_of() as bot:
        deadline = time.monotonic() + 2 * SETTLING_S
        while bot.store.suggestion(REPO).state is not S.OPEN and time.monotonic() < deadline:
            open_due(bot)
            assert len(pulls(hub)) <= 1
            time.sleep(0.2)
        assert bot.store.suggestion(REPO).state is S.OPEN
    assert len(pulls(hub)) == 1


@pytest.mark.parametrize("kind", ["stale-commit", "rate-limit"])
def test_what_the_hub_refused_was_not_opened_and_is_asked_again_at_once(hub, bot_of, kind):
    with bot_of(mode="review") as bot:
        drafted(bot, hub, REPO)
        settle(bot, bot.store.suggestion(REPO), S.APPROVED)
        hub.faults.add(kind, path="*/commit/*", times=1, seconds=0)
        open_due(bot)
        assert bot.store.suggestion(REPO).state is S.APPROVED
        open_due(bot)
        assert bot.store.suggestion(REPO).state is S.OPEN
    assert len(pulls(hub)) == 1


@pytest.mark.parametrize("path", ["/api/whoami-v2", "*/discussions", "/api/models/owner/model"])
def test_a_bot_that_could_not_look_has_asked_for_nothing(hub, bot_of, path):
    with bot_of(mode="draft") as bot:
        drafted(bot, hub, REPO)
    hub.faults.add("error", path=path, method="GET", times=1)
    with bot_of() as bot:
        open_due(bot)
        assert bot.store.suggestion(REPO).state is S.DRAFT
        open_due(bot)
        assert bot.store.suggestion(REPO).state is S.OPEN
    assert len(pulls(hub)) == 1


def test_a_clock_that_was_set_back_begins_the_wait_anew(hub, bot_of, monkeypatch):
    monkeypatch.setattr(courtesy, "SETTLING", timedelta(hours=1))
    hub.faults.add("late-list", path="*/discussions", method="GET", seconds=LATE_S)
    with bot_of() as bot:
        drafted(bot, hub, REPO)
        hub.faults.add("lost-reply", path="*/commit/*", times=1, seconds=0)
        open_due(bot)
        with monkeypatch.context() as patched:
            patched.setattr(courtesy, "datetime", Earlier)
            open_due(bot)
        assert len(pulls(hub)) == 1
        assert bot.store.suggestion(REPO).state is S.OPENING
        time.sleep(LATE_S)
        open_due(bot)
        assert bot.store.suggestion(REPO).state is S.OPEN
    assert len(pulls(hub)) == 1


class Earlier(courtesy.datetime):
    """The time of yesterday."""

    @classmethod
    def now(cls, tz=None):
        return super().now(tz) - timedelta(days=1)
