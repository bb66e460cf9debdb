"""`python -m space`: serve the search page over a database or a snapshot."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from hubbot import HubbotError, open_desk, open_library


def main() -> int:
    """Open the database, serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m space", description="Find models by what they were trained on."
    )
    parser.add_argument(
        "--database", help="file or SQLAlchemy address; HUBBOT_DATABASE_URL or hubbot's own by default"
    )
    parser.add_argument(
        "--snapshot",
        help="a folder that snapshots lie in, or OWNER/NAME of a dataset; HUBBOT_SNAPSHOT by default",
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 to be seen from other machines")
    parser.add_argument("--port", type=int, default=7860, help="0 takes a free one")
    parser.add_argument(
        "--mcp", action="store_true", help="let language models search as well; needs pip install gradio[mcp]"
    )
    given = parser.parse_args()
    try:
        library, desk = open_library(given.database, given.snapshot), open_desk(given.database)
    except HubbotError as error:
        print(f"error: {error}" + (f" ({error.hint})" if error.hint else ""), file=sys.stderr)
        return 1
    from space.app import launch

    try:
        address = launch(library, given.host, given.port or None, desk, mcp=given.mcp or None)
    except OSError:
        print(f"error: port {given.port} of {given.host} cannot be served on: is it taken?", file=sys.stderr)
        return 1
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    print(f"the Space is at {address}", flush=True)
    while not stopping.wait(timeout=0.5):  # short waits, so that Python gets to see the signal
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
