"""What autoencoders say of a model's training."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "judgements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("contents", sa.String(), nullable=False),
        sa.Column("autoencoder", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("content_ids", sa.JSON(), nullable=False),
        sa.Column("estimates", sa.JSON(), nullable=False),
        sa.Column("abstention_code", sa.String(), nullable=True),
        sa.Column("abstention_text", sa.String(), nullable=True),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["repo"], ["uploads.repo"], name="fk_judgements_repo", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_judgements"),
        sa.UniqueConstraint(
            "repo", "contents", "autoencoder", "version",
            name="uq_judgements_repo_contents_autoencoder_version",
        ),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("judgements")
