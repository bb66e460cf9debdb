"""What waits, found by an index; when a repo was last looked at; how far an order has come; whose words a
suggestion is made from.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True))
    op.execute('UPDATE uploads SET checked_at = modified_at WHERE finished = "commit"')
    op.create_index("ix_uploads_checked_at", "uploads", ["checked_at"], unique=False)
    waits = sa.text('finished IS NOT "commit"')
    op.create_index(
        "ix_uploads_waiting", "uploads", ["modified_at", "repo"], unique=False, sqlite_where=waits
    )
    op.add_column("suggestions", sa.Column("version", sa.String(), nullable=False, server_default=""))
    op.add_column("commands", sa.Column("progress", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("commands", "progress")
    op.drop_column("suggestions", "version")
    op.drop_index("ix_uploads_waiting", "uploads")
    op.drop_index("ix_uploads_checked_at", "uploads")
    op.drop_column("uploads", "checked_at")
