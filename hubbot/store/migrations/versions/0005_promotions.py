"""Which expert an admin chose for a tree, and which ones before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "promotions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tree", sa.String(), nullable=False),
        sa.Column("expert", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("promoted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tree"], ["trees.root"], name="fk_promotions_tree"),
        sa.PrimaryKeyConstraint("id", name="pk_promotions"),
    )
    op.create_index("ix_promotions_tree", "promotions", ["tree"], unique=False)


def downgrade() -> None:
    op.drop_table("promotions")
