"""The desk between the Review page and the running bot: what it reads, and what it asks for."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime

import pytest
from stage import wait_for

import hubbot
from hubbot.desk import Answering, Desk
from hubbot.errors import SettingsError, UsageError
from hubbot.records import Suggestion, SuggestionState, Upload
from hubbot.service.door import House, opened
from hubbot.service.knock import note_of
from hubbot.service.mailbox import Mailbox
from hubbot.service.state import Live
from hubbot.store.store import Store


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/hubbot.db") as store:
        for repo in ("ann/vit", "ann/resnet", "bob/100%_vit"):
            store.save_upload(Upload(repo, "1" * 40, datetime.now(UTC)))
            store.save_suggestion(Suggestion(repo, "1" * 40, SuggestionState.DRAFT, title="Add"))
        yield store


@pytest.fixture
def bot(store):
    """A door, behind which orders come to an end as they do with a bot."""
    lives = {"mode": "review", "reachable": True}
    ended = []

    def carry_out() -> None:
        command = store.next_command()
        outcome = "failed: no such thing" if command.args["repo"] == "no/body" else "done"
        store.finish_command(command.id, outcome)
        ended.append(command)

    house = House(
        store=store,
        mailbox=Mailbox("", lambda _: True),
        live=lambda: Live(datetime.now(UTC), jobs=[], events={}, workers_lost=0, **lives),
        verbs=frozenset({"card approve", "tree add"}),
        ordered=lambda: threading.Thread(target=carry_out).start(),
        noticed=lambda: None,
    )
    with opened(house, "127.0.0.1:0"):
        yield lives, ended
        wait_for(lambda: not store.status().orders)


def test_the_queue_by_state_and_by_name(store):
    desk = Desk(store)
    assert desk.counts()["draft"] == 3
    assert set(desk.counts()) == {state.value for state in SuggestionState}
    assert [one.repo for one in desk.queue("draft")] == ["ann/vit", "ann/resnet", "bob/100%_vit"]
    assert [one.repo for one in desk.queue("draft", "VIT")] == ["ann/vit", "bob/100%_vit"]
    assert [one.repo for one in desk.queue("draft", "0%_")] == ["bob/100%_vit"]
    assert [one.repo for one in desk.queue("draft", "%")] == ["bob/100%_vit"], "no pattern but text"
    assert [one.repo for one in desk.queue("draft", limit=1)] == ["ann/vit"]
    assert desk.queue("merged") == desk.queue("' OR 1=1 --") == []


def test_an_order_comes_to_its_end_at_the_bot(store, bot):
    _, ended = bot
    assert Desk(store).order("card approve", {"repo": "ann/vit"}, "ada") == "done"
    assert (ended[0].verb, ended[0].by, ended[0].args) == ("card approve", "ada", {"repo": "ann/vit"})
    with pytest.raises(UsageError, match=r"^no such thing$"):
        Desk(store).order("card approve", {"repo": "no/body"}, "ada")


def test_nothing_but_reviewing_is_ordered_from_here(store, bot):
    with pytest.raises(UsageError, match="not ordered from here"):
        Desk(store).order("tree add", {"root": "a/b"}, "ada")


def test_what_a_bot_that_answers_would_open(store, bot):
    lives, _ = bot
    desk = Desk(store)
    assert desk.answering() == Answering("review", opens=True)
    lives["reachable"] = False
    assert desk.answering() == Answering("review", opens=False)
    lives.update(mode="off", reachable=True)
    assert desk.answering() == Answering("off", opens=False)


@pytest.mark.parametrize("note", [None, "", "no note", json.dumps({"url": "http://127.0.0.1:1", "key": "x"})])
def test_where_no_bot_answers_it_says_so_at_once(store, note):
    """None, or one that was killed and could not take its note away."""
    if note is not None:
        note_of(store.path).write_text(note)
    desk = Desk(store)
    assert desk.answering() is None
    with pytest.raises(UsageError):
        desk.order("card approve", {"repo": "ann/vit"}, "ada")
    assert store.commands() == []


def test_a_desk_is_there_where_a_setting_lets_somebody_in(store, monkeypatch):
    monkeypatch.chdir(store.path.parent)
    for name in ("HUBBOT_REVIEW_PASSWORD", "HUBBOT_ADMINS", "HUBBOT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert hubbot.open_desk(str(store.path)) is None
    monkeypatch.setenv("HUBBOT_ADMINS", " Ada , ")
    desk = hubbot.open_desk(str(store.path))
    assert desk is not None
    assert (desk.admins, desk.has_password) == (frozenset({"ada"}), False)
    assert not desk.admits(""), "no password is not the empty one"
    monkeypatch.setenv("HUBBOT_REVIEW_PASSWORD", "eleven char")
    with pytest.raises(SettingsError, match="has 11 characters, 12 are needed"):
        hubbot.open_desk(str(store.path))
    monkeypatch.setenv("HUBBOT_REVIEW_PASSWORD", "twelve chars")
    desk = hubbot.open_desk(str(store.path))
    assert desk is not None
    assert desk.admits("twelve chars")
    assert not desk.admits("twelve char")
