"""Exactly once, and nothing lost: a bot that is killed, and a Hub that fails.

    python -m benchmarks.faults [--smoke] [--json]

Killed: 200 repos come to a Hub on loopback one by one, the demo's models and troublemakers and then the
models again, while a real `hubbot run` in mode auto is killed with SIGKILL at 200 random instants and started
again. The Hub's list of discussions is half a minute late all the while.

Faults: the same 200 repos, and a Hub that fails 30% of all requests in mixed ways; the bot waits for its late
list three quarters of a minute here, not three minutes, so that the run ends. What is in the database in
the end is compared with that of a run in which nothing failed.

`--smoke` does both with a handful of repos, and with seconds for minutes.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.kills import Killed, Patience, environ, kill_often, put, world
from benchmarks.report import Row, arguments, machine, publish, table, told, verdict
from hubbot import courtesy
from hubbot.app import open_bot
from hubbot.bot import Bot
from hubbot.demo.world import TOKENS, Scene
from hubbot.errors import HubError
from hubbot.localhub.server import Server
from hubbot.records import Suggestion, SuggestionState
from hubbot.rounds import poll
from hubbot.settings import load
from hubbot.store.store import Store

REPOS, KILLS, SHARE = 200, 200, 0.3
SMOKE_REPOS, SMOKE_KILLS = 4, 2

EVERYWHERE: tuple[dict[str, Any], ...] = (
    {"kind": "rate-limit"},
    {"kind": "error"},
    {"kind": "hang"},
    {"kind": "cut"},
)
HERE_AND_THERE: tuple[dict[str, Any], ...] = (
    {"kind": "wrong-range", "path": "/blobs/*"},
    {"kind": "repeat-page", "path": "/api/models"},
    {"kind": "twice", "method": "GET"},
    {"kind": "stale-commit", "path": "*/commit/*"},
    {"kind": "lost-reply", "path": "*/commit/*"},
)
"""No `twice` for what writes: a proxy that sends a commit twice opens two, and no client can help that."""

SETTLING_S = 45.0
"""So long the bot on the failing Hub waits for a list that is 30 s late; the one that is killed waits its
three minutes. A third of all commits fail so that it has to wait, some of 136 six times in a row."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run came to: by repo what is on record, and how many pull requests of ours the Hub has.

    Args:
        readings: by repo, how many readings there are of each version of each expert.
    """

    records: Mapping[str, Record]
    readings: Mapping[str, list[int]]
    pulls: Mapping[str, int]
    seconds: float
    requests: int
    struck: int
    left: str

    @property
    def due(self) -> set[str]:
        """Repos that are to get a pull request."""
        return {repo for repo, record in self.records.items() if record["suggestion"].get("state") == "open"}


def main() -> None:
    """Parse the command line, kill, fail, compare, write."""
    parser = arguments("faults", __doc__, f"{SMOKE_KILLS} kills, {SMOKE_REPOS} repos, a list one second late")
    parser.add_argument("--kills", type=int, default=KILLS, help="how often the bot is killed")
    given = parser.parse_args()
    scenes = world(SMOKE_REPOS if given.smoke else REPOS)
    patience = Patience(0.5, 1.5, 100, 0.5) if given.smoke else Patience()
    courtesy.SETTLING = timedelta(seconds=patience.settling_s or SETTLING_S)
    with ThreadPoolExecutor(1) as thread:  # the one waits for most of its time, and so does the other
        under_way = thread.submit(
            measure_kills, scenes, SMOKE_KILLS if given.smoke else given.kills, patience
        )
        calm = measure(scenes, patience, failing=False)
        failing = measure(scenes, patience, failing=True)
        killed, after = under_way.result()
    rows = [*judge_kills(killed, after, calm), *judge_faults(failing, calm)]
    publish("faults", rows, report(given, killed, after, failing, calm, rows), given)


def measure_kills(scenes: Sequence[Scene], kills: int, patience: Patience) -> tuple[Killed, Ended]:
    """A real process, killed often."""
    with tempfile.TemporaryDirectory() as scratch, Server(Path(scratch) / "hub", tokens=TOKENS) as server:
        home, began = Path(scratch) / "home", time.monotonic()
        killed = kill_often(server, home, scenes, kills, patience)
        with Store.open(f"sqlite:///{home / 'hubbot.db'}") as store:
            return killed, _ended(server, store, began, killed.left)


def measure(scenes: Sequence[Scene], patience: Patience, *, failing: bool) -> Ended:
    """One bot in this process, polling until nothing is left to do."""
    with tempfile.TemporaryDirectory() as scratch, Server(Path(scratch) / "hub", tokens=TOKENS) as server:
        put(server, scenes)
        if failing:
            switch_on(server, patience)
        settings = load(environ(server.endpoint, Path(scratch) / "home"), http_timeout_s=patience.timeout_s)
        began = time.monotonic()
        with open_bot(settings) as bot:
            left = _poll_to_the_end(bot, len(scenes), began + patience.end_s)
            return _ended(server, bot.store, began, left)


def switch_on(server: Server, patience: Patience) -> None:
    """Faults that strike three requests in ten, and a list of discussions that is late."""
    each = 1 - (1 - SHARE) ** (1 / (len(EVERYWHERE) + 1))
    for how in (*EVERYWHERE, *HERE_AND_THERE):
        seconds = 1.0 if how["kind"] == "rate-limit" else 2 * patience.timeout_s
        server.faults.add(**how, probability=each, seconds=seconds)
    server.faults.add("late-list", path="*/discussions", method="GET", seconds=patience.late_s)


def _poll_to_the_end(bot: Bot, count: int, deadline: float) -> str:
    while left := _left(bot, count):
        if time.monotonic() > deadline:
            return left
        try:
            poll(bot)
        except HubError as error:  # as the scheduler does with a job that fails
            print(f"a poll failed: {error}", flush=True)
        time.sleep(0.5)
    return ""


def _left(bot: Bot, count: int) -> str:
    waiting = [s for s in (SuggestionState.DRAFT, SuggestionState.OPENING) if bot.store.suggestions(s)]
    unread = count - len(bot.store.uploads()) + bot.store.backlog()
    return ", ".join([*([f"{unread} uploads"] if unread else []), *map(str, waiting)])


def _ended(server: Server, store: Store, began: float, left: str) -> Ended:
    repos = [repo.id for repo in server.repos.all()]
    late = sum(x.path.endswith("/discussions") and x.method == "GET" for x in server.log)
    requests, struck = len(server.log), server.faults.clear()
    counted: dict[str, list[int]] = {repo: [] for repo in repos}
    with closing(sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)) as connection:
        query = "SELECT repo, count(*) FROM readings GROUP BY repo, expert, version"
        for repo, count in connection.execute(query):
            counted[repo].append(count)
    return Ended(
        {repo: _record(store, repo) for repo in repos},
        counted,
        {repo: sum(talk.is_pull_request for talk in server.talks.all(repo)) for repo in repos},
        time.monotonic() - began,
        requests,
        max(0, struck - late),
        left,
    )


def _record(store: Store, repo: str) -> Record:
    """What is on record of a repo, but for times, numbers of pull requests, and bytes."""
    placement, reading, suggestion = store.placement(repo), store.reading(repo), store.suggestion(repo)
    return {
        "placement": placement
        and (placement.tree, placement.parent, placement.how, placement.evidence, placement.relation),
        "reading": reading
        and (
            reading.expert,
            reading.version,
            tuple((p.label, round(p.probability, 4), p.recognised) for p in reading.predictions),
            reading.abstention,
            reading.content_ids,
        ),
        "suggestion": _told(suggestion) if suggestion else {},
    }


def _told(suggestion: Suggestion) -> dict[str, Any]:
    names = ("state", "title", "added", "new_text", "reason")  # the body tells bytes
    return {name: getattr(suggestion, name) for name in names}


# --- the report -----------------------------------------------------------------------------------


def judge_kills(killed: Killed, after: Ended, calm: Ended) -> Iterator[Row]:
    """Nothing twice, nothing lost."""
    repos = len(after.readings)
    once = sum(bool(counts) and set(counts) == {1} for counts in after.readings.values())
    due = {repo for repo in calm.due if repo in after.pulls}
    asked = sum(after.pulls[repo] == 1 and repo in after.due for repo in due)
    yield told("kills", killed.kills, "of -9")
    yield Row("killed: one reading per expert version", once, "uploads", repos, None, once == repos)
    yield Row("killed: one pull request", asked, "due repos", len(due), None, asked == len(due))
    yield _none("killed: pull requests too many", _too_many(after, due), "pull requests")
    yield _none("killed: damaged databases", killed.damaged, "kills")
    yield told("killed while a pull request was half opened", killed.half_opened, "kills")
    yield told("killed after the commit, before its record", killed.made, "kills")


def judge_faults(failing: Ended, calm: Ended) -> Iterator[Row]:
    """The same database."""
    share = failing.struck / failing.requests
    yield Row("faults per request", share, "", SHARE, None, share >= SHARE)
    for what in ("placement", "reading", "suggestion"):
        yield _none(f"faults: {what}s that differ", len(differing(failing, calm, what)), "repos")
    yield _none("faults: pull requests too many", _too_many(failing, calm.due), "pull requests")
    yield told("faults: time to the end", failing.seconds, "s", calm.seconds)


def differing(one: Ended, other: Ended, what: str) -> list[str]:
    """Repos of which two runs have other things on record."""
    return [repo for repo in other.records if one.records[repo][what] != other.records[repo][what]]


def _too_many(ended: Ended, due: set[str]) -> int:
    return sum(max(0, count - (repo in due)) for repo, count in ended.pulls.items())


def _none(name: str, value: float, unit: str) -> Row:
    return Row(name, value, unit, 0, None, value == 0)


def report(
    given: argparse.Namespace, killed: Killed, after: Ended, failing: Ended, calm: Ended, rows: Sequence[Row]
) -> str:
    """docs/results/faults.md."""
    different = {what: differing(failing, calm, what)[:5] for what in ("placement", "reading", "suggestion")}
    told_apart = [f"- {what}: {', '.join(repos)}" for what, repos in different.items() if repos]
    lines = [
        (row.name, f"{row.value:.4g}", row.unit, "" if row.target is None else f"{row.target:.4g}")
        for row in rows
    ]
    unfinished = [
        f"- {name}: {run.left}" for name, run in (("killed", after), ("faults", failing)) if run.left
    ]
    return f"""# Exactly once, and nothing lost

    python -m benchmarks.faults{" --smoke" if given.smoke else ""}

{machine()}. {len(calm.records)} repos, {len(calm.due)} of which are to get a pull request. A real
`hubbot run` was killed {killed.kills} times. The Hub's list of discussions was late all the while, also where
requests failed.

{table(("", "value", "", "target"), lines)}

What the bot was at when it was killed:

{table(("", "kills"), killed.during.most_common())}

{chr(10).join([*unfinished, *told_apart, verdict(rows)])}
"""


if __name__ == "__main__":
    main()
