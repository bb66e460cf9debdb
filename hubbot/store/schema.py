"""Brings a database to the tables of today: Alembic, run from here, over the files in `migrations/`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from hubbot.errors import StoreError
from hubbot.store.connection import for_writing, migrating_engine

MIGRATIONS = Path(__file__).parent / "migrations"

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""All that there ever were, oldest first. Known without Alembic, which is slow to import."""

NEWEST = REVISIONS[-1]


def version(connection: Connection) -> str | None:
    """The revision that a database is at; None for an empty one.

    Raises:
        StoreError: its tables are not hubbot's, or of a hubbot newer than this one.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise StoreError("this database is full of tables that are not hubbot's")
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found is not None and found not in REVISIONS:
        raise StoreError(
            f"the database is at schema {found}, newer than this hubbot, which knows {NEWEST}",
            hint="upgrade hubbot",
        )
    return found


def upgrade(path: Path, to: str = "head") -> None:
    """All missing migrations in one transaction: done, or not begun. Two at once wait for each other."""
    from alembic import command
    from alembic.config import Config

    engine = migrating_engine(path)
    try:
        with for_writing(engine).begin() as connection:
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
            command.upgrade(config, to)
            if broken := connection.execute(text("PRAGMA foreign_key_check")).all():
                raise StoreError(f"the migration would leave {len(broken)} rows without what they refer to")
    finally:
        engine.dispose()
