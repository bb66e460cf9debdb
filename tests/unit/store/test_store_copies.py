"""What strangers get of the database: enough to search, and nothing that is not theirs to see."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubbot.errors import StoreError
from hubbot.records import (
    Abstention,
    Evidence,
    ExpertInfo,
    How,
    Label,
    Placement,
    Prediction,
    Reading,
    Source,
    Suggestion,
    SuggestionState,
    Upload,
    Wanted,
)
from hubbot.store import copies
from hubbot.store.store import Store
from hubbot.store.tables import Base

ROOT, COMMIT, WHEN = "lab/root", "c" * 40, datetime(2026, 11, 20, tzinfo=UTC)
INFO = ExpertInfo(
    "digits",
    "v1",
    "/home/alice/experts/digits",
    (ROOT,),
    (Wanted("w"),),
    (Label("one", "a one", "digit-one"),),
    "sentence:all-MiniLM-L6-v2",
    "a zoo",
)


def read(
    store: Store, repo: str, *, parent: str | None = ROOT, claimed: bool = False, **said: object
) -> None:
    """A repo that was led down the path; what of its upload is said."""
    upload = Upload(repo, COMMIT, WHEN, **said)
    evidence = (Evidence(Source.KIN, f"its weights follow {parent}", parent, 0.9, claimed=claimed),)
    reading = Reading(
        repo, COMMIT, (repo,), ROOT, INFO.name, INFO.version, (Prediction("one", 0.9, True),), (0.5, 0.5)
    )
    placement = Placement(repo, COMMIT, ROOT, parent, How.RECOVERED, evidence)
    store.save_upload(upload)
    store.conclude(upload, [placement], reading)


def abstained(store: Store, repo: str, code: str, text: str) -> None:
    store.save_upload(Upload(repo, COMMIT, WHEN))
    store.record(Reading(repo, COMMIT, (repo,), None, abstention=Abstention(code, text)))


def suggested(store: Store, repo: str, *states: str, text: str = "what nobody has seen") -> None:
    base = Suggestion(repo, COMMIT, SuggestionState.DRAFT, "A title", "A body", ("tags:",), text)
    for state in states:
        store.save_suggestion(replace(base, state=SuggestionState(state)), asked=True)


def copied(store: Store, folder: Path) -> Store:
    store.copy_for_readers(folder / "copy.db")
    return Store.open(f"sqlite:///{folder / 'copy.db'}", frozen=True)


@pytest.fixture
def full(store: Store) -> Store:
    """A store with a little of everything."""
    store.save_expert(INFO)
    read(store, "ann/open")
    for flag in ("private", "gated", "disabled"):
        read(store, f"ann/{flag}", **{flag: True})
    for code in copies.WITHDRAWN:
        abstained(store, f"ann/{code}", code, "it went")
    abstained(store, "ann/faulty", "out-of-memory", "/home/alice/hubbot.db does not fit")
    abstained(store, "ann/pickles", "not-readable-safely", "only pickles")
    store.save_upload(Upload("ann/noticed", COMMIT, WHEN))
    store.enqueue("tree rerun", {"root": ROOT}, "alice (uid 1000)")
    store.set_watermark("https://hub.example", WHEN)
    return store


def test_what_everybody_may_see_reads_as_before(full: Store, tmp_path: Path) -> None:
    with copied(full, tmp_path) as copy:
        assert {upload.repo for upload in copy.uploads()} == {"ann/open", "ann/faulty", "ann/pickles"}
        assert copy.upload("ann/open") == full.upload("ann/open")
        assert copy.placement("ann/open") == full.placement("ann/open")
        assert copy.reading("ann/open") == full.reading("ann/open")
        assert copy.trees()[0].root == ROOT
        assert copy.backlog() == 0, "a reader has no work to do"


def test_nothing_else_is_in_the_file(full: Store, tmp_path: Path) -> None:
    suggested(full, "ann/open", "draft")
    copied(full, tmp_path).close()
    raw = (tmp_path / "copy.db").read_bytes()
    for secret in (b"alice", b"ann/private", b"ann/gated", b"ann/disabled", b"ann/gone", b"ann/renamed"):
        assert secret not in raw, secret
    for secret in (b"ann/noticed", b"rerun", b"hub.example", b"nobody has seen", b"A title"):
        assert secret not in raw, secret


def test_a_suggestion_travels_once_its_owner_has_seen_it(full: Store, tmp_path: Path) -> None:
    for repo in ("bo/merged", "bo/refused", "bo/approved", "bo/again"):
        read(full, repo)
    suggested(full, "bo/merged", "draft", "approved", "opening", "open", "merged", text="shown")
    suggested(full, "bo/refused", "refused")
    suggested(full, "bo/approved", "draft", "approved", "opening")
    suggested(full, "bo/again", "draft", "approved", "opening", "open", "merged", text="shown")
    suggested(full, "bo/again", "draft")
    with copied(full, tmp_path) as copy:
        told = {s.repo: s.state for s in copy.suggestions()}
        assert told == {"bo/merged": SuggestionState.MERGED, "bo/again": SuggestionState.MERGED}
    assert b"nobody has seen" not in (tmp_path / "copy.db").read_bytes()


def test_who_went_is_spoken_of_only_where_a_card_does(full: Store, tmp_path: Path) -> None:
    read(full, "bo/child", parent="ann/private")
    read(full, "bo/says-so", parent="ann/gone", claimed=True)
    with copied(full, tmp_path) as copy:
        child, said = copy.placement("bo/child"), copy.placement("bo/says-so")
        assert (child.tree, child.parent, child.evidence) == (ROOT, None, ())
        assert said == full.placement("bo/says-so")


def test_a_fault_of_ours_keeps_its_word_and_loses_its_sentence(full: Store, tmp_path: Path) -> None:
    with copied(full, tmp_path) as copy:
        assert copy.reading("ann/faulty").abstention == Abstention("out-of-memory", copies.PASSING)
        assert copy.reading("ann/pickles").abstention.text == "only pickles"
        assert copy.experts()[0] == replace(INFO, folder="")


def test_the_same_records_give_the_same_bytes(full: Store, tmp_path: Path) -> None:
    hashes = set()
    for number in range(2):
        full.copy_for_readers(tmp_path / f"{number}.db")
        full.enqueue("noise", {}, "bo")
        hashes.add(hashlib.sha256((tmp_path / f"{number}.db").read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_every_table_and_column_has_been_thought_of() -> None:
    """A new column travels to strangers: look at it, and then write it down here."""
    assert copies.TRAVELS.keys() | copies.AT_HOME == Base.metadata.tables.keys()
    columns = {f"{table}.{c.name}" for table in copies.TRAVELS for c in Base.metadata.tables[table].columns}
    known = (Path(__file__).with_name("columns_that_travel.txt")).read_text().split()
    assert sorted(columns) == known


def test_a_copy_is_of_one_moment_while_the_bot_writes(full: Store, tmp_path: Path) -> None:
    stopping = threading.Event()

    def write() -> None:
        number = 0
        while not stopping.is_set():
            read(full, f"cy/{number}")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            path = tmp_path / f"{number}.db"
            full.copy_for_readers(path)
            with closing(sqlite3.connect(path)) as db:
                assert db.execute("PRAGMA foreign_key_check").fetchall() == []
                assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
                counts = db.execute(
                    "SELECT (SELECT count(*) FROM placements), (SELECT count(*) FROM embeddings),"
                    " (SELECT count(*) FROM readings) - 2"  # the abstentions have no placement here
                ).fetchone()
                assert len(set(counts)) == 1
    finally:
        stopping.set()
        writer.join()
    assert full.upload("cy/0") is not None


def test_a_copy_opens_where_nothing_can_be_written(full: Store, tmp_path: Path) -> None:
    copied(full, tmp_path).close()
    (tmp_path / "copy.db").chmod(0o444)
    before = sorted(tmp_path.iterdir())
    with Store.open(f"sqlite:///{tmp_path / 'copy.db'}", frozen=True) as copy:
        assert copy.upload("ann/open") is not None
        assert sorted(tmp_path.iterdir()) == before
        with pytest.raises(StoreError, match="read only"):
            copy.ensure_tree("x/y")


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("CREATE VIEW v AS SELECT 1", "a strange view 'v'"),
        ("CREATE TRIGGER t AFTER INSERT ON trees BEGIN SELECT 1; END", "a strange trigger 't'"),
        ("CREATE TABLE more (x)", "a strange table 'more'"),
        ("DROP TABLE embeddings", "without the table 'embeddings'"),
        ("DROP TABLE sketches; CREATE VIRTUAL TABLE sketches USING fts5(x)", "a strange table 'sketches_"),
    ],
)
def test_a_copy_from_elsewhere_is_looked_over(full: Store, tmp_path: Path, tampering: str, said: str) -> None:
    copied(full, tmp_path).close()
    copies.check(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as db:
        db.executescript(tampering)
    with pytest.raises(StoreError, match=said):
        copies.check(tmp_path / "copy.db")


def test_a_damaged_copy_is_refused(full: Store, tmp_path: Path) -> None:
    copied(full, tmp_path).close()
    whole = (tmp_path / "copy.db").read_bytes()
    for name, raw in {
        "short": whole[: len(whole) // 2],
        "torn": whole[:8192] + b"\xff" * 4096 + whole[12288:],
        "text": json.dumps({"no": "database"}).encode() * 100,
        "empty": b"",
    }.items():
        path = tmp_path / f"{name}.db"
        path.write_bytes(raw)
        with pytest.raises(StoreError):
            copies.check(path)
