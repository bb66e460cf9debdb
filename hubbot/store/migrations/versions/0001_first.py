"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    queue()
    what_was_found()
    what_was_said()
    what_was_suggested()


def downgrade() -> None:
    op.drop_table("predictions")
    op.drop_table("embeddings")
    op.drop_table("suggestions")
    op.drop_table("readings")
    op.drop_table("placements")
    op.drop_table("experts")
    op.drop_table("uploads")
    op.drop_table("trees")
    op.drop_table("cursor")
    op.drop_table("commands")


def queue() -> None:
    op.create_table(
        "commands",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_commands"),
    )
    op.create_index("ix_commands_finished_at", "commands", ["finished_at"], unique=False)
    op.create_table(
        "cursor",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("watermark", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", name="pk_cursor"),
    )


def what_was_found() -> None:
    op.create_table(
        "trees",
        sa.Column("root", sa.String(), nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("root", name="pk_trees"),
    )
    op.create_table(
        "uploads",
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("pipeline_tag", sa.String(), nullable=True),
        sa.Column("library", sa.String(), nullable=True),
        sa.Column("downloads", sa.BigInteger(), nullable=False),
        sa.Column("gated", sa.Boolean(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("card", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("finished", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("repo", name="pk_uploads"),
    )
    op.create_index("ix_uploads_modified_at", "uploads", ["modified_at"], unique=False)
    op.create_table(
        "experts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("tree", sa.String(), nullable=False),
        sa.Column("info", sa.JSON(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tree"], ["trees.root"], name="fk_experts_tree"),
        sa.PrimaryKeyConstraint("name", "version", name="pk_experts"),
    )
    op.create_index("ix_experts_tree", "experts", ["tree"], unique=False)
    op.create_table(
        "placements",
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("tree", sa.String(), nullable=True),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("how", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("relation", sa.String(), nullable=True),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["repo"], ["uploads.repo"], name="fk_placements_repo", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tree"], ["trees.root"], name="fk_placements_tree"),
        sa.PrimaryKeyConstraint("repo", name="pk_placements"),
    )
    op.create_index("ix_placements_tree", "placements", ["tree"], unique=False)


def what_was_said() -> None:
    op.create_table(
        "readings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("contents", sa.String(), nullable=False),
        sa.Column("expert", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("latest", sa.Boolean(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("content_ids", sa.JSON(), nullable=False),
        sa.Column("tree", sa.String(), nullable=True),
        sa.Column("abstention_code", sa.String(), nullable=True),
        sa.Column("abstention_text", sa.String(), nullable=True),
        sa.Column("tensors_read", sa.JSON(), nullable=False),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column("bytes_stored", sa.BigInteger(), nullable=False),
        sa.Column("stored_tensors", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["repo"], ["uploads.repo"], name="fk_readings_repo", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tree"], ["trees.root"], name="fk_readings_tree"),
        sa.PrimaryKeyConstraint("id", name="pk_readings"),
        sa.UniqueConstraint(
            "repo", "contents", "expert", "version", name="uq_readings_repo_contents_expert_version"
        ),
    )
    op.create_index(
        "ix_readings_latest",
        "readings",
        ["repo"],
        unique=True,
        sqlite_where=sa.text("latest"),
        postgresql_where=sa.text("latest"),
    )
    op.create_index("ix_readings_tree", "readings", ["tree"], unique=False)
    op.create_table(
        "embeddings",
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["readings.id"], name="fk_embeddings_reading_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("reading_id", name="pk_embeddings"),
    )
    op.create_table(
        "predictions",
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("recognised", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["readings.id"], name="fk_predictions_reading_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("reading_id", "position", name="pk_predictions"),
    )
    op.create_index("ix_predictions_label", "predictions", ["label"], unique=False)


def what_was_suggested() -> None:
    op.create_table(
        "suggestions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("latest", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("base_commit", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("added", sa.JSON(), nullable=False),
        sa.Column("new_text", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("pull_request", sa.String(), nullable=True),
        sa.Column("content_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["repo"], ["uploads.repo"], name="fk_suggestions_repo"),
        sa.PrimaryKeyConstraint("id", name="pk_suggestions"),
    )
    op.create_index(
        "ix_suggestions_latest",
        "suggestions",
        ["repo"],
        unique=True,
        sqlite_where=sa.text("latest"),
        postgresql_where=sa.text("latest"),
    )
    op.create_index("ix_suggestions_owner", "suggestions", ["owner"], unique=False)
    op.create_index("ix_suggestions_repo", "suggestions", ["repo"], unique=False)
    op.create_index("ix_suggestions_state", "suggestions", ["state"], unique=False)
