"""How the command line speaks: to people through rich, to machines as JSON, of faults in one line.

Names and card texts come from the Hub and are data: control characters never reach the terminal, and
brackets are never markup.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hubbot.settings import Settings, load

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@dataclass(frozen=True, slots=True)
class Given:
    """What was said before the command: the settings file and the options that override it."""

    config: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, **more: Any) -> Settings:
        return load(file=self.config, **{**self.overrides, **more})


def settings_of(context: typer.Context, **more: Any) -> Settings:
    """The settings in force for a command."""
    given: Given = context.obj
    return given.settings(**more)


HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Kinds of characters that steer a terminal or end a line, instead of standing in it."""


def plain(text: object) -> str:
    """Text from outside on one line, without control or direction-changing characters."""
    return "".join(c if unicodedata.category(c) not in HIDDEN else "�" for c in str(text).replace("\n", " "))


def say(*parts: object, style: str = "") -> None:
    """One line for people; whatever is in it is data, not markup."""
    out.print(Text(plain(" ".join(str(part) for part in parts)), style=style))


def complain(message: str, hint: str | None = None) -> None:
    """One line about a fault on stderr, and what to try."""
    err.print(Text.assemble(("error: ", "bold red"), plain(message)))
    if hint:
        err.print(Text.assemble(("hint: ", "bold"), plain(hint)))


def emit(data: object) -> None:
    """One line of JSON on stdout."""
    typer.echo(spelled(jsonable(data)))


def spelled(data: object) -> str:
    """One line of JSON, in which whatever would steer a terminal is spelled out, and nothing is lost."""
    text = json.dumps(data, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def jsonable(data: object) -> Any:
    """Records, times and tuples as JSON knows them."""
    if is_dataclass(data) and not isinstance(data, type):
        return jsonable(asdict(data))
    if isinstance(data, Mapping):
        return {str(key): jsonable(value) for key, value in data.items()}
    if isinstance(data, list | tuple | set | frozenset):
        return [jsonable(item) for item in data]
    if isinstance(data, datetime):
        return data.isoformat()
    return data if data is None or isinstance(data, str | int | float | bool) else str(data)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A plain table; columns that start with `>` are numbers and stand on the right."""
    rows = list(rows)
    if not rows:
        say(empty)
        return
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        right = column.startswith(">")
        grid.add_column(column.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(plain("" if cell is None else cell)) for cell in row))
    out.print(grid)


def size(bytes_: float) -> str:
    """Bytes for people: `1.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 1000:
            return f"{bytes_:.0f} {unit}" if unit == "B" else f"{bytes_:.1f} {unit}"
        bytes_ /= 1000
    return f"{bytes_:.1f} TB"


def percent(probability: float) -> str:
    """A probability for people; never a certainty that no expert has."""
    return ">99%" if probability > 0.99 else "<1%" if probability < 0.01 else f"{probability:.0%}"
