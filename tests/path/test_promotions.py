"""Several versions of an expert for one tree: an admin says which one answers, and may take it back."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from contextlib import closing

import pytest
from stage import files_of, settings_for, upload

from hubbot.admin import order
from hubbot.app import open_bot, open_reader, router
from hubbot.errors import UsageError
from hubbot.experts.router import shipped
from hubbot.orders import obey
from hubbot.records import SuggestionState
from hubbot.rounds import poll, rerun
from hubbot.store.choice import Choice

TREE = "digits-zoo/vit-a"
NAME = "digits-vit-a"


@pytest.fixture
def stricter(tmp_path):
    """A newer version of the tree's expert: it recognises nothing that is not very likely."""
    folder = tmp_path / "stricter"
    shutil.copytree(next(folder for folder in shipped() if folder.name == NAME), folder)
    config = json.loads((folder / "config.json").read_text())
    config["calibration"]["threshold"] = 0.999
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def members(hub, children):
    own = [child for child in children if child.root == TREE][:4]
    for child in own:
        upload(hub.repos, child.repo, files_of(child))
    return [child.repo for child in own]


@pytest.fixture
def settings(hub, tmp_path, stricter):
    """Both versions are at hand; the shipped one is named last, so that it reads without a promotion."""
    old = next(folder for folder in shipped() if folder.name == NAME)
    return settings_for(hub, tmp_path / "home", experts=f"{stricter},{old}")


@pytest.fixture
def versions(settings):
    """The newer one and the older one."""
    found = {info.folder: info.version for info in router(settings).experts if info.name == NAME}
    return found[settings.expert_places[0]], found[settings.expert_places[1]]


def carried_out(bot, verb, **args):
    bot.store.enqueue(verb, args, "an admin")
    [outcome] = obey(bot)
    return outcome


def recognised(readings):
    return sum(len(reading.recognised) for reading in readings.values())


def readings(bot, members):
    return {repo: bot.store.reading(repo) for repo in members}


def rows(store):
    with closing(sqlite3.connect(store.path)) as database:
        return database.execute("SELECT id, read_at FROM readings ORDER BY id").fetchall()


def test_a_running_bot_follows_and_a_rollback_costs_no_work(settings, versions, members, hub):
    newer, older = versions
    with open_bot(settings) as bot:
        poll(bot)
        first = readings(bot, members)
        assert {reading.version for reading in first.values()} == {older}

        told = carried_out(bot, "expert promote", name=NAME, version=newer[:8])
        assert f"{TREE} is read by {NAME} {newer}, before by {NAME} {older}" in told
        assert "0 readings of its own hold again, 4 are of others: `hubbot tree rerun" in told
        assert readings(bot, members) == first, "a promotion alone reads nothing"
        assert rerun(bot, bot.store.chosen(Choice(TREE))) == 4
        second = readings(bot, members)
        assert {reading.version for reading in second.values()} == {newer}
        assert recognised(second) < recognised(first)

        written, asked = rows(bot.store), len(hub.log)
        told = carried_out(bot, "expert rollback", tree=TREE, name=NAME, version=newer)
        assert "4 readings of its own hold again" in told
        assert readings(bot, members) == first
        assert (rows(bot.store), len(hub.log)) == (written, asked), "nothing was read, asked or written anew"

        engine = bot.reader.engine
        engine.close()
        assert rerun(bot, bot.store.chosen(Choice(TREE))) == 4
        assert engine._pool is None, "no expert was asked"
        assert readings(bot, members) == first
        assert rows(bot.store) == written

        told = carried_out(bot, "expert promote", name=NAME, version=newer)
        assert "4 readings of its own hold again" in told
        assert readings(bot, members) == second


def test_weights_that_changed_meanwhile_keep_their_new_reading(settings, versions, members, hub, children):
    newer, _ = versions
    other = next(child for child in children if child.root == TREE and child.repo not in members)
    with open_bot(settings) as bot:
        poll(bot)
        carried_out(bot, "expert promote", name=NAME, version=newer)
        hub.repos.commit(members[0], files_of(other))
        rerun(bot, bot.store.chosen(Choice(TREE)))
        fresh = bot.store.reading(members[0])
        told = carried_out(bot, "expert rollback", tree=TREE, name=NAME, version=newer)
        assert "3 readings of its own hold again, 1 are of others" in told
        assert bot.store.reading(members[0]) == fresh


def test_promotions_are_a_pile_and_an_order_that_is_repeated_changes_nothing(settings, versions):
    newer, older = versions

    def answers():
        return bot.reader.router.for_tree(TREE).version

    with open_bot(settings) as bot:
        for version in (newer, newer, older, newer):
            carried_out(bot, "expert promote", name=NAME, version=version)
        for taken, left in ((newer, older), (newer, older), (older, newer), (newer, older)):
            carried_out(bot, "expert rollback", tree=TREE, name=NAME, version=taken)
            assert answers() == left
        assert bot.store.promotions() == []
        told = carried_out(bot, "expert rollback", tree=TREE, name=NAME, version=newer)
        assert "is not, or no longer, the promoted one" in told


def test_it_outlives_the_bot_and_holds_for_who_only_reads(settings, versions):
    newer, _ = versions
    assert "is read by" in order(settings, "expert promote", {"name": NAME, "version": newer}, "an admin")
    with open_reader(settings) as reader:
        assert reader.router.for_tree(TREE).version == newer
    with open_bot(settings) as bot:
        assert bot.reader.router.for_tree(TREE).version == newer
        assert next(tree.expert for tree in bot.store.trees() if tree.root == TREE) == NAME


def test_one_that_is_gone_is_missed_aloud(settings, versions, hub, tmp_path, caplog):
    newer, older = versions
    order(settings, "expert promote", {"name": NAME, "version": newer}, "an admin")
    without = settings_for(hub, tmp_path / "home")
    with caplog.at_level(logging.WARNING), open_bot(without) as bot:
        assert bot.reader.router.for_tree(TREE).version == older
    assert f"{NAME} {newer}, promoted for {TREE}, is not at hand" in caplog.text


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("nobody", "1", "there is no expert 'nobody'"),
        (NAME, "zzz", "none at hand begins with 'zzz'"),
        (NAME, "", "none at hand begins with ''"),
    ],
)
def test_what_is_not_at_hand_is_not_promoted(settings, name, version, said):
    with pytest.raises(UsageError, match=said):
        order(settings, "expert promote", {"name": name, "version": version}, "an admin")
    with open_bot(settings) as bot:
        assert bot.store.promotions() == []
        assert bot.store.commands()[0].outcome.startswith("failed: ")


def test_what_a_version_said_that_does_not_answer_any_more_is_not_opened(settings, versions, members):
    newer, older = versions
    with open_bot(settings) as bot:
        poll(bot)
        drafts = bot.store.suggestions(SuggestionState.DRAFT)
        assert drafts
        assert {draft.version for draft in drafts} == {older}
        carried_out(bot, "expert promote", name=NAME, version=newer)
        rerun(bot, bot.store.chosen(Choice(TREE)))
        fates = set()
        for draft in drafts:
            drawn_anew = bool(bot.store.reading(draft.repo).recognised)
            told = "" if drawn_anew else carried_out(bot, "card open", repo=draft.repo)
            now = bot.store.suggestion(draft.repo)
            fates.add((drawn_anew, now.version == newer, told.startswith("not opened: ")))
    assert fates <= {(True, True, False), (False, False, True)}
