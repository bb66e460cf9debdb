"""Times as the Hub writes them."""

from __future__ import annotations

from datetime import UTC, datetime

EPOCH = datetime(2022, 3, 2, 23, 29, 4, tzinfo=UTC)
"""The Hub began to keep creation dates here; every older repo carries this one."""


def now() -> datetime:
    return datetime.now(UTC)


def to_wire(when: datetime) -> str:
    """UTC with milliseconds, e.g. `2026-11-20T21:10:00.000Z`; a naive time is taken for UTC."""
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_wire(text: str) -> datetime:
    return datetime.fromisoformat(text)
