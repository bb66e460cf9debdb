"""What was typed, taken apart: words, and what the models must be like besides.

a dog -cat                     words; a word after a minus, or several in quotes, are what it is not to be
like:owner/model               as this model is
tree: author: license: task:   what is known of a model beside its weights
tag:                           a concept that was recognised in it
since: until:                  when it was changed last, as 2026, 2026-03 or 2026-03-31
least:                         the least chance, as 0.8 or 80%
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hubbot.errors import UsageError

MAX_QUERY_CHARS = 300
MOST_PARTS = 8
"""So many things that it is not to be, or models that it is to be like, are heard."""

LANGUAGE = (
    'Also: -word or -"some words" to leave out, like:owner/model, and tree: author: license: task: tag: '
    "since: until: least: as in least:80% since:2026"
)
"""The whole language in a line."""

PIECE = re.compile(r'(?P<minus>-)?(?:(?P<key>[a-z]+):)?(?:"(?P<quoted>[^"]*)"|(?P<word>\S+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a model must be like besides; whatever is None does not matter.

    Args:
        tree: the root of its tree.
        author: who owns the repo, in any case.
        tag: a concept recognised in it, by its tag, name or text.
        since, until: bounds of when it was changed last; `until` itself is outside.
        least: the least chance of a hit, in [0, 1].
    """

    tree: str | None = None
    author: str | None = None
    license: str | None = None
    task: str | None = None
    tag: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    least: float | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) is not None for f in fields(self))


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for.

    Args:
        text: what the models should know.
        without: what they should not.
        like: models that they should resemble.
    """

    text: str = ""
    without: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    filters: Filters = Filters()

    def __bool__(self) -> bool:
        return bool(self.text or self.like or self.filters)


def parsed(typed: str) -> Question:
    """What somebody typed, of which the first `MAX_QUERY_CHARS` characters count.

    A key that there is not is a word like others: people type "ratio 16:9" too.

    Raises:
        UsageError: what stands after a key is no date, no chance, no repo.
    """
    typed = typed.encode("utf-8", "replace").decode("utf-8")  # half a letter is nothing to an encoder
    typed = " ".join(typed.split())[:MAX_QUERY_CHARS]
    words, without, like, given = [], [], [], Filters()
    for piece in PIECE.finditer(typed):
        key, value = (piece["key"] or "").lower(), piece["quoted"] or piece["word"] or ""
        if key in KEYS and value and not piece["minus"]:
            given = _narrowed(given, KEYS[key], value)
        elif key == "like" and value and not piece["minus"]:
            like.append(_repo(value))
        elif piece["minus"] and not key and value:
            without.append(value)
        else:
            words.append(piece[0] if piece["word"] else value)
    return Question(" ".join(words), tuple(without[:MOST_PARTS]), tuple(like[:MOST_PARTS]), given)


KEYS = {f.name: f.name for f in fields(Filters)} | {"root": "tree", "licence": "license", "by": "author"}


def _narrowed(filters: Filters, key: str, value: str) -> Filters:
    told: Any = value
    if key == "least":
        told = _chance(value)
    elif key in ("since", "until"):
        first, after = _days(key, value)
        told = first if key == "since" else after
    return replace(filters, **{key: told})


def _repo(value: str) -> str:
    if value.count("/") != 1 or not all(value.split("/")):
        raise UsageError(f"like:{value} names no model", hint="a repo is written owner/name")
    return value


def _chance(value: str) -> float:
    try:
        chance = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise UsageError(f"least:{value} is no chance", hint="such as least:0.8 or least:80%")
    return chance


def _days(key: str, value: str) -> tuple[datetime, datetime]:
    """The first moment of a year, month or day, and the first after it."""
    try:
        year, month, day = ([int(part) for part in value.split("-")] + [0, 0])[:3]
        last = monthrange(year, month or 12)[1]
        first = datetime(year, month or 1, day or 1, tzinfo=UTC)
        return first, datetime(year, month or 12, day or last, tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{key}:{value} is no date", hint=f"such as {key}:2026 or {key}:2026-03-31"
        ) from None
