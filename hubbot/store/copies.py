"""A copy of the database for readers elsewhere: what everybody may see, and what a search needs, alone.

It is built up table by table from `TRAVELS`, so that a table which nobody has thought of stays at home. All
of it is read in one transaction, while the bot goes on writing. The same records give the same bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from hubbot.errors import OutOfMemory, StoreError
from hubbot.store import schema
from hubbot.store.choice import FAILED
from hubbot.store.connection import BUSY_TIMEOUT_S
from hubbot.store.tables import Base

WITHDRAWN = ("gone", "renamed", "not-found")
"""Abstentions of repos that their owners took down."""
PUBLIC = ("open", "merged", "closed")
"""States of suggestions that their owners have seen, on the Hub."""
PASSING = "a passing fault kept it from being read"
"""Said in place of a fault of ours, whose own words may name this machine's folders."""


@dataclass(frozen=True, slots=True)
class Travels:
    """What of a table goes into the copy.

    Args:
        where: which rows, in SQL over `live`, the database, and `kept`, the models that travel.
        instead: what stands in a column in place of what is nobody else's business, in SQL.
    """

    where: str
    instead: Mapping[str, str] = field(default_factory=dict)


_OURS = ", ".join(f"'{code}'" for code in (*FAILED, OutOfMemory.code))
_WHY = {
    "abstention_text": f"CASE WHEN abstention_code IN ({_OURS}) THEN '{PASSING}' ELSE abstention_text END"
}
_OF_KEPT = "repo IN (SELECT repo FROM temp.kept)"
_OF_READINGS = "reading_id IN (SELECT id FROM main.readings)"

TRAVELS: Mapping[str, Travels] = {
    "trees": Travels(
        "root IN (SELECT tree FROM live.experts UNION SELECT tree FROM live.promotions"  # noqa: S608 - of our own constants
        f" UNION SELECT tree FROM live.placements WHERE {_OF_KEPT}"
        f" UNION SELECT tree FROM live.readings WHERE latest AND {_OF_KEPT})",
        {"fingerprint": "NULL"},
    ),
    "experts": Travels("1", {"info": "json_set(info, '$.folder', '')"}),
    "promotions": Travels("1"),
    "clock": Travels("1"),
    "uploads": Travels(
        _OF_KEPT,
        {
            "finished": '"commit"',
            "tries": "0",
            "due_at": "NULL",
            "checked_at": "modified_at",  # it is there; when the Hub was asked is nobody's business
        },
    ),
    "placements": Travels(_OF_KEPT),
    "readings": Travels(f"latest AND {_OF_KEPT}", _WHY),
    "judgements": Travels(f"holds AND {_OF_KEPT}", _WHY),
    "predictions": Travels(_OF_READINGS),
    "embeddings": Travels(_OF_READINGS),
    "suggestions": Travels(
        f"state IN {PUBLIC} AND {_OF_KEPT}",
        # Which is the latest is found out among those that travel. What a README was before is its owner's.
        {"latest": "0", "old_text": "NULL"},
    ),
}
"""In an order in which each refers only to those before it."""

AT_HOME = frozenset({"commands", "cursor", "sketches"})
"""The audit trail, how far listings were read, and what kin are known by."""


def copy(source: Path, target: Path) -> dict[str, int]:
    """Make the copy; how many rows each of its tables has.

    Args:
        target: a file that is not there yet.

    Raises:
        sqlite3.Error, OSError: as the store translates them.
    """
    rough = target.with_name(f"{target.name}-rough")
    rough.unlink(missing_ok=True)
    schema.upgrade(rough)
    with closing(sqlite3.connect(rough, timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=True)) as db:
        db.execute("PRAGMA journal_mode=DELETE")  # a reader needs to write nothing beside it
        db.execute("PRAGMA synchronous=OFF")  # nobody believes it before it has been hashed
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("ATTACH ? AS live", (f"file:{quote(str(source))}?mode=ro",))
        db.execute("BEGIN")
        _choose(db)
        for table in TRAVELS:
            _fill(db, table)
        _scrub(db)
        counts = {table: _count(db, table) for table in TRAVELS}
        if broken := db.execute("PRAGMA main.foreign_key_check").fetchall():
            raise StoreError(f"{len(broken)} rows of the copy refer to what did not travel: {broken[0]}")
        db.execute("COMMIT")
        db.execute("DETACH live")
        # Into a new file and not in place, for which SQLite would take as much room again where temporary
        # files go; what was scrubbed is in no page of it.
        db.execute("VACUUM INTO ?", (str(target),))
    rough.unlink()
    return counts


def check(path: Path) -> None:
    """Look over a copy that came from elsewhere, before anybody asks it.

    Raises:
        StoreError: it is damaged, or more than the tables and indexes that are ours.
    """
    with _untrusted(path) as db:
        found = {(kind, name) for kind, name in db.execute("SELECT type, name FROM sqlite_master")}
        ours = {("table", "alembic_version")}
        for table in Base.metadata.tables.values():
            ours.add(("table", table.name))
            ours |= {("index", str(index.name)) for index in table.indexes}
        strange = {entry for entry in found - ours if not entry[1].startswith("sqlite_autoindex_")}
        strange |= {entry for entry in found if entry[0] not in ("table", "index")}
        if strange or ours - found:
            kind, name = min(strange or ours - found)
            raise StoreError(
                f"{'a strange' if strange else 'without the'} {kind} {name[:60]!r}", file=str(path)
            )
        virtual = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND rootpage = 0"
        if db.execute(virtual).fetchone()[0]:
            raise StoreError("a virtual table in it", file=str(path))
        said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise StoreError(f"it is damaged: {str(said)[:100]}", file=str(path))


@contextmanager
def _untrusted(path: Path) -> Iterator[sqlite3.Connection]:
    """As SQLite advises for files from elsewhere; its own words are translated."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as db:
            for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "query_only=ON"):
                db.execute(f"PRAGMA {pragma}")
            yield db
    except sqlite3.Error as error:
        raise StoreError(f"it is no database that can be read: {error}", file=str(path)) from error


def _choose(db: sqlite3.Connection) -> None:
    """Which models travel, and which repos are not to be spoken of."""
    codes = ", ".join(f"'{code}'" for code in WITHDRAWN)
    latest = "FROM live.uploads u JOIN live.readings r ON r.repo = u.repo AND r.latest"
    withdrawn = f"coalesce(r.abstention_code, '') IN ({codes})"
    db.execute(
        f"CREATE TEMP TABLE kept AS SELECT u.repo AS repo {latest}"
        f" WHERE NOT (u.private OR u.gated OR u.disabled OR {withdrawn})"
    )
    db.execute(
        f"CREATE TEMP TABLE hidden AS SELECT u.repo AS repo {latest}"  # noqa: S608 - the same
        f" WHERE u.private OR u.disabled OR {withdrawn}"
        " UNION SELECT repo FROM live.uploads WHERE private OR disabled"
    )
    for name in ("kept", "hidden"):
        db.execute(f"CREATE UNIQUE INDEX temp.ix_{name} ON {name} (repo)")


def _fill(db: sqlite3.Connection, table: str) -> None:
    columns = [column.name for column in Base.metadata.tables[table].columns]
    keys = ", ".join(f'"{column.name}"' for column in Base.metadata.tables[table].primary_key)
    travels, names = TRAVELS[table], ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(travels.instead.get(name, f'"{name}"') for name in columns)
    db.execute(
        f"INSERT INTO main.{table} ({names}) SELECT {values} FROM live.{table}"  # noqa: S608 - of our own constants
        f" WHERE {travels.where} ORDER BY {keys}"
    )


def _scrub(db: sqlite3.Connection) -> None:
    """Take out who is not to be spoken of, unless a model's own card speaks of it; find the latest."""
    unspoken = (
        "NOT coalesce(json_extract(value, '$.claimed'), 0)"
        " AND json_extract(value, '$.parent') IN (SELECT repo FROM temp.hidden)"
    )
    db.execute(
        "UPDATE main.placements SET evidence = (SELECT json_group_array(json(value)) FROM"  # noqa: S608 - the same
        f" json_each(evidence) WHERE NOT coalesce({unspoken}, 0))"
        f" WHERE EXISTS (SELECT 1 FROM json_each(evidence) WHERE {unspoken})"
    )
    db.execute(
        "UPDATE main.placements SET parent = NULL WHERE parent IN (SELECT repo FROM temp.hidden)"
        " AND parent NOT IN (SELECT coalesce(json_extract(value, '$.parent'), '') FROM json_each(evidence))"
    )
    db.execute(
        "UPDATE main.placements SET others = (SELECT json_group_array(value) FROM json_each(others)"
        " WHERE value NOT IN (SELECT repo FROM temp.hidden))"
        " WHERE EXISTS (SELECT 1 FROM json_each(others) WHERE value IN (SELECT repo FROM temp.hidden))"
    )
    db.execute(
        "UPDATE main.suggestions SET latest = 1"
        " WHERE id IN (SELECT max(id) FROM main.suggestions GROUP BY repo)"
    )


def _count(db: sqlite3.Connection, table: str) -> int:
    found: int = db.execute(f"SELECT count(*) FROM main.{table}").fetchone()[0]  # noqa: S608 - the same
    return found
