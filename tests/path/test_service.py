"""`hubbot run` as an admin runs it: a process that watches, is stopped in the middle, and goes on later."""

from __future__ import annotations

import json
import signal

import httpx
import pytest
from stage import TOKEN, files_of, running, settings_for, upload, wait_for

from hubbot.admin import live, order
from hubbot.app import open_store
from hubbot.errors import HubbotError, StoreLocked, UsageError
from hubbot.service.knock import note_of


def count(settings, what: str) -> int:
    try:
        with open_store(settings, read_only=True) as store:
            return store.counts()[what]
    except HubbotError:
        return 0  # the bot has not made it yet


def test_it_watches_takes_orders_and_stops_on_sigterm(hub, tmp_path, children):
    settings = settings_for(hub, tmp_path)
    upload(hub.repos, children[0].repo, files_of(children[0]))
    with running(tmp_path, hub.endpoint) as bot:
        wait_for(lambda: count(settings, "readings") == 1)
        upload(hub.repos, children[1].repo, files_of(children[1]))
        wait_for(lambda: count(settings, "readings") == 2)
        told = order(settings, "tree rerun", {"root": children[0].root}, "somebody")
        assert "handed to the running bot" in told
        told = order(settings, "tree rerun", {"root": children[0].root, "limit": 1}, "ada", wait_s=60.0)
        assert told.startswith("1 uploads of")
        with pytest.raises(UsageError, match="no tree 'no/tree'"):
            order(settings, "tree rerun", {"root": "no/tree"}, "ada", wait_s=60.0)
        with open_store(settings, read_only=True) as store:
            _, second, first = store.commands()
        assert "2 uploads" in first.outcome
        assert (first.by, second.by) == ("somebody", "ada")
        state = live(settings)
        assert {"index", "look", "read", "open", "orders", "webhooks", "recheck"} == {
            job["id"] for job in state["jobs"]
        }
        assert state["events"]["readings"] >= 2
        bot.send_signal(signal.SIGTERM)
        out, err = bot.communicate(timeout=30)
    assert bot.returncode == 0, err
    assert "stopped; 5 uploads noticed" in out
    assert "Traceback" not in err
    assert TOKEN not in out + err


def test_stopped_in_the_middle_it_loses_nothing(hub, tmp_path, children):
    for child in children[:12]:
        upload(hub.repos, child.repo, files_of(child))
    settings = settings_for(hub, tmp_path)
    hub.faults.add("latency", seconds=0.3)
    with running(tmp_path, hub.endpoint, HUBBOT_BATCH_SIZE="2", HUBBOT_FETCH_THREADS="2") as bot:
        wait_for(lambda: count(settings, "readings") >= 2)
        bot.send_signal(signal.SIGTERM)
        assert bot.wait(timeout=30) == 0
    midway = count(settings, "readings")
    assert 2 <= midway < 12, "it was not stopped in the middle"
    hub.faults.clear()
    with running(tmp_path, hub.endpoint) as bot:
        wait_for(lambda: count(settings, "readings") == 12)
        bot.send_signal(signal.SIGTERM)
        assert bot.wait(timeout=30) == 0


def test_killed_it_loses_nothing(hub, tmp_path, children):
    for child in children[:8]:
        upload(hub.repos, child.repo, files_of(child))
    settings = settings_for(hub, tmp_path)
    with running(tmp_path, hub.endpoint, HUBBOT_BATCH_SIZE="2") as bot:
        wait_for(lambda: count(settings, "readings") >= 1)
        bot.kill()
    with running(tmp_path, hub.endpoint) as bot:
        wait_for(lambda: count(settings, "readings") == 8)


def test_passing_faults_of_the_hub_pass(hub, tmp_path, children):
    for child in children[:6]:
        upload(hub.repos, child.repo, files_of(child))
    settings = settings_for(hub, tmp_path)
    for kind in ("error", "rate-limit", "cut"):
        hub.faults.add(kind, probability=0.05, seconds=0.2)
    with running(tmp_path, hub.endpoint, HUBBOT_HTTP_RETRIES="1") as bot:
        wait_for(lambda: count(settings, "readings") == 6, seconds=200)
        assert bot.poll() is None
    assert hub.faults.struck > 1, "the Hub was too well for this to show anything"
    assert count(settings, "abstentions") == 0


def test_a_webhook_is_sooner_than_the_next_poll(hub, tmp_path, children):
    """The listing is read once an hour here; what a webhook names is read at once."""
    upload(hub.repos, children[0].repo, files_of(children[0]))
    settings = settings_for(hub, tmp_path)
    with running(
        tmp_path, hub.endpoint, HUBBOT_POLL_INTERVAL_S="3600", HUBBOT_WEBHOOK_SECRET="s3cret"
    ) as bot:
        wait_for(lambda: count(settings, "readings") == 1)
        upload(hub.repos, children[1].repo, files_of(children[1]))
        with open_store(settings, read_only=True) as store:
            url = json.loads(note_of(store.path).read_text())["url"]
        hook = {"event": {"action": "update"}, "repo": {"type": "model", "name": children[1].repo}}
        for _ in range(3):  # replayed
            answer = httpx.post(f"{url}/webhook", json=hook, headers={"X-Webhook-Secret": "s3cret"})
            assert answer.status_code == 202
        wait_for(lambda: count(settings, "readings") == 2, seconds=30)
        bot.send_signal(signal.SIGTERM)
        _, err = bot.communicate(timeout=30)
    assert "s3cret" not in err


def test_a_second_bot_says_so_and_stops(hub, tmp_path):
    with running(tmp_path, hub.endpoint), open_store(settings_for(hub, tmp_path)) as store:
        wait_for(lambda: store.locked_by() is not None)
        with running(tmp_path, hub.endpoint) as second:
            _, err = second.communicate(timeout=30)
        assert second.returncode == 1
        assert "error: " in err
        with pytest.raises(StoreLocked), store.lock("a third"):
            pass
