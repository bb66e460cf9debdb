"""Engines for SQLite as the bot needs it: WAL, our own BEGINs, foreign keys, patience.

Python's sqlite3 begins transactions at moments of its own choosing, so it is told to begin none
(`isolation_level = None`) and the engine says BEGIN itself, as SQLAlchemy's documentation of the
SQLite dialect advises. A transaction that will write says BEGIN IMMEDIATE: with a plain BEGIN, two
that read and then update cannot both go on, and one fails with "database is locked" however long it
would have waited. `synchronous` stays FULL: that a pull request is being opened must survive a power cut.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from hubbot.errors import StoreError

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another."""

WRITES = "hubbot_writes"


def database_path(url: str) -> Path:
    """The file behind a database address.

    Raises:
        StoreError: it is no address, or not one of a SQLite file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            f"{url!r} is no database address", hint="such as sqlite:////path/hubbot.db"
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(f"hubbot keeps its records in SQLite, not in {parsed.get_backend_name()!r}, so far")
    if parsed.database in (None, "", ":memory:") or str(parsed.database).startswith("file:"):
        raise StoreError(f"{url!r} names no file", hint="such as sqlite:////path/hubbot.db")
    return Path(str(parsed.database)).expanduser().absolute()


def writing_engine(path: Path) -> Engine:
    return _engine(
        URL.create("sqlite", database=str(path)), "PRAGMA journal_mode=WAL", "PRAGMA foreign_keys=ON"
    )


def migrating_engine(path: Path) -> Engine:
    """Without foreign keys: copying a table drops the old one, and a cascade would take the rest along."""
    return _engine(URL.create("sqlite", database=str(path)), "PRAGMA journal_mode=WAL")


def reading_engine(path: Path, *, frozen: bool = False) -> Engine:
    """Args: `frozen`, nobody writes to it, and what it says of its own tables is not trusted."""
    query = {"mode": "ro", "uri": "true"}
    if frozen or (not os.access(path.parent, os.W_OK) and not _wal(path).exists()):
        query["immutable"] = "1"  # SQLite could not make its shared memory file where we may not write
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)
    return _engine(url, *(["PRAGMA trusted_schema=OFF"] if frozen else []))


def for_writing(connectable: Engine) -> Engine:
    """The same engine and pool, beginning its transactions as a writer does."""
    return connectable.execution_options(**{WRITES: True})


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _engine(url: URL, *pragmas: str) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, json_serializer=_to_json
    )

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _to_json(value: Any) -> str:
    """JSON that every database accepts: what is no number, or no kind of JSON's, becomes null or text."""
    try:
        return json.dumps(value, allow_nan=False, default=_plain)
    except ValueError:
        lenient = json.dumps(value, default=_plain)
        return json.dumps(json.loads(lenient, parse_constant=lambda _: None))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
