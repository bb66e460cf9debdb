"""The command line: one file per noun, thin verbs over `hubbot.app`.

Every error that hubbot knows ends as one clear line with a hint and exit code 1; `--debug` shows the
traceback. `--json` prints for machines. What others would see is a dry run until told otherwise.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hubbot import __version__
from hubbot.cli import (
    audit,
    bot,
    card,
    demo,
    expert,
    localhub,
    model,
    sane,
    search,
    snapshot,
    space,
    tell,
    tree,
    upload,
    zoo,
)
from hubbot.cli.console import Given, complain
from hubbot.cli.logs import set_up
from hubbot.errors import HubbotError

app = typer.Typer(
    name="hubbot",
    help="Reads off the weights what a model on the Hub was trained on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("tell")(tell.tell)
app.command("search")(search.search)
app.command("index")(search.index)
app.command("demo")(demo.demo)
app.command("run")(bot.run)
app.command("poll")(bot.poll)
app.command("status")(bot.status)
app.command("doctor")(bot.doctor)
app.command("audit")(audit.audit)
app.add_typer(model.app, name="model")
app.add_typer(upload.app, name="upload")
app.add_typer(tree.app, name="tree")
app.add_typer(card.app, name="card")
app.add_typer(expert.app, name="expert")
app.add_typer(zoo.app, name="zoo")
app.add_typer(sane.app, name="sane")
app.add_typer(snapshot.app, name="snapshot")
app.add_typer(space.app, name="space")
app.add_typer(bot.database, name="db")
app.add_typer(localhub.app, name="localhub")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hubbot {__version__}")
        raise typer.Exit


@app.callback()
def given(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="A settings file; ./hubbot.toml if it is there.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="The Hub's address.")] = None,
    database: Annotated[str | None, typer.Option(help="Database file or SQLAlchemy address.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and every log line.")] = False,
    version: Annotated[  # noqa: ARG001 - typer calls _version, and the value is of no further use
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that hold for every command."""
    overrides = {"endpoint": endpoint, "database_url": database}
    context.obj = Given(config, {name: value for name, value in overrides.items() if value})
    set_up(logging.DEBUG if debug else logging.WARNING)


def main() -> None:
    """The console scripts `hubbot` and `hf-hubbot`."""
    debug = "--debug" in sys.argv
    try:
        app()
    except HubbotError as error:
        if debug:
            raise
        complain(str(error), error.hint)
        sys.exit(1)
    except BrokenPipeError:  # somebody's `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        complain(f"{error.filename or 'this machine'}: {error.strerror or error}")
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        complain(f"{type(error).__name__}: {error}", "this is a fault of hubbot's; --debug shows where")
        sys.exit(1)
