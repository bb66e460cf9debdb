"""Uploads that want to stop the bot, blind it, or make it say something wrong. None may touch the others."""

from __future__ import annotations

import gzip
import json
import logging
import struct
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import ClassVar

import pytest
from huggingface_hub import HfApi
from stage import TOKEN, files_of, settings_for, upload

from hubbot import batches, courtesy, visits
from hubbot.app import open_bot
from hubbot.cli.logs import set_up
from hubbot.courtesy import settle
from hubbot.errors import HubUnavailable, WeightsError
from hubbot.hub import wire
from hubbot.hub.client import Hub
from hubbot.hub.pulls import read_card
from hubbot.hub.tensors import contents
from hubbot.hub.uploads import one, recent
from hubbot.localhub.server import Server
from hubbot.records import Reading, SuggestionState, Upload
from hubbot.rounds import follow, open_due, poll, rerun
from hubbot.settings import load
from hubbot.store.choice import Choice
from hubbot.trees.declared import trace

GOOD, EVIL = "honest/model", "evil/model"


def card(**said: object) -> bytes:
    lines = [f"{key}: {json.dumps(value)}" for key, value in said.items()]
    return "\n".join(["---", *lines, "---", ""]).encode()


@pytest.fixture
def hub(tmp_path):
    with Server(tmp_path / "hub", tokens={TOKEN: "hubbot", "hf_honest": "honest"}) as server:
        yield server


@pytest.fixture
def bot_of(hub, tmp_path):
    """Opens the bot of one home, again and again."""

    def opened(**more):
        watch = more.pop("watch", lambda _: None)
        settings = settings_for(hub, tmp_path / "home", http_retries=0, http_timeout_s=5.0, **more)
        return open_bot(settings, watch=watch)

    return opened


def pulls(hub, repo: str) -> int:
    return len([*HfApi(hub.endpoint, token=TOKEN).get_repo_discussions(repo)])


@pytest.fixture
def sure(children, demo_readings):
    """A child that something is recognised in."""
    return next(c for c in children if demo_readings[c.repo].recognised)


@pytest.mark.parametrize("parent", ["owner/model.git", "owner/name-", "_/_"])
def test_a_parent_that_the_hub_refuses_to_name_stops_nobody(hub, bot_of, a_child, parent):
    upload(hub.repos, EVIL, files_of(a_child, README_md=card(base_model=parent)))
    upload(hub.repos, GOOD, files_of(a_child))
    with bot_of() as bot:
        assert poll(bot) == 2
        for repo in (EVIL, GOOD):
            assert bot.store.reading(repo).predictions


def test_a_card_larger_than_any_is_refused_and_stops_nobody(hub, bot_of, sure):
    upload(hub.repos, EVIL, files_of(sure, README_md=card(license="mit") + b"x" * 2_100_000))
    upload(hub.repos, GOOD, files_of(sure))
    with bot_of() as bot:
        assert poll(bot) == 2
        assert bot.store.reading(EVIL).recognised
        assert "2000000 bytes" in bot.store.suggestion(EVIL).reason
        assert bot.store.suggestion(GOOD).state is SuggestionState.DRAFT


def test_a_repo_that_vanishes_on_the_way_stops_nobody(hub, bot_of, sure):
    def watch(event):
        if isinstance(event, Reading) and event.repo == EVIL:
            hub.repos.delete(EVIL)

    upload(hub.repos, EVIL, files_of(sure))
    upload(hub.repos, GOOD, files_of(sure))
    with bot_of(watch=watch) as bot:
        assert poll(bot) == 2
        assert bot.store.suggestion(EVIL).state is SuggestionState.REFUSED
        assert bot.store.suggestion(GOOD).state is SuggestionState.DRAFT


@pytest.mark.parametrize(("room", "step"), [(visits, "place"), (batches, "relate")])
def test_a_fault_that_nobody_foresaw_stops_nobody(hub, bot_of, a_child, monkeypatch, room, step):
    """Before the worker is asked, and after it has answered."""

    def stumbling(*given):
        if any(getattr(one, "repo", "") == EVIL for one in given[:2]):
            raise ZeroDivisionError("surprise")
        return done(*given)

    done = getattr(room, step)
    monkeypatch.setattr(room, step, stumbling)
    upload(hub.repos, EVIL, files_of(a_child))
    upload(hub.repos, GOOD, files_of(a_child))
    with bot_of() as bot:
        assert poll(bot) == 2
        assert poll(bot) == 0
        assert bot.store.reading(EVIL).abstention.code == "error"
        assert "surprise" in bot.store.reading(EVIL).abstention.text
        assert bot.store.reading(GOOD).predictions


def test_an_upload_that_never_comes_to_its_end_does_not_hold_the_watermark(hub, bot_of, a_child):
    """It is written down and visited again, but the listing is not read from there for ever."""
    upload(hub.repos, EVIL, files_of(a_child, README_md=card(base_model="evil/parent")))
    for day in (1, 2, 3):
        upload(hub.repos, f"honest/day{day}", files_of(a_child))
    last = HfApi(hub.endpoint).model_info("honest/day3").last_modified
    hub.faults.add("error", path="/api/models/evil/parent")
    with bot_of(poll_overlap_s=0.0) as bot:
        assert poll(bot) == 3
        assert bot.store.watermark(hub.endpoint) == last
        assert bot.store.due(datetime.now(UTC) + timedelta(days=1)) == [one(bot.hub, EVIL)]
        assert poll(bot) == 0
        hub.faults.clear()
        assert poll(bot) == 1
        assert bot.store.reading(EVIL).predictions
        assert bot.store.backlog() == 0


def test_an_upload_that_fails_for_ever_is_given_up_on_record(hub, bot_of, a_child, monkeypatch):
    """And tried again once its owner has committed something."""
    monkeypatch.setattr(batches, "IMPATIENT", 2)
    upload(hub.repos, EVIL, files_of(a_child, README_md=card(base_model="evil/parent")))
    upload(hub.repos, GOOD, files_of(a_child))
    hub.faults.add("error", path="/api/models/evil/parent")
    with bot_of(upload_tries=4) as bot:
        assert [poll(bot) for _ in range(3)] == [1, 0, 0]
        left = one(bot.hub, EVIL)
        assert bot.store.tries(left) == 3
        now = datetime.now(UTC)
        assert bot.store.due(now) == [], "two tries at once, then a pause"
        assert bot.store.due(now + timedelta(seconds=76)) == [left]
        asked = len(hub.log)
        assert poll(bot) == 0
        assert not [each for each in [*hub.log][asked:] if "evil" in each.path], "nobody is asked meanwhile"
        assert bot.store.reading(EVIL) is None
        bot.store.postpone(left, now)  # as if the pause were over
        assert poll(bot) == 1
        told = bot.store.reading(EVIL).abstention
        assert told.code == "hub-unavailable"
        assert "given up after 5 tries" in told.text
        assert bot.store.backlog() == 0
        hub.faults.clear()
        assert poll(bot) == 0
        hub.repos.commit(EVIL, {"notes.txt": b"again"})
        assert poll(bot) == 1
        assert bot.store.reading(EVIL).predictions


def test_pauses_grow_and_end_growing() -> None:
    waits = [batches.pause(tries).total_seconds() for tries in range(1, 200)]
    assert waits[:3] == [0, 0, 0]
    assert 7.5 <= waits[3] <= 12.5
    assert all(later > 1.05 * sooner for sooner, later in pairwise(waits[3:11]))
    assert max(waits) <= 1.25 * 6 * 3600


def test_an_upload_from_the_future_does_not_make_the_bot_blind(hub, bot_of, a_child):
    hub.repos.create(EVIL)
    hub.repos.commit(EVIL, files_of(a_child), when=datetime(2999, 1, 1, tzinfo=UTC))
    with bot_of() as bot:
        assert poll(bot) == 1
        assert bot.store.watermark(hub.endpoint) <= datetime.now(UTC)
        upload(hub.repos, GOOD, files_of(a_child))
        assert poll(bot) == 1
        assert bot.store.reading(GOOD)


def test_weights_first_and_the_card_later_is_no_contradiction(hub, bot_of):
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    upload(hub.repos, GOOD, {"model.safetensors": struct.pack("<Q", len(header)) + header + b"\0" * 4})
    with bot_of() as bot:
        poll(bot)
        assert bot.store.reading(GOOD).abstention.code == "unplaced"
        hub.repos.commit(GOOD, {"README.md": card(base_model="newlab/root")})
        poll(bot)
        assert bot.store.placement(GOOD).tree == "newlab/root"
        assert bot.store.reading(GOOD).tree == "newlab/root"
        assert bot.store.reading(GOOD).abstention.code == "no-expert"


def test_a_relation_that_is_corrected_brings_the_reading(hub, bot_of, a_child):
    def said(relation):
        return {"README.md": card(base_model=a_child.root, base_model_relation=relation)}

    upload(hub.repos, GOOD, files_of(a_child) | said("adapter"))
    with bot_of() as bot:
        poll(bot)
        assert bot.store.reading(GOOD).abstention.code == "adapter"
        hub.repos.commit(GOOD, said("finetune"))
        poll(bot)
        assert bot.store.reading(GOOD).predictions


def test_a_repo_that_is_gone_keeps_no_news_from_the_others(hub, bot_of, sure):
    for repo in (EVIL, GOOD):
        upload(hub.repos, repo, files_of(sure))
    with bot_of(mode="auto") as bot:
        poll(bot)
        number = int(bot.store.suggestion(GOOD).pull_request.rsplit("/", 1)[1])
        hub.repos.delete(EVIL)
        HfApi(hub.endpoint, token="hf_honest").change_discussion_status(GOOD, number, "closed")
        assert [s.repo for s in follow(bot)] == [GOOD]
        assert rerun(bot, bot.store.chosen(Choice(sure.root))) == 1


def test_a_repo_that_is_gone_is_refused_on_record_and_not_tried_for_ever(hub, bot_of, sure):
    upload(hub.repos, EVIL, files_of(sure))
    with bot_of(mode="draft") as bot:
        poll(bot)
        assert bot.store.suggestion(EVIL).state is SuggestionState.DRAFT
    hub.repos.delete(EVIL)
    with bot_of(mode="auto") as bot:
        open_due(bot)
        told = bot.store.suggestion(EVIL)
        assert told.state is SuggestionState.REFUSED
        assert "no such repo" in told.reason
        asked = len(hub.log)
        open_due(bot)
        assert len(hub.log) == asked


def test_a_draft_bot_finishes_nothing_that_would_be_seen(hub, bot_of, sure, monkeypatch):
    """One that died while opening in mode auto, and was started again to send nothing."""
    monkeypatch.setattr(courtesy, "SETTLING", timedelta(0))
    upload(hub.repos, GOOD, files_of(sure))
    with bot_of() as bot:
        poll(bot)
        settle(bot, bot.store.suggestion(GOOD), SuggestionState.OPENING)
        open_due(bot)
        assert pulls(hub, GOOD) == 0
        assert bot.store.suggestion(GOOD).state is SuggestionState.DRAFT


def test_repos_of_very_many_files_do_not_hide_the_others(hub, monkeypatch):
    """Smaller pages are asked for; what is too large even by itself is left out."""
    monkeypatch.setattr(wire, "MAX_JSON_BYTES", 20_000)
    upload(hub.repos, "honest/first", {"a": b""})
    for n in range(6):
        upload(hub.repos, f"evil/many{n}", {f"{'x' * 80}{i}": b"" for i in range(60)})
    upload(hub.repos, "evil/legion", {f"{'x' * 80}{i}": b"" for i in range(300)})
    upload(hub.repos, "honest/last", {"a": b""})
    with Hub(hub.endpoint, retries=0) as door:
        names = {found.repo for found in recent(door, since=None)}
    assert names == {"honest/first", "honest/last", *(f"evil/many{n}" for n in range(6))}


class Hostile(BaseHTTPRequestHandler):
    """Answers every GET with what a test says, one piece at a time."""

    headers_sent: ClassVar[dict[str, str]] = {}
    pieces: ClassVar[list[bytes]] = []
    pause_s = 0.0

    def do_GET(self):
        self.send_response(200)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            for piece in self.pieces:
                self.wfile.write(piece)
                time.sleep(self.pause_s)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("OneTest", (Hostile,), {}))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_listing_that_drips_is_given_up(server):
    server.RequestHandlerClass.pieces, server.RequestHandlerClass.pause_s = [b" "] * 200, 0.02
    with Hub(f"http://127.0.0.1:{server.server_port}", retries=0, timeout_s=0.3) as door:
        start = time.monotonic()
        with pytest.raises(HubUnavailable, match="too slowly"):
            list(recent(door, since=None))
        assert time.monotonic() - start < 2


def test_what_is_packed_twice_is_not_unpacked(server):
    """A few hundred bytes become half a gigabyte."""
    bomb = gzip.compress(gzip.compress(b" " * 500_000_000, 1))
    server.RequestHandlerClass.pieces = [bomb]
    server.RequestHandlerClass.headers_sent = {"Content-Encoding": "gzip, gzip"}
    address = f"http://127.0.0.1:{server.server_port}"
    with Hub(address, retries=0) as door, pytest.raises(HubUnavailable, match="packed"):
        read_card(door, EVIL, "main")


@pytest.mark.parametrize("nonsense", [{"lastModified": "0001-01-01T00:00:00Z"}, {"downloads": 10**30}])
def test_numbers_that_no_clock_or_database_takes(server, tmp_path, nonsense):
    entry = {"id": EVIL, "sha": "0" * 40, "lastModified": "2026-01-01T00:00:00Z", "gated": "auto"} | nonsense
    server.RequestHandlerClass.pieces = [json.dumps([entry]).encode()]
    address = f"http://127.0.0.1:{server.server_port}"
    with open_bot(load({}, endpoint=address, home=str(tmp_path), device="cpu", http_retries=0)) as bot:
        poll(bot)
        poll(bot)


def test_a_hundred_thousand_parents_cost_no_minutes():
    parents = [f"owner/p{n}" for n in range(50_000)]
    tags = tuple(f"base_model:{kind}other/{name[6:]}" for kind in ("", "merge:") for name in parents)
    evil = Upload(EVIL, "0" * 40, datetime.now(UTC), card={"base_model": parents}, tags=tags)
    start = time.monotonic()
    lineage = trace(evil, lambda _: None, known_roots={})
    assert time.monotonic() - start < 5
    assert lineage.parent == "owner/p0"
    assert len(lineage.evidence) < 20


def test_the_headers_of_all_shards_share_one_limit(hub):
    """Each may be small enough, and a thousand of them are not."""

    def shard(name: str) -> bytes:
        tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        header = json.dumps({"__metadata__": {"a": "x" * 40_000}, name: tensor}).encode()
        return struct.pack("<Q", len(header)) + header + b"\0" * 4

    index = {"weight_map": {f"t{n}": f"model-{n}.safetensors" for n in range(30)}}
    files = {name: shard(tensor) for tensor, name in index["weight_map"].items()}
    upload(hub.repos, EVIL, files | {"model.safetensors.index.json": json.dumps(index).encode()})
    with Hub(hub.endpoint, max_header_bytes=100_000) as door:
        before = len(hub.log)
        with pytest.raises(WeightsError, match="headers of"):
            contents(door, one(door, EVIL))
        assert sum(x.bytes_sent for x in [*hub.log][before:]) < 400_000


def test_a_log_line_is_one_line(capsys):
    """Names of files are an owner's: a line end would forge a line, an escape paint the terminal."""
    set_up(logging.WARNING)
    try:
        logging.getLogger("hubbot.test").warning("left: %s", "evil/m: a\n00:00:00 INFO all\x1b[2Jwell\u202e")
    finally:
        logging.basicConfig(force=True, handlers=[logging.NullHandler()], level=logging.WARNING)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "\u202e" not in said
