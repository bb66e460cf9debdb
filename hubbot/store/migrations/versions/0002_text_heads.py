"""What meets a text in an expert's own space, so that the database alone answers a search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("experts", sa.Column("text_head", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("experts", "text_head")
