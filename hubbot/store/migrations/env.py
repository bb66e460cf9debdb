"""Run by Alembic, which `hubbot.store.schema` starts with a connection inside a write transaction."""

from __future__ import annotations

from alembic import context

from hubbot.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot ALTER much: tables are copied
)
context.run_migrations()
