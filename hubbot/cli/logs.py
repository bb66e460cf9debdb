"""How a running bot logs: plain lines for people, one JSON object a line for machines."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from hubbot.cli.console import plain, spelled

QUIET = ("httpx", "httpcore", "httpx2", "httpcore2", "apscheduler", "alembic", "asyncio", "filelock")
"""Libraries that tell more than an admin wants to read, signed addresses among it."""


def set_up(level: int, form: str = "plain") -> None:
    """Send the log to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Plain())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class _Plain(logging.Formatter):
    """One line for people. Names of files come from the Hub and may hold line ends and escape sequences.

    A traceback follows indented: the message at its end may be a stranger's, and must not pass for a line.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        said = {"msg": plain(record.getMessage()), "args": ()}
        text = super().format(logging.makeLogRecord({**record.__dict__, **said}))
        return "\n  ".join(plain(line) for line in text.split("\n"))


class _Json(logging.Formatter):
    """One line that a log collector can take apart."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return spelled(said)
