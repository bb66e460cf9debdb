"""An admin's order, as the command line gives it: in whose name, with what patience, and what came of it."""

from __future__ import annotations

import getpass
import math
import socket
from collections.abc import Mapping
from typing import Any

import typer

from hubbot import admin
from hubbot.cli.console import emit, out, say, settings_of
from hubbot.cli.tally import bar

WAIT_S = 60.0
"""For a running bot; it carries the order out all the same."""


def user() -> str:
    """Who gives an order, for the audit trail: `user@machine`, as the operating system knows them."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def ordered(
    context: typer.Context, verb: str, args: Mapping[str, Any], *, json: bool, progress: str = ""
) -> None:
    """Have it carried out, and say what came of it.

    Args:
        progress: what stands beside a bar until the order is carried out; without it, nobody waits for long.
    """
    settings = settings_of(context)
    if progress:
        with bar(out, progress, quiet=json) as move:
            outcome = admin.order(settings, verb, args, user(), wait_s=math.inf, progress=move)
    else:
        outcome = admin.order(settings, verb, args, user(), wait_s=WAIT_S)
    emit({"outcome": outcome}) if json else say(outcome)
