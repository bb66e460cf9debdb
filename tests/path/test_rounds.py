"""The jobs of a running bot, each by itself: what one leaves in the database is what the next finds there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from stage import files_of, settings_for

from hubbot import rounds
from hubbot.admin import chosen
from hubbot.app import open_bot
from hubbot.errors import UsageError
from hubbot.orders import obey

NOW = datetime.now(UTC)


def ago(**how: float) -> datetime:
    return NOW - timedelta(**how)


@pytest.fixture
def bot_of(hub, tmp_path):
    """Opens the bot of one home, again and again."""
    return lambda **more: open_bot(settings_for(hub, tmp_path / "home", **more))


@pytest.fixture
def many(children):
    """Children of one tree."""
    return [child for child in children if child.root == children[0].root]


def put(hub, repo, child, when=None):
    hub.repos.create(repo)
    hub.repos.commit(repo, files_of(child), when=when)


def test_noticing_and_reading_are_two_jobs_and_the_oldest_is_read_first(hub, bot_of, many, monkeypatch):
    monkeypatch.setattr(rounds, "SLICE", 2)
    for i, hours in enumerate((1, 4, 3, 2)):
        put(hub, f"owner/model{hours}", many[i], ago(hours=hours))
    with bot_of() as bot:
        assert rounds.look(bot) == 4
        assert bot.store.backlog() == 4
        assert abs(bot.store.watermark(hub.endpoint) - ago(hours=1)) < timedelta(seconds=1)
        assert rounds.look(bot) == 0, "they are written down already"
        assert rounds.read(bot) == 2
        assert {r.repo for r in bot.store.readings()} == {"owner/model4", "owner/model3"}
        assert rounds.read(bot) == 2
        assert rounds.read(bot) == 0
        assert bot.store.backlog() == 0


def test_a_commit_that_comes_before_the_reading_supersedes(hub, bot_of, many):
    put(hub, "owner/model", many[0])
    with bot_of() as bot:
        rounds.look(bot)
        hub.repos.commit("owner/model", {"model.safetensors": many[1].folder / "model.safetensors"})
        assert rounds.look(bot) == 1
        assert bot.store.backlog() == 1
        assert rounds.read(bot) == 1
        assert bot.store.reading("owner/model").commit == hub.repos.head("owner/model")


def test_with_a_full_backlog_nothing_more_is_noticed_and_nothing_is_lost(hub, bot_of, many):
    for i in range(3):
        put(hub, f"owner/model{i}", many[i], ago(hours=9 - i))
    with bot_of(backlog_limit=2) as bot:
        assert rounds.look(bot) == 3, "the limit is asked before the listing is"
        put(hub, "owner/late", many[0], ago(hours=1))
        mark = bot.store.watermark(hub.endpoint)
        assert rounds.look(bot) == 0
        assert bot.store.watermark(hub.endpoint) == mark
        assert rounds.read(bot) == 3
        assert rounds.look(bot) == 1


def test_a_bot_that_slept_looks_back_so_far_and_no_further(hub, bot_of, many):
    put(hub, "owner/ancient", many[0], ago(days=40))
    with bot_of() as bot:
        assert rounds.look(bot) == 1
    put(hub, "owner/missed", many[1], ago(days=20))
    put(hub, "owner/recent", many[2], ago(days=10))
    with bot_of() as bot:
        assert rounds.look(bot) == 1
        assert [upload.repo for upload in bot.store.due(NOW)] == ["owner/ancient", "owner/recent"]


def test_stopped_while_it_looks_it_sees_the_rest_next_time(hub, bot_of, many, monkeypatch):
    monkeypatch.setattr(rounds, "PAGE", 1)
    for i in range(3):
        put(hub, f"owner/model{i}", many[i], ago(hours=9 - i))
    with bot_of() as bot:
        write, bot_stops = bot.store.notice, bot.stopping.set
        monkeypatch.setattr(bot.store, "notice", lambda page: (write(page), bot_stops())[0])
        assert rounds.look(bot) == 1
        assert bot.store.watermark(hub.endpoint) is None
    with bot_of() as bot:
        assert rounds.look(bot) == 2


def test_what_was_deleted_or_renamed_is_noticed(hub, bot_of, many):
    for i, name in enumerate(("gone", "renamed", "stays")):
        put(hub, f"owner/{name}", many[i])
    with bot_of() as bot:
        rounds.poll(bot)
        assert rounds.recheck(bot, 10) == []
        hub.repos.delete("owner/gone")
        hub.repos.move("owner/renamed", "owner/anew")
        assert {r.repo: r.abstention.code for r in rounds.recheck(bot, 10)} == {
            "owner/gone": "gone",
            "owner/renamed": "renamed",
        }
        assert "owner/anew" in bot.store.reading("owner/renamed").abstention.text
        assert bot.store.reading("owner/stays").predictions
        assert rounds.read(bot) == 1
        assert bot.store.reading("owner/anew").predictions
        asked = len(hub.log)
        assert rounds.recheck(bot, 10) == []
        assert not [x for x in [*hub.log][asked:] if "gone" in x.path], "it is not asked about for ever"
        put(hub, "owner/gone", many[0])
        assert rounds.poll(bot) == 1
        assert bot.store.reading("owner/gone").predictions, "it came back"


def test_those_that_were_asked_about_longest_ago_come_first(hub, bot_of, many):
    for i in range(4):
        put(hub, f"owner/model{i}", many[i])
    with bot_of() as bot:
        rounds.poll(bot)
        seen = []
        for _ in range(2):
            before = len(hub.log)
            rounds.recheck(bot, 2)
            seen += [
                x.path.rsplit("/", 1)[1] for x in [*hub.log][before:] if x.path.startswith("/api/models/")
            ]
        assert sorted(seen) == [f"model{i}" for i in range(4)]


def test_a_rerun_chooses_by_date_by_outcome_and_by_number(hub, bot_of, tmp_path, many):
    for i in range(3):
        put(hub, f"owner/model{i}", many[i], ago(days=9 - i))
    settings = settings_for(hub, tmp_path / "home", upload_tries=1)
    root = many[0].root
    hub.faults.add("error", path="*/owner/model1/*")
    with open_bot(settings) as bot:
        rounds.poll(bot)
        code = bot.store.reading("owner/model1").abstention.code
        assert code == "hub-unavailable"
        unplaced = bot.store.placement("owner/model1")
        assert unplaced.tree is None
    hub.faults.clear()
    with open_bot(settings) as bot:
        bot.store.enqueue("upload retry", {"repo": "owner/model1"}, "ada")
        assert "no answer" not in obey(bot)[0]
    assert chosen(settings, {"root": root}) == [f"owner/model{i}" for i in range(3)]
    assert chosen(settings, {"root": root, "limit": 2}) == ["owner/model0", "owner/model1"]
    assert chosen(settings, {"root": root, "since": ago(days=8, hours=1).isoformat()}) == [
        "owner/model1",
        "owner/model2",
    ]
    assert chosen(settings, {"root": root, "only": "failed"}) == []
    hub.faults.add("error", path="*/owner/model2/*")
    hub.repos.commit("owner/model2", {"notes.txt": b"new"})
    with open_bot(settings) as bot:
        rounds.poll(bot)
    assert chosen(settings, {"root": root, "only": "failed"}) == ["owner/model2"]
    assert chosen(settings, {"root": root, "only": "abstained"}) == []
    with open_bot(settings) as bot:
        version = bot.reader.router.for_tree(root).version
        bot.store.enqueue("tree rerun", {"root": root, "expert": "another"}, "ada")
        assert "promote" in obey(bot)[0]
    assert chosen(settings, {"root": root, "expert": version[:4]}) == ["owner/model2"], "it was not read"
    assert len(chosen(settings, {"root": root, "expert": "another"})) == 3
    for wrong in ({"only": "all"}, {"since": "yesterday"}, {"root": "no/tree"}):
        with pytest.raises(UsageError):
            chosen(settings, {"root": root, **wrong})


def test_a_rerun_that_was_stopped_in_the_middle_goes_on_there(hub, bot_of, many, monkeypatch):
    monkeypatch.setattr(rounds, "FEW", 2)
    for i in range(6):
        put(hub, f"owner/model{i}", many[i % len(many)])
    with bot_of() as bot:
        rounds.poll(bot)
        number = bot.store.enqueue("tree rerun", {"root": many[0].root, "limit": 5}, "ada")
        steps = []

        def step(done: int, of: int) -> None:
            steps.append((done, of))
            bot.stopping.set()

        assert obey(bot, step) == []
        assert steps == [(2, 5)]
        assert bot.store.command(number).progress == {"done": 2, "of": 5, "last": "owner/model1"}
        assert bot.store.command(number).finished_at is None
    asked = len(hub.log)
    with bot_of() as bot:
        steps = []
        assert obey(bot, lambda *step: steps.append(step)) == [
            "5 uploads of " + many[0].root + " led down the path again"
        ]
        assert steps == [(4, 5), (5, 5)]
    again = {x.path for x in [*hub.log][asked:] if x.path.startswith("/api/models/owner/")}
    assert not any("model0" in path or "model1" in path or "model5" in path for path in again)
