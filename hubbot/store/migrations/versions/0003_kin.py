"""What is kept of every model's weights, the further parents of a merge, and what a root is known by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("placements", sa.Column("others", sa.JSON(), nullable=False, server_default="[]"))
    op.create_index("ix_placements_parent", "placements", ["parent"], unique=False)
    op.add_column("trees", sa.Column("fingerprint", sa.LargeBinary(), nullable=True))
    op.create_table(
        "sketches",
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("tree", sa.String(), nullable=True),
        sa.Column("form", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("merged", sa.Boolean(), nullable=False),
        sa.Column("quantised", sa.Boolean(), nullable=False),
        sa.Column("kurtosis", sa.Double(), nullable=False),
        sa.Column("coarse", sa.LargeBinary(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["repo"], ["uploads.repo"], name="fk_sketches_repo", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("repo", name="pk_sketches"),
    )
    op.create_index("ix_sketches_tree_form", "sketches", ["tree", "form"], unique=False)
    op.create_index("ix_sketches_family", "sketches", ["family"], unique=False)


def downgrade() -> None:
    op.drop_table("sketches")
    op.drop_column("trees", "fingerprint")
    op.drop_index("ix_placements_parent", "placements")
    op.drop_column("placements", "others")
