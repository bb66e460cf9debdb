"""The Space as a repo on the Hub, which starts from nothing but pinned public packages.

    README.md          how the Hub is to start it
    requirements.txt   what it takes, each pinned
    app.py             starts it
    hubbot.toml        which snapshot it shows
    hubbot/ space/     our own source, since hubbot is in no registry

What only trains, serves a Hub or runs the demo stays away.
"""

from __future__ import annotations

import json
from pathlib import Path

from hubbot.errors import UsageError
from hubbot.hub.client import Hub
from hubbot.hub.publish import publish

HOUSE = Path(__file__).parents[1]
"""The package `hubbot`; `space` lies beside it, in a checkout as where pip installs it."""
STARTED_BY = {"README.md": "README.md", "requirements.txt": "requirements.txt", "app.py": "start.py"}
"""What lies at the top, by its name in the folder `space`."""
AT_HOME = ("__main__.py", "cli/", "demo/", "experts/shipped/", "localhub/", "training/", "zoo/")
"""What of hubbot a reader has no use for: what only admins do, and experts, whose heads a snapshot holds."""
SOURCE = (".py", ".css", ".js")


def files(snapshot: str = "") -> dict[str, bytes | Path]:
    """All files of the Space's repo, by path.

    Args:
        snapshot: the dataset that it shows; without one that is a variable of the Space, HUBBOT_SNAPSHOT.

    Raises:
        UsageError: there is no folder `space` beside hubbot.
    """
    space = HOUSE.with_name("space")
    if not (space / "app.py").is_file():
        raise UsageError("the Space's source is not there", file=str(space))
    found: dict[str, bytes | Path] = {top: space / name for top, name in STARTED_BY.items()}
    for package in (HOUSE, space):
        for path in sorted(package.rglob("*")):
            inside = path.relative_to(package).as_posix()
            kept = path.suffix in SOURCE and not (package == HOUSE and inside.startswith(AT_HOME))
            if kept and path.is_file():
                found[f"{package.name}/{inside}"] = path
    if snapshot:
        found["hubbot.toml"] = f"snapshot = {json.dumps(snapshot)}\n".encode()
    return found


def push(hub: Hub, repo: str, snapshot: str = "", *, private: bool = False) -> str:
    """Publish the Space; the commit's address. Source that is no longer ours is taken away.

    Raises:
        UsageError, HubError: see `publish`.
    """
    return publish(
        hub,
        repo,
        files(snapshot),
        message="Publish the Space",
        private=private,
        kind="space",
        replaced=lambda path: path.startswith(("hubbot/", "space/")),
    )
