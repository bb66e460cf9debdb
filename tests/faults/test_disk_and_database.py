"""A full disk, a database that may not be written to, or one that another holds: said, and nothing broken."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from stage import HUBBOT, TOKEN, clean_environ, drafted, upload

from hubbot.errors import StoreError
from hubbot.records import SuggestionState as S
from hubbot.rounds import look, open_due, poll, read
from hubbot.store import connection
from hubbot.store.store import Store

REPOS = 30


@pytest.fixture
def database(tmp_path) -> Path:
    return tmp_path / "home" / "hubbot.db"


@pytest.fixture
def pickles(hub) -> set[str]:
    """Repos that are read in no time: each ends with a reason, and takes some pages of the database."""
    names = {f"owner/model{number}" for number in range(REPOS)}
    for name in names:
        card = f"---\nmodel_name: {'x' * 90_000}\n---\n".encode()
        upload(hub.repos, name, {"pytorch_model.bin": b"never opened", "README.md": card})
    return names


@contextmanager
def asked(database: Path):
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        yield opened


def check_whole(database: Path) -> None:
    with asked(database) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert opened.execute("PRAGMA foreign_key_check").fetchall() == []


def reasons(database: Path) -> dict[str, str]:
    with asked(database) as opened:
        return dict(opened.execute("SELECT repo, abstention_code FROM readings WHERE latest"))


def check_all_read(database: Path, repos: set[str]) -> None:
    """Each once, and none for a reason that lies with us."""
    assert reasons(database) == dict.fromkeys(repos, "not-readable-safely")
    with asked(database) as opened:
        assert opened.execute("SELECT count(*) FROM readings").fetchone() == (len(repos),)


def test_a_full_disk_is_said_and_nothing_is_lost(bot_of, database, pickles, monkeypatch):
    with bot_of():
        pass  # makes the database
    with asked(database) as opened:
        (pages,) = opened.execute("PRAGMA page_count").fetchone()
    with monkeypatch.context() as patched:
        engine = connection._engine
        full = f"PRAGMA max_page_count={pages + 300}"
        patched.setattr(connection, "_engine", lambda url, *pragmas: engine(url, *pragmas, full))
        with bot_of() as bot:
            for _ in range(2):
                with pytest.raises(StoreError, match=r"hubbot\.db: the disk is full"):
                    poll(bot)
                check_whole(database)
        assert len(reasons(database)) < REPOS
    with bot_of() as bot:
        poll(bot)
    check_whole(database)
    check_all_read(database, pickles)


def test_a_bot_on_a_full_disk_stays_and_goes_on_when_there_is_room(hub, bot_of, database, pickles):
    """A file may grow no further than so: what a quota, or a full volume, looks like to a process."""
    with bot_of():
        pass  # makes the database
    room, log = database.stat().st_size + 60_000, database.with_name("log")
    limit = [sys.executable, "-c", LIMITED.format(room), str(HUBBOT), "run"]
    with log.open("w") as said:
        bot = subprocess.Popen(limit, env=environ(hub, database), stderr=said)
    try:
        until(lambda: re.search(rf"failed, and runs again in .* s: {database}: ", log.read_text()))
        assert bot.poll() is None, "it must not die of it"
        check_whole(database)
        resource.prlimit(bot.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: len(reasons(database)) == REPOS)
        bot.terminate()
        assert bot.wait(60) == 0
    finally:
        bot.kill()
        bot.wait()
    check_whole(database)
    check_all_read(database, pickles)


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, resource.RLIM_INFINITY))
os.execv(sys.argv[1], sys.argv[1:])
"""


def environ(hub, database: Path) -> dict[str, str]:
    return clean_environ(
        HUBBOT_HOME=str(database.parent),
        HUBBOT_ENDPOINT=hub.endpoint,
        HUBBOT_TOKEN=TOKEN,
        HUBBOT_DEVICE="cpu",
        HUBBOT_POLL_INTERVAL_S="0.3",
    )


def until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_database_that_may_not_be_written_to_is_said(hub, bot_of, database, pickles, what):
    with bot_of() as bot:
        poll(bot)
    before = database.read_bytes()
    upload(hub.repos, "owner/another", {"pytorch_model.bin": b"never opened"})
    database.chmod(0o444)
    if what == "folder":
        for beside in database.parent.glob("hubbot.db-*"):
            beside.unlink()
        database.parent.chmod(0o555)
    try:
        poll_once = subprocess.run(
            [*as_anybody(), HUBBOT, "poll"], env=environ(hub, database), capture_output=True, text=True
        )
    finally:
        database.parent.chmod(0o755)
    assert poll_once.returncode == 1
    assert "Traceback" not in poll_once.stderr
    assert f"error: {database}" in poll_once.stderr
    assert "may not be written to" in poll_once.stderr or "cannot be" in poll_once.stderr
    assert database.read_bytes() == before
    check_whole(database)
    database.chmod(0o644)
    with bot_of() as bot:
        poll(bot)
    check_all_read(database, pickles | {"owner/another"})


def as_anybody() -> list[str]:
    """Root may write anywhere, unless it lets go of that right."""
    return ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


@contextmanager
def held(database: Path, *, while_state: str | None = None, seconds: float = 0.0):
    """Another process's transaction on the database, for the block, or from when a suggestion has a state."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database), while_state or "", str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    if while_state is None:
        assert program.stdout.readline() == "held\n"
    try:
        yield
    finally:
        program.communicate("enough\n")


HOLDER = """
import sqlite3, sys, time
other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
while sys.argv[2] and other.execute("SELECT state FROM suggestions").fetchall() != [(sys.argv[2],)]:
    time.sleep(0.005)
other.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[3])) if sys.argv[2] else sys.stdin.readline()
"""


def test_a_database_that_another_holds_is_said_and_nothing_is_lost(bot_of, database, pickles, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.3)
    with bot_of() as bot:
        with held(database), pytest.raises(StoreError, match="another process kept the database busy"):
            poll(bot)
        check_whole(database)
        poll(bot)
    check_whole(database)
    check_all_read(database, pickles)


def test_what_was_opened_while_another_held_the_database_is_not_opened_again(
    hub, bot_of, database, monkeypatch
):
    """The commit is made, and cannot be written down."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.3)
    hub.faults.add("latency", path="*/commit/*", seconds=0.5)
    with bot_of() as bot:
        drafted(bot, hub, "owner/model")
        with held(database, while_state="opening", seconds=3), pytest.raises(StoreError, match="busy"):
            open_due(bot)
        assert bot.store.suggestion("owner/model").state is S.OPENING
        check_whole(database)
        open_due(bot)
        assert bot.store.suggestion("owner/model").state is S.OPEN
    assert len(hub.talks.all("owner/model")) == 1
    check_whole(database)


def test_a_reader_never_waits_for_who_writes(bot_of, database, pickles):
    """The Space and `hubbot status` go on while another holds the database."""
    with bot_of() as bot:
        poll(bot)
        began = time.monotonic()
        with held(database), Store.open(f"sqlite:///{database}", read_only=True) as reader:
            assert {reading.repo for reading in reader.readings()} == pickles
        assert time.monotonic() - began < 10


def test_a_lock_that_passes_is_no_uploads_end(hub, bot_of, database, monkeypatch):
    """The write of its reading fails, and a note of that failure would succeed: it is not for the record."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.3)
    upload(hub.repos, "owner/model", {"pytorch_model.bin": b"never opened"})
    with bot_of() as bot:
        look(bot)
        with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            passing = threading.Timer(0.45, other.rollback)
            passing.start()
            with pytest.raises(StoreError, match="busy"):
                read(bot)
            passing.join()
        assert bot.store.reading("owner/model") is None
        read(bot)
        assert reasons(database) == {"owner/model": "not-readable-safely"}
