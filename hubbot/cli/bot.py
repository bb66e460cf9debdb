"""`hubbot run|poll|doctor` and `hubbot db upgrade`: the service and its house."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubbot import admin
from hubbot import app as wiring
from hubbot.cli.console import AsJson, emit, out, say, settings_of, table
from hubbot.cli.logs import set_up, told
from hubbot.cli.tally import Tally
from hubbot.errors import HubbotError, UsageError
from hubbot.settings import Settings, variable

if TYPE_CHECKING:
    from hubbot.bot import Event

database = typer.Typer(help="The database.", no_args_is_help=True)

Mode = Annotated[
    str | None, typer.Option(help="off, draft (nothing leaves the house), review or auto; else as set.")
]


def run(context: typer.Context, mode: Mode = None) -> None:
    """Poll, read, record and suggest until stopped by SIGTERM or Ctrl-C; answer at the door meanwhile."""
    settings = settings_of(context, mode=mode)
    say(f"watching {settings.endpoint} every {settings.poll_interval_s:g} s in mode {settings.mode}")
    say(f"recording in {settings.database}; stop with Ctrl-C")
    set_up(logging.INFO, settings.log_format)
    tally = Tally()

    def watch(event: Event) -> None:
        tally(event)
        told(event)

    admin.serve(settings, watch, tally.counts, lambda address: say(f"answering at {address}"))
    say(f"stopped; {tally.line()}")


def poll(context: typer.Context, mode: Mode = None, json: AsJson = False) -> None:
    """Look once for new uploads and lead each down the whole path."""
    settings = settings_of(context, mode=mode)
    tally = Tally()
    with wiring.open_bot(settings, watch=tally) as bot, tally.progress(out, quiet=json):
        admin.poll(bot)
    if json:
        emit(tally.counts)
    else:
        say(tally.line())
        say(f"recorded in {settings.database}")


def status(context: typer.Context, json: AsJson = False) -> None:
    """Is the bot running, how far is it, what waits, and what could not be read?"""
    settings = settings_of(context)
    with wiring.open_store(settings, read_only=True) as store:
        found, owner = store.status(), store.locked_by()
    try:
        live = admin.live(settings) if owner else None
    except UsageError as error:  # `hubbot poll` owns the database too, and has no door
        live, owner = None, f"{owner}; {error}"
    if json:
        emit({"running": owner, "status": found, "live": live})
        return
    say(f"  bot       {f'running: {owner}' if owner else 'not running'}")
    for endpoint, at in found.watermarks.items():
        say(f"  listing   of {endpoint}, read up to {_moment(at)}")
    later = f", {found.waiting} wait, the first until {_moment(found.next_due)}" if found.next_due else ""
    say(f"  backlog   {found.due} uploads are due{later}")
    say(f"  orders    {found.orders} not carried out yet")
    say(f"  answers   {found.answered}, and {sum(found.reasons.values())} uploads without")
    for word, count in found.reasons.items():
        say(f"            {count:>6} {word}", style="dim")
    said = ", ".join(f"{count} {state}" for state, count in found.suggestions.items())
    say(f"  suggested {said or 'nothing'}")
    if live:
        _show_live(live)


def _show_live(live: Mapping[str, Any]) -> None:
    """What a running bot says of itself."""
    started = datetime.fromisoformat(live["started_at"])
    hours = max((datetime.now(UTC) - started).total_seconds() / 3600, 1e-9)
    taken_up = live["events"].get("noticed", 0)
    say(
        f"  since     {_moment(started)}: {taken_up} uploads taken up, {taken_up / hours:.0f} an hour; "
        f"{live['workers_lost']} workers lost"
    )
    for rate in live["rates"]:
        left = "not told" if rate["remaining"] is None else f"{rate['remaining']} left"
        renewed = f", renewed in {rate['reset_in_s']:.0f} s" if rate["reset_in_s"] else ""
        asked = f"{rate['requests']} requests, {rate['refused']} put off, {rate['waited_s']:.0f} s waited"
        say(f"  {rate['kind']:<9} {left}{renewed}; {asked}")
    say()
    rows = [
        (
            job["id"],
            "now" if job["running"] else _clock(job["next_at"]),
            _clock(job["ended_well_at"]),
            f"{job['took_s']:.1f} s",
            job["failures"],
            job["error"],
        )
        for job in live["jobs"]
    ]
    table(["job", "runs next", "ended well", ">took", ">failures", "last error"], rows, empty="")


def _clock(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%H:%M:%S}" if moment else "-"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def doctor(context: typer.Context, json: AsJson = False) -> None:
    """Check everything that hubbot needs, and show the settings in force."""
    settings = settings_of(context)
    checks = []
    for name, check in admin.checks(settings).items():
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
