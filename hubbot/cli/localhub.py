"""`hubbot localhub serve|add DIR`: a Hub on loopback, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubbot.admin import serve_localhub
from hubbot.cli.console import AsJson, emit, say

app = typer.Typer(help="A Hub on loopback, for trying things out.", no_args_is_help=True)


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where its repos lie; made if missing.")],
    port: Annotated[int, typer.Option(help="Port of the Hub; 0 takes a free one.")] = 8090,
    cdn_port: Annotated[int, typer.Option(help="Port that files are served from.")] = 8091,
    admin: Annotated[bool, typer.Option("--admin", help="Let POST /admin/faults switch faults on.")] = False,
) -> None:
    """Serve the repos in DIR until Ctrl-C. Point clients there with HF_ENDPOINT.

    A token `hf_NAME` belongs to the user NAME. Clients that upload need HF_HUB_DISABLE_XET=1: this Hub
    speaks LFS.
    """
    serve_localhub(
        folder,
        port,
        cdn_port,
        admin,
        lambda address: say(f"a Hub on {address}, repos in {folder}; stop with Ctrl-C"),
    )


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where its repos lie; made if missing.")],
    zoo: Annotated[Path, typer.Option(exists=True, file_okay=False, help="The zoo's folder.")],
    json: AsJson = False,
) -> None:
    """Put a zoo into DIR as Model-J lies on the Hub, with an index, to train experts from afar without it."""
    from hubbot.training.mirror import mirror_zoo

    made = mirror_zoo(zoo, folder)
    if json:
        emit(made)
        return
    for subset, count in made.items():
        say(f"{count} models of the subset {subset} are in {folder}")
