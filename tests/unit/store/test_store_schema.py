"""Opening, upgrading, refusing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from hubbot.errors import StoreError, StoreMissing
from hubbot.store import schema
from hubbot.store.connection import migrating_engine, writing_engine
from hubbot.store.store import Store
from hubbot.store.tables import Base


def test_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    engine = writing_engine(store.path)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        connection.rollback()
        connection.exec_driver_sql("DROP INDEX ix_readings_tree")
        assert compare_metadata(context, Base.metadata) != [], "this comparison can fail"
    engine.dispose()


def test_the_revisions_known_by_heart_are_those_in_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == schema.NEWEST
    assert [s.revision for s in scripts.walk_revisions()][::-1] == list(schema.REVISIONS)


def test_an_empty_database_is_upgraded_to_the_newest(url: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "hubbot.db").close()
    with Store.open(url) as store:
        assert store.schema_version() == schema.NEWEST
        store.upgrade()
        assert store.schema_version() == schema.NEWEST


@pytest.mark.parametrize("revision", schema.REVISIONS)
def test_a_database_of_every_older_schema_is_upgraded(url: str, tmp_path: Path, revision: str) -> None:
    schema.upgrade(tmp_path / "hubbot.db", revision)
    with Store.open(url) as store:
        assert store.schema_version() == schema.NEWEST
        assert store.counts()["uploads"] == 0


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "migrations"
    (broken / "versions").mkdir(parents=True)
    (broken / "env.py").write_text((schema.MIGRATIONS / "env.py").read_text())
    first = (schema.MIGRATIONS / "versions" / "0001_first.py").read_text()
    (broken / "versions" / "0001_first.py").write_text(first.replace('"suggestions"', '"readings"'))
    monkeypatch.setattr(schema, "MIGRATIONS", broken)
    with pytest.raises(StoreError, match="already exists"):
        Store.open(f"sqlite:///{tmp_path / 'x.db'}")
    with sqlite3.connect(tmp_path / "x.db") as connection:
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []
    connection.close()


def test_wal_foreign_keys_and_patience_are_on(store: Store) -> None:
    engine = writing_engine(store.path)
    with engine.connect() as connection:
        pragmas = {
            name: connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000, "synchronous": 2}


def test_the_parent_folder_is_made(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/a b/ü%20/c.db") as store:
        assert store.path.is_file()
    with Store.open(f"sqlite:///{tmp_path}/a b/ü%20/c.db", read_only=True) as store:
        assert store.counts()["uploads"] == 0


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("what is this", "no database address"),
        ("postgresql://host/db", "in SQLite"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_addresses_that_name_no_sqlite_file(bad: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence):
        Store.open(bad)


def test_a_database_of_a_newer_hubbot_is_refused_untouched(url: str, store: Store) -> None:
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="9999, newer than this hubbot") as caught:
            Store.open(url, read_only=read_only)
        assert caught.value.hint == "upgrade hubbot"
        assert caught.value.file == str(store.path)


def test_what_is_no_database_of_ours_is_refused_untouched(tmp_path: Path) -> None:
    noise, foreign = tmp_path / "noise.db", tmp_path / "foreign.db"
    noise.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match=r"noise\.db: this is no SQLite database"):
        Store.open(f"sqlite:///{noise}")
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match="not hubbot's"):
        Store.open(f"sqlite:///{foreign}")
    assert noise.read_bytes() == b"not a database at all" * 100


def test_a_damaged_database_is_said_to_be_damaged(url: str, tmp_path: Path) -> None:
    Store.open(url).close()
    path = tmp_path / "hubbot.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StoreError, match="damaged"), Store.open(url) as store:
        store.counts()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which not even root may write")
def test_a_folder_that_is_not_ours_to_write_in() -> None:
    with pytest.raises(StoreError, match=r"/proc/self/hubbot\.db: the database cannot be opened"):
        Store.open("sqlite:////proc/self/hubbot.db")


def test_a_snapshot_in_a_folder_that_nobody_may_write_in(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.ensure_tree("root/a")
    store.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    before = sorted(store.path.parent.iterdir())
    with Store.open(url, read_only=True) as snapshot:
        assert [t.root for t in snapshot.trees()] == ["root/a"]
        assert sorted(store.path.parent.iterdir()) == before


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/hubbot\.db: the database cannot be used"):
        Store.open(f"sqlite:///{tmp_path / 'file' / 'hubbot.db'}")


def test_read_only_reads_never_writes_and_makes_nothing(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="no database yet"):
        Store.open(url, read_only=True)
    assert list(tmp_path.iterdir()) == []
    with Store.open(url) as writer, Store.open(url, read_only=True) as reader:
        writer.ensure_tree("root/a")
        assert [t.root for t in reader.trees()] == ["root/a"]
        with pytest.raises(StoreError, match="read only"):
            reader.ensure_tree("root/b")
    with Store.open(url, read_only=True) as reader:
        assert [t.root for t in reader.trees()] == ["root/a"]


def test_read_only_asks_for_an_upgrade_and_does_none(url: str, tmp_path: Path) -> None:
    engine = migrating_engine(tmp_path / "hubbot.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
    engine.dispose()
    with pytest.raises(StoreError, match=f"{schema.NEWEST} is needed") as caught:
        Store.open(url, read_only=True)
    assert caught.value.hint == "`hubbot db upgrade`"
