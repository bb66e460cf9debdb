"""`hubbot run|poll|doctor` and `hubbot db upgrade`: the service and its house."""

from __future__ import annotations

import logging
import os
from dataclasses import fields
from typing import Annotated

import typer

from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, out, say, settings_of, table
from hubbot.cli.logs import set_up
from hubbot.cli.tally import Tally
from hubbot.errors import HubbotError
from hubbot.settings import Settings, variable

database = typer.Typer(help="The database.", no_args_is_help=True)

Mode = Annotated[
    str | None, typer.Option(help="off, draft (nothing leaves the house), review or auto; else as set.")
]


def run(context: typer.Context, mode: Mode = None) -> None:
    """Poll, read, record and suggest until stopped by SIGTERM or Ctrl-C."""
    settings = settings_of(context, mode=mode)
    say(f"watching {settings.endpoint} every {settings.poll_interval_s:g} s in mode {settings.mode}")
    say(f"recording in {settings.database}; stop with Ctrl-C")
    set_up(logging.INFO, settings.log_format)
    tally = Tally()
    wiring.serve(settings, watch=tally)
    say(f"stopped; {tally.line()}")


def poll(context: typer.Context, mode: Mode = None, json: AsJson = False) -> None:
    """Look once for new uploads and lead each down the whole path."""
    settings = settings_of(context, mode=mode)
    tally = Tally()
    with wiring.open_bot(settings, watch=tally) as bot, tally.progress(out, quiet=json):
        wiring.poll(bot)
    if json:
        emit(tally.counts)
    else:
        say(tally.line())
        say(f"recorded in {settings.database}")


def doctor(context: typer.Context, json: AsJson = False) -> None:
    """Check everything that hubbot needs, and show the settings in force."""
    settings = settings_of(context)
    checks = []
    for name, check in wiring.checks(settings).items():
        try:
            checks.append((name, True, check()))
        except HubbotError as error:
            checks.append((name, False, str(error)))
    if json:
        emit(
            {
                "checks": [{"check": name, "ok": ok, "says": says} for name, ok, says in checks],
                "settings": {name: value for name, value, _ in _settings_rows(settings)},
            }
        )
    else:
        table(["", "check", "says"], [("ok" if ok else "NO", n, s) for n, ok, s in checks], empty="")
        say()
        table(["variable", "value", "what it is"], _settings_rows(settings), empty="")
    if not all(ok for _, ok, _ in checks):
        raise typer.Exit(1)


@database.command("upgrade")
def upgrade(context: typer.Context) -> None:
    """Bring the database to this version's schema; makes it where there is none."""
    settings = settings_of(context)
    with wiring.open_store(settings) as store:
        say(f"{settings.database} is at schema {store.schema_version()}")


def _settings_rows(settings: Settings) -> list[tuple[str, object, str]]:
    def shown(name: str, secret: bool) -> object:
        value = getattr(settings, name)
        return ("(set)" if value else "(not set)") if secret else value

    return [
        (
            variable(f.name) + (" *" if variable(f.name) in os.environ else ""),
            shown(f.name, bool(f.metadata.get("secret"))),
            f.metadata["doc"],
        )
        for f in fields(settings)
    ]
