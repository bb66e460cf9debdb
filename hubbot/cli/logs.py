"""How a running bot logs: plain lines for people, one JSON object a line for machines.

No token, header or signed address is ever in either: whatever is logged goes through `_harmless`.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hubbot.cli.console import plain, spelled
from hubbot.records import How, Placement, Reading, Suggestion, Upload

if TYPE_CHECKING:
    from hubbot.bot import Event

log = logging.getLogger("hubbot")

QUIET = ("httpx", "httpcore", "httpx2", "httpcore2", "alembic", "asyncio", "filelock", "uvicorn")
"""Libraries that tell more than an admin wants to read, signed addresses among it."""
MUTE = ("apscheduler",)
"""It warns whenever a job is due that still waits for its turn, which is all that one thread is for."""

_SECRETS = (
    (re.compile(r"(https?://[^\s?#'\"<>]+)\?[^\s'\"<>]*"), r"\1?…"),  # signatures stand in queries
    (re.compile(r"(https?://)[^\s/@'\"]+@"), r"\1"),
    (re.compile(r"\bhf_\w+"), "hf_…"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 …"),
    (re.compile(r"(?i)((?:authorization|cookie|x-webhook-secret)['\"]?\s*[:=]\s*['\"]?)[^\s'\",}]+"), r"\1…"),
)


def set_up(level: int, form: str = "plain") -> None:
    """Send the log to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Plain())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in MUTE:
        logging.getLogger(name).setLevel(max(level, logging.ERROR))
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def told(event: Event) -> None:
    """A record that came about, as a line of the log; machines get its fields."""
    level, more = logging.INFO, dict[str, Any]()
    match event:
        case Upload():
            return
        case Placement(how=How.UNPLACED):
            level, said = logging.DEBUG, "unplaced"
        case Placement():
            level, said = logging.DEBUG, f"{event.how}, of {event.tree}"
            more = {"how": event.how.value, "tree": event.tree}
        case Reading(abstention=None):
            labels = [prediction.label for prediction in event.recognised]
            said = f"read by {event.expert}: {', '.join(labels) or 'nothing is recognised'}"
            more = {"expert": event.expert, "version": event.version, "labels": labels}
        case Reading():
            reason = event.abstention.code if event.abstention else ""
            said, more = f"no answer: {reason}", {"reason": reason}
        case Suggestion():
            said = f"suggestion {event.state}" + (f": {event.reason}" if event.reason else "")
            more = {"state": event.state.value, "pull_request": event.pull_request}
    kind = type(event).__name__.lower()
    log.log(level, "%s: %s", event.repo, said, extra={"fields": {"event": kind, "repo": event.repo, **more}})


def _harmless(text: str) -> str:
    """Without what a log must never hold."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class _Plain(logging.Formatter):
    """One line for people. Names of files come from the Hub and may hold line ends and escape sequences.

    A traceback follows indented: the message at its end may be a stranger's, and must not pass for a line.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        said = {"msg": plain(record.getMessage()), "args": ()}
        text = super().format(logging.makeLogRecord({**record.__dict__, **said}))
        return _harmless("\n  ".join(plain(line) for line in text.split("\n")))


class _Json(logging.Formatter):
    """One line that a log collector can take apart."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": _harmless(record.getMessage()),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["traceback"] = _harmless(self.formatException(record.exc_info))
        return spelled(said)
