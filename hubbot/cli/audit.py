"""`hubbot audit`: who ordered what, when, and what came of it."""

from __future__ import annotations

from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, say, settings_of


def audit(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Orders, the newest first.")] = 50,
    json: AsJson = False,
) -> None:
    """What admins ordered: when, who, what, and what came of it."""
    with wiring.open_store(settings_of(context), read_only=True) as store:
        commands = store.commands(limit)
    if json:
        emit(commands)
        return
    for command in commands:
        args = " ".join(f"{name}={value}" for name, value in command.args.items())
        say(f"{command.asked_at:%Y-%m-%d %H:%M:%S} UTC  {command.by}  {command.verb} {args}")
        say(f"  {command.outcome or ('begun' if command.tries else 'waits')}", style="dim")
    if not commands:
        say("no orders yet")
