"""How often an upload was tried in vain, and when it is tried again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("uploads", sa.Column("due_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("uploads", "due_at")
    op.drop_column("uploads", "tries")
