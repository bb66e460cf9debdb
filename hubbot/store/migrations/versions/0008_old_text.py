"""The README that a suggestion edits: who reviews it sees the difference without asking the Hub."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("suggestions", sa.Column("old_text", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("suggestions", "old_text")
