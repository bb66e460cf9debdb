"""A clock that ticks with every change, and when each repo changed last: what an index must look at again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock")),
    )
    op.add_column("uploads", sa.Column("changed", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_uploads_changed", "uploads", ["changed"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_uploads_changed", "uploads")
    op.drop_column("uploads", "changed")
    op.drop_table("clock")
