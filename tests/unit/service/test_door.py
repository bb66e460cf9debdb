"""The door of a running bot, over HTTP on loopback: what is open to everybody, and what takes the key."""

from __future__ import annotations

import json
import socket
import stat
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hubbot.errors import SettingsError, UsageError
from hubbot.hub.rates import Rate
from hubbot.hub.uploads import is_repo_name
from hubbot.scheduler import JobState
from hubbot.service.door import House, opened
from hubbot.service.knock import Door, note_of
from hubbot.service.mailbox import MAX_BODY_BYTES, Mailbox
from hubbot.service.state import Live
from hubbot.store.store import Store

STARTED = datetime.now(UTC)

RATES = (Rate("api", 400, 120.0, 99, 2, 1.5), Rate("pages", None, None, 1, 0, 0.0))


def well() -> JobState:
    """A job that ended well just now: the tests of a long run are collected long before this one's turn."""
    now = datetime.now(UTC)
    return JobState("read", 1.0, runs=3, began_at=now, ended_well_at=now, took_s=0.5)


class Home:
    """A house whose parts a test can look at and change."""

    def __init__(self, store: Store) -> None:
        self.store, self.jobs, self.rung = store, [well()], []
        self.mailbox = Mailbox("s3cret", is_repo_name)
        self.house = House(
            store=store,
            mailbox=self.mailbox,
            live=lambda: Live(STARTED, "draft", self.jobs, {"noticed": 7}, 1, RATES),
            verbs=frozenset({"tree rerun"}),
            ordered=lambda: self.rung.append("ordered"),
            noticed=lambda: self.rung.append("noticed"),
        )


@pytest.fixture
def home(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/hubbot.db") as store:
        yield Home(store)


@pytest.fixture
def url(home):
    with opened(home.house, "127.0.0.1:0") as address:
        yield address


def test_the_key_is_for_the_owner_of_the_database_alone(home, url):
    note = note_of(home.store.path)
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert json.loads(note.read_text())["url"] == url


@pytest.mark.parametrize(("method", "path"), [("GET", "/state"), ("POST", "/orders"), ("GET", "/orders/1")])
@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", "Basic x"])
def test_without_the_key_no_admin(home, url, method, path, key):
    headers = {"Authorization": key} if key else {}
    order = {"verb": "tree rerun", "args": {}, "by": "nobody"}
    answer = httpx.request(method, url + path, headers=headers, json=order if method == "POST" else None)
    assert answer.status_code == 401
    assert home.store.commands() == []


def test_an_order_is_written_down_and_its_outcome_comes_back(home, url):
    with Door(home.store.path) as door:
        number = door.order("tree rerun", {"root": "a/b"}, "ada@home")
        assert home.rung == ["ordered"]
        command = home.store.next_command()
        assert (command.id, command.by, command.args) == (number, "ada@home", {"root": "a/b"})
        assert door.outcome(number, 0.0) is None
        far = []

        def work():
            home.store.advance_command(number, {"done": 3, "of": 9, "last": "c/d"})
            threading.Event().wait(1.2)
            home.store.finish_command(number, "done and dusted")

        worker = threading.Thread(target=work)
        worker.start()
        assert door.outcome(number, 30.0, lambda *step: far.append(step)) == "done and dusted"
        worker.join()
        assert (3, 9) in far
        with pytest.raises(UsageError, match="no order 'rm -rf'"):
            door.order("rm -rf", {}, "ada@home")
        with pytest.raises(UsageError, match="no order 99"):
            door.outcome(99, 0.0)


def test_what_is_no_order_is_refused(home, url):
    key = json.loads(note_of(home.store.path).read_text())["key"]
    for body in (
        {},
        {"verb": "x" * 1000, "args": {}, "by": "me"},
        {"verb": "tree rerun", "args": {"a": [1]}, "by": "me"},
    ):
        answer = httpx.post(f"{url}/orders", json=body, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 422
    assert home.store.commands() == []


def test_the_state_is_told_to_admins(home, url):
    with Door(home.store.path) as door:
        state = door.state()
    assert state["mode"] == "draft"
    assert state["jobs"][0]["id"] == "read"
    assert state["events"] == {"noticed": 7}


def test_health_says_what_ails_it(home, url):
    answer = httpx.get(f"{url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"well": True, "ailing": []})
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    home.jobs = [
        well(),
        JobState("look", 60.0, failures=9, error="OSError: disk on fire", ended_well_at=long_ago),
    ]
    answer = httpx.get(f"{url}/healthz")
    assert answer.status_code == 503
    assert "look has not ended well for 36" in answer.json()["ailing"][0]
    assert "disk on fire" in answer.json()["ailing"][0]


def test_prometheus_can_read_the_numbers(home, url):
    home.store.enqueue("tree rerun", {}, "ada")
    page = httpx.get(f"{url}/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }
    assert found["hubbot_orders",] == 1
    assert found["hubbot_backlog", "due"] == 0
    assert found["hubbot_events_total", "noticed"] == 7
    assert found["hubbot_job_runs_total", "read"] == 3
    assert found["hubbot_workers_lost_total",] == 1
    assert found["hubbot_hub_requests_total", "api"] == 99
    assert found["hubbot_hub_remaining", "api"] == 400
    assert ("hubbot_hub_remaining", "pages") not in found


def test_a_webhook_names_a_repo(home, url):
    hook = {"event": {"action": "update", "scope": "repo.content"}, "repo": {"type": "model", "name": "a/b"}}
    answer = httpx.post(f"{url}/webhook", json=hook, headers={"X-Webhook-Secret": "s3cret"})
    assert (answer.status_code, answer.json()) == (202, {"noticed": "a/b"})
    assert home.rung == ["noticed"]
    assert home.mailbox.empty() == ["a/b"]


def test_a_webhook_without_the_secret_is_refused_before_it_is_read(home, url):
    """A gigabyte is announced and never sent; the answer comes all the same."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{")
        assert sock.recv(1000).startswith(b"HTTP/1.1 401")
    assert home.mailbox.empty() == []


def test_a_body_is_bounded_whatever_it_says(home, url):
    def long():
        for _ in range(MAX_BODY_BYTES // 10_000 + 2):
            yield b" " * 10_000

    answer = httpx.post(f"{url}/webhook", content=long(), headers={"X-Webhook-Secret": "s3cret"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "address", ["", "8790", "localhost", "127.0.0.1:x", "127.0.0.1:99999", "192.0.2.1:0"]
)
def test_an_address_that_is_none_is_one_clear_error(home, address):
    with pytest.raises(SettingsError, match="cannot listen at"), opened(home.house, address):
        pass


def test_closed_it_leaves_nothing_behind(home):
    with opened(home.house, "127.0.0.1:0") as url:
        pass
    assert not note_of(home.store.path).exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")
