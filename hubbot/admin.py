"""What an admin wants of a bot: to run it, to ask how it is, to give it orders.

The command line is words around this; each of these opens what it needs by `hubbot.app` and closes it again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubbot.app import experts, manners_of, open_bot, open_hub, open_reader, open_store
from hubbot.errors import StoreMissing, UsageError
from hubbot.records import Suggestion
from hubbot.settings import Settings

if TYPE_CHECKING:
    from hubbot.bot import Bot, Event


def serve(
    settings: Settings,
    watch: Callable[[Event], None] = lambda _: None,
    events: Mapping[str, int] | None = None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the bot until SIGTERM or Ctrl-C: each job at its own pace, and the door open to whoever asks.

    Args:
        events: what `watch` has counted so far, for the metrics.
        ready: told where the door is.
    """
    from hubbot import rounds
    from hubbot.hub.uploads import is_repo_name
    from hubbot.indexing import Indexer
    from hubbot.orders import VERBS, obey
    from hubbot.scheduler import Job, Schedule
    from hubbot.service.door import House, opened
    from hubbot.service.mailbox import Mailbox
    from hubbot.service.state import Live

    stopping, started, pace = threading.Event(), datetime.now(UTC), settings.poll_interval_s
    mailbox = Mailbox(settings.webhook_secret, is_repo_name)
    with open_bot(settings, watch=watch, stopping=stopping) as bot, Indexer(bot.store) as indexer:
        jobs = [
            Job("look", pace, lambda: rounds.look(bot)),
            Job("read", min(pace, 1.0), lambda: rounds.read(bot)),
            Job("open", pace, lambda: rounds.open_due(bot)),
            Job("orders", min(pace, 2.0), lambda: obey(bot)),
            Job("webhooks", min(pace, 2.0), lambda: rounds.look_at(bot, mailbox.empty())),
            Job("index", 10 * pace, indexer.look),
        ]
        if settings.mode in ("review", "auto"):
            jobs.append(Job("follow", pace * 10, lambda: rounds.follow(bot)))
        if at_once := math.ceil(settings.recheck_per_hour / 60):
            every = 3600.0 * at_once / settings.recheck_per_hour
            jobs.append(Job("recheck", every, lambda: rounds.recheck(bot, at_once)))
        schedule = Schedule(jobs)

        def live() -> Live:
            lost = bot.reader.engine.lost
            told = dict(events or {})
            rates, reachable = bot.hub.rates(), bool(settings.contact)
            return Live(started, settings.mode, schedule.states(), told, lost, rates, reachable)

        house = House(
            store=bot.store,
            mailbox=mailbox,
            live=live,
            verbs=frozenset(VERBS),
            ordered=lambda: schedule.hurry("orders"),
            noticed=lambda: schedule.hurry("webhooks"),
        )
        with opened(house, settings.service) as address:
            ready(address)
            schedule.run(stopping)


def live(settings: Settings) -> Mapping[str, Any]:
    """A running bot at this moment, as it tells at its door.

    Raises:
        UsageError: none runs, or it does not answer.
    """
    from hubbot.service.knock import Door

    with open_store(settings, read_only=True) as store, Door(store.path) as door:
        found: Mapping[str, Any] = door.state()
        return found


def poll(bot: Bot) -> int:
    """One look at the Hub; how many uploads came to their end."""
    from hubbot.rounds import poll as round_of

    return round_of(bot)


def draft(repo: str, settings: Settings) -> Suggestion:
    """What would be suggested for one repo now; nothing is recorded or sent."""
    from hubbot.rounds import draft as drafted

    with open_reader(settings) as reader:
        return drafted(reader, repo, manners_of(settings))


def serve_localhub(folder: Path, port: int, cdn_port: int, admin: bool, ready: Callable[[str], None]) -> None:
    """Serve a Hub on loopback until SIGTERM or Ctrl-C; `ready` is told its address."""
    from hubbot.localhub.server import serve as serve_hub

    serve_hub(folder, port=port, cdn_port=cdn_port, admin=admin, ready=lambda server: ready(server.endpoint))


def order(
    settings: Settings,
    verb: str,
    args: Mapping[str, Any],
    by: str,
    *,
    wait_s: float = 0.0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> str:
    """Have an admin's verb carried out: by the running bot, else at once and here; what came of it.

    Args:
        wait_s: how long to wait for a running bot.
        progress: told how far the order has come: done, of how many.

    Raises:
        UsageError: it could not be done; that is on record too.
    """
    from hubbot.orders import FAILED, obey
    from hubbot.service.knock import Door

    with open_store(settings) as store:
        owner, path = store.locked_by(), store.path
    if owner:
        with Door(path) as door:
            number = door.order(verb, args, by)
            outcome = door.outcome(number, wait_s, progress)
        outcome = outcome or f"handed to the running bot ({owner}) as order {number}"
    else:
        with open_bot(settings) as bot:
            number = bot.store.enqueue(verb, args, by)
            obey(bot, progress)
            done = bot.store.command(number)
            outcome = done.outcome if done else ""
    if outcome.startswith(FAILED):
        raise UsageError(outcome.removeprefix(FAILED))
    return outcome


def chosen(settings: Settings, args: Mapping[str, Any]) -> list[str]:
    """The repos that a `tree rerun` with these arguments would lead down the path again.

    Raises:
        UsageError: there is no such tree or choice.
    """
    from hubbot.store.choice import Choice

    with open_store(settings, read_only=True) as store:
        return store.chosen(Choice.of(args))


def export_trees(settings: Settings, root: str | None, form: str) -> str:
    """A tree, or all of them, as the text of a graph.

    Raises:
        UsageError: there is no such tree or format.
    """
    from hubbot.trees.export import FORMATS, exported, graph

    if form not in FORMATS:
        raise UsageError(f"no format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    with open_store(settings, read_only=True) as store:
        roots = [tree.root for tree in store.trees()]
        if root and root not in roots:
            raise UsageError(f"there is no tree {root!r}", hint="`hubbot tree list` shows the trees")
        members = [member for each in ([root] if root else roots) for member in store.tree_members(each)]
    return exported(graph(members), form)


def checks(settings: Settings) -> Mapping[str, Callable[[], str]]:
    """What `hubbot doctor` looks at; each check says what it found or raises a HubbotError."""

    def hub() -> str:
        from hubbot.hub import uploads

        with open_hub(settings) as door:
            first = next(iter(uploads.recent(door, since=None, limit=1)), None)
        return f"{settings.endpoint} answers; newest upload {first.repo if first else 'none'}"

    def store() -> str:
        try:
            with open_store(settings, read_only=True) as opened:
                return f"{settings.database} at schema {opened.schema_version()}"
        except StoreMissing:
            return f"{settings.database} is not there yet; the first poll makes it"

    def minds() -> str:
        return ", ".join(f"{info.name} for {info.tree}" for info in experts(settings)) or "none"

    def worker() -> str:
        from hubbot.engine import Engine

        with Engine(settings.device) as engine:
            return f"computes on {engine.resolved_device()}"

    def words() -> str:
        from hubbot.encoders.loading import OFFLINE_DEFAULT
        from hubbot.encoders.loading import load as load_encoder

        encoder = load_encoder(OFFLINE_DEFAULT)
        return f"{encoder.name}, {encoder.dimension} dimensions"

    return {"hub": hub, "database": store, "experts": minds, "worker": worker, "text encoder": words}
