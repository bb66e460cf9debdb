"""The tables, typed. `migrations/versions/` makes them; a test compares the two.

SQL stays portable (Postgres may come): JSON for what is only kept and given back, columns for what is
asked for. Times go in as UTC and come out aware. Text from the Hub is cleaned on its way in, since lone
surrogates and NULs, which JSON can carry, are no text for a database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

BigInt = BigInteger()


class Utc(TypeDecorator[datetime]):
    """A moment: stored as UTC, returned aware. A naive one is refused, since nobody knows when it was."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as SQLAlchemy calls it
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as SQLAlchemy calls it
        if value is None:
            return None
        aware: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware


class Clean(TypeDecorator[str]):
    """Text without what no database can keep."""

    impl = String()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - as SQLAlchemy calls it
        return value and value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


class Base(DeclarativeBase):
    """Names every constraint, so that a later migration can speak of it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Clean(),
        datetime: Utc(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
    }


class UploadRow(Base):
    """The newest listing of a repo, with all that is needed to lead it down the path again."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index(
            "ix_uploads_waiting",
            "modified_at",
            "repo",
            sqlite_where=text('finished IS NOT "commit"'),
            postgresql_where=text("finished IS DISTINCT FROM commit"),
        ),
    )

    repo: Mapped[str] = mapped_column(primary_key=True)
    commit: Mapped[str]
    modified_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[datetime | None]
    tags: Mapped[list[Any]]
    pipeline_tag: Mapped[str | None]
    library: Mapped[str | None]
    downloads: Mapped[int] = mapped_column(BigInt)
    gated: Mapped[bool]
    private: Mapped[bool]
    disabled: Mapped[bool]
    files: Mapped[list[Any]]
    card: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    finished: Mapped[str | None]
    """The commit that was led to the end of the path."""
    tries: Mapped[int] = mapped_column(server_default="0")
    """How often this commit was left to a later poll by a passing fault."""
    due_at: Mapped[datetime | None]
    """When it is tried again; at the next occasion where that is not said."""
    checked_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the Hub was last asked whether it is still there; unset until it was read."""
    changed: Mapped[int] = mapped_column(BigInt, server_default="0", index=True)
    """The time of `ClockRow` at which a search would last have found it to be another."""


class TreeRow(Base):
    """A model tree, named by its root; `aliases` are roots that count as the same.

    `fingerprint` holds rows of the root, as `store.kin` packs them, where an admin had it added.
    """

    __tablename__ = "trees"

    root: Mapped[str] = mapped_column(primary_key=True)
    aliases: Mapped[list[Any]]
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)


class PlacementRow(Base):
    """Where an upload stands, and on what evidence."""

    __tablename__ = "placements"

    repo: Mapped[str] = mapped_column(ForeignKey("uploads.repo", ondelete="CASCADE"), primary_key=True)
    commit: Mapped[str]
    tree: Mapped[str | None] = mapped_column(ForeignKey("trees.root"), index=True)
    parent: Mapped[str | None] = mapped_column(index=True)
    how: Mapped[str]
    evidence: Mapped[list[Any]]
    relation: Mapped[str | None]
    others: Mapped[list[Any]] = mapped_column(server_default="[]")
    bytes_read: Mapped[int] = mapped_column(BigInt)


class SketchRow(Base):
    """What is kept of a model's weights, to know its kin by; vectors are little-endian float32.

    `family` is the repo that unplaced models which resemble one another go by.
    """

    __tablename__ = "sketches"
    __table_args__ = (Index("ix_sketches_tree_form", "tree", "form"),)

    repo: Mapped[str] = mapped_column(ForeignKey("uploads.repo", ondelete="CASCADE"), primary_key=True)
    tree: Mapped[str | None]
    form: Mapped[str]
    family: Mapped[str | None] = mapped_column(index=True)
    created_at: Mapped[datetime | None]
    merged: Mapped[bool]
    quantised: Mapped[bool]
    kurtosis: Mapped[float]
    coarse: Mapped[bytes] = mapped_column(LargeBinary)
    weights: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)


class ExpertRow(Base):
    """One version of an expert; `info` is all of its ExpertInfo, `text_head` as `store.heads` packs it."""

    __tablename__ = "experts"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    tree: Mapped[str] = mapped_column(ForeignKey("trees.root"), index=True)
    info: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]
    text_head: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)


class PromotionRow(Base):
    """A version of an expert that an admin chose for a tree; the newest of a tree's holds."""

    __tablename__ = "promotions"

    id: Mapped[int] = mapped_column(primary_key=True)
    tree: Mapped[str] = mapped_column(ForeignKey("trees.root"), index=True)
    expert: Mapped[str]
    version: Mapped[str]
    promoted_at: Mapped[datetime]


class ReadingRow(Base):
    """What an expert said of some weights. `contents` is the hash of `content_ids`, sorted."""

    __tablename__ = "readings"
    __table_args__ = (
        UniqueConstraint("repo", "contents", "expert", "version"),
        Index(
            "ix_readings_latest",
            "repo",
            unique=True,
            sqlite_where=text("latest"),
            postgresql_where=text("latest"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    repo: Mapped[str] = mapped_column(ForeignKey("uploads.repo", ondelete="CASCADE"))
    contents: Mapped[str]
    expert: Mapped[str]
    version: Mapped[str]
    latest: Mapped[bool]
    commit: Mapped[str]
    content_ids: Mapped[list[Any]]
    tree: Mapped[str | None] = mapped_column(ForeignKey("trees.root"), index=True)
    abstention_code: Mapped[str | None]
    abstention_text: Mapped[str | None]
    tensors_read: Mapped[list[Any]]
    bytes_read: Mapped[int] = mapped_column(BigInt)
    bytes_stored: Mapped[int] = mapped_column(BigInt)
    stored_tensors: Mapped[int] = mapped_column(BigInt)
    read_at: Mapped[datetime]

    predictions: Mapped[list[PredictionRow]] = relationship(
        lazy="selectin", order_by="PredictionRow.position", cascade="all, delete-orphan"
    )
    embedding: Mapped[EmbeddingRow | None] = relationship(lazy="selectin", cascade="all, delete-orphan")


class PredictionRow(Base):
    """One label of a reading, in the order of the expert's head."""

    __tablename__ = "predictions"

    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(index=True)
    probability: Mapped[float]
    recognised: Mapped[bool]


class EmbeddingRow(Base):
    """The embedding of a reading: `dimension` little-endian float32, one after the other."""

    __tablename__ = "embeddings"

    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id", ondelete="CASCADE"), primary_key=True)
    dimension: Mapped[int]
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class JudgementRow(Base):
    """What an autoencoder said of some weights. `contents` is the hash of `content_ids`, sorted."""

    __tablename__ = "judgements"
    __table_args__ = (UniqueConstraint("repo", "contents", "autoencoder", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    repo: Mapped[str] = mapped_column(ForeignKey("uploads.repo", ondelete="CASCADE"))
    contents: Mapped[str]
    autoencoder: Mapped[str]
    version: Mapped[str]
    holds: Mapped[bool]
    """Whether it is of the weights that the repo has now, by an autoencoder that is asked now."""
    commit: Mapped[str]
    content_ids: Mapped[list[Any]]
    estimates: Mapped[list[Any]]
    abstention_code: Mapped[str | None]
    abstention_text: Mapped[str | None]
    bytes_read: Mapped[int] = mapped_column(BigInt)
    judged_at: Mapped[datetime]


class SuggestionRow(Base):
    """A README edit and what became of it. A repo has one `latest`; older ones are its history."""

    __tablename__ = "suggestions"
    __table_args__ = (
        Index(
            "ix_suggestions_latest",
            "repo",
            unique=True,
            sqlite_where=text("latest"),
            postgresql_where=text("latest"),
        ),
        Index("ix_suggestions_state", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    repo: Mapped[str] = mapped_column(ForeignKey("uploads.repo"), index=True)
    owner: Mapped[str] = mapped_column(index=True)
    """In lower case, for the caps."""
    latest: Mapped[bool]
    state: Mapped[str]
    base_commit: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    added: Mapped[list[Any]]
    new_text: Mapped[str]
    old_text: Mapped[str | None]
    reason: Mapped[str]
    pull_request: Mapped[str | None]
    content_ids: Mapped[list[Any]]
    version: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
    """When the Hub was last asked to open it; unset again if it did not come to that."""


class CommandRow(Base):
    """What somebody asked the bot to do: the queue while it waits, the audit trail afterwards."""

    __tablename__ = "commands"

    id: Mapped[int] = mapped_column(primary_key=True)
    verb: Mapped[str]
    args: Mapped[dict[str, Any]]
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    tries: Mapped[int]
    progress: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """How far it has come: what a bot that was stopped in the middle goes on from."""
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[str]


class ClockRow(Base):
    """One row: what this database goes by, and how often it has changed; see `store.changes`."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(primary_key=True)
    identity: Mapped[str]
    at: Mapped[int] = mapped_column(BigInt)


class CursorRow(Base):
    """How far a Hub's listing has been read."""

    __tablename__ = "cursor"

    endpoint: Mapped[str] = mapped_column(primary_key=True)
    watermark: Mapped[datetime]
