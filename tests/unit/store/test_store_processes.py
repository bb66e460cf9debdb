"""Many at once, and death in the middle."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from hubbot.errors import StoreError, StoreLocked
from hubbot.records import Upload
from hubbot.store.connection import for_writing, writing_engine
from hubbot.store.store import Store
from hubbot.store.tables import UploadRow

THREADS, ROUNDS = 8, 25


def count_up(store: Store, *, immediately: bool) -> int:
    """Each thread reads a number and writes it back one larger; how often that failed."""
    engine = writing_engine(store.path)
    begin = for_writing(engine) if immediately else engine

    def one(_: int) -> int:
        failed = 0
        for _ in range(ROUNDS):
            try:
                with Session(begin) as session, session.begin():
                    row = session.scalars(select(UploadRow)).one()
                    row.downloads += 1
            except OperationalError:
                failed += 1
        return failed

    with ThreadPoolExecutor(THREADS) as threads:
        failures = sum(threads.map(one, range(THREADS)))
    engine.dispose()
    return failures


def test_eight_threads_that_read_then_update_lose_nothing(store: Store) -> None:
    store.save_upload(Upload("ann/vit", "a" * 40, datetime.now(UTC)))
    assert count_up(store, immediately=True) == 0
    assert store.uploads()[0].downloads == THREADS * ROUNDS
    assert count_up(store, immediately=False) > 0, "a plain BEGIN fails here, so this test can fail"


def test_one_store_serves_many_threads(store: Store) -> None:
    def one(i: int) -> None:
        store.save_upload(Upload(f"ann/{i}", "a" * 40, datetime.now(UTC)))
        store.ensure_tree("root/shared", [f"alias/{i}"])

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(one, range(100)))
    assert store.counts()["uploads"] == 100
    assert len(store.trees()[0].aliases) == 100


def test_two_processes_that_both_make_the_database_agree(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hubbot.db'}"
    code = f"from hubbot.store.store import Store; Store.open({url!r}).close()"
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(60) for process in both] == [0, 0, 0]


WRITER = """
import sys
from datetime import UTC, datetime
from hubbot.records import Prediction, Reading, Upload
from hubbot.store.store import Store
store = Store.open(sys.argv[1])
with store.lock("the writer"):
    for i in range(100_000):
        repo = f"ann/{i}"
        store.save_upload(Upload(repo, "a" * 40, datetime.now(UTC)))
        predictions = tuple(Prediction(f"label {n}", 0.5, True) for n in range(10))
        store.record(Reading(repo, "a" * 40, ("x",), "root/r", "e", "1", predictions, (0.5,) * 512))
        print(i, flush=True)
"""


def test_killed_in_the_middle_of_writing_it_keeps_whole_readings_and_frees_the_lock(
    url: str, tmp_path: Path
) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    with Store.open(url) as store:
        assert str(store.locked_by()).startswith(f"the writer (process {process.pid}, since 20")
        with pytest.raises(StoreLocked, match=f"process {process.pid}"), store.lock("another"):
            pass
        process.send_signal(signal.SIGKILL)
        said = 20 + len(process.stdout.read().splitlines())
        process.wait(10)
        process.stdout.close()
        kept = list(store.readings())
        assert len(kept) >= said
        assert all(len(r.predictions) == 10 and len(r.embedding or ()) == 512 for r in kept)
        assert store.locked_by() is None
        with store.lock("another"):
            assert "another" in str(store.locked_by())
        assert store.locked_by() is None
    with sqlite3.connect(tmp_path / "hubbot.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_asking_who_holds_the_lock_keeps_nobody_from_taking_it(store: Store) -> None:
    with store.lock("first"):
        pass
    with ThreadPoolExecutor(2) as threads:
        until = time.monotonic() + 0.3

        def ask() -> None:
            while time.monotonic() < until:
                store.locked_by()

        asking = threads.submit(ask)
        while time.monotonic() < until:
            with store.lock("again"):
                pass
        asking.result()


def test_a_lock_that_cannot_be_taken_says_why(store: Store) -> None:
    store.lock_path.mkdir()
    with pytest.raises(StoreError, match="the lock cannot be taken"), store.lock("me"):
        pass
