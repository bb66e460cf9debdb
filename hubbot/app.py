"""The only wiring: Settings in, a bot on its path out.

Everything that the command line, the demo and the Space do is opened here, so that nothing above knows
which door stands behind a setting. Torch is not imported: the engine's worker does that.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hubbot.errors import StoreError, StoreMissing, UsageError
from hubbot.records import ExpertInfo, Placement, Reading, Suggestion, Upload
from hubbot.settings import Settings, load, split_list

if TYPE_CHECKING:
    from hubbot.experts.router import Router
    from hubbot.hub.client import Hub
    from hubbot.library import Library
    from hubbot.pipeline import Bot, Event, Reader
    from hubbot.store.kin import KnownBy
    from hubbot.store.promotions import Promotion
    from hubbot.store.store import Store

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Telling:
    """One model, one answer: what it is, where it belongs, what its expert said."""

    upload: Upload
    placement: Placement
    reading: Reading
    expert: ExpertInfo | None


def open_hub(settings: Settings, *, patient: bool = False) -> Hub:
    """The door to the Hub that the settings name.

    Args:
        patient: for a job that has nothing better to do than to wait until the Hub's limits let it go on.
    """
    from hubbot.hub.client import Hub
    from hubbot.hub.patience import LONGEST_ASKED_WAIT_S, LONGEST_WINDOW_S

    return Hub(
        settings.endpoint,
        token=settings.token,
        timeout_s=settings.http_timeout_s,
        retries=settings.http_retries,
        max_header_bytes=settings.max_header_bytes,
        max_tensor_bytes=settings.max_tensor_bytes,
        longest_wait_s=LONGEST_WINDOW_S if patient else LONGEST_ASKED_WAIT_S,
    )


def open_store(settings: Settings, *, read_only: bool = False) -> Store:
    """The database in force, brought up to date unless it is only read."""
    from hubbot.store.store import Store

    return Store.open(settings.database, read_only=read_only)


def experts(settings: Settings) -> tuple[ExpertInfo, ...]:
    """The experts at hand: those that ship with hubbot, then those that the settings name."""
    from hubbot.experts.artifact import describe
    from hubbot.experts.router import shipped

    return tuple(describe(folder) for folder in [*shipped(), *_further_experts(settings)])


def _further_experts(settings: Settings) -> Iterator[Path]:
    """Folders as they are; what is no folder is a repo, of which a snapshot is fetched."""
    from hubbot.experts.schema import CONFIG, TRAINED_ON, WEIGHTS

    for place in settings.expert_places:
        folder = Path(place).expanduser()
        if folder.is_dir() or place.count("/") != 1:
            yield folder
            continue
        from hubbot.hub.snapshots import snapshot

        with open_hub(settings) as hub:
            yield snapshot(hub, place, (CONFIG, WEIGHTS, TRAINED_ON), settings.home_path / "experts")


def router(settings: Settings, promoted: Sequence[Promotion] | None = None) -> Router:
    """The experts at hand, and which of them reads which tree.

    Args:
        promoted: what admins chose; by default as the database in force has it, if there is one.
    """
    from hubbot.experts.router import Router

    if promoted is None:
        promoted = _remembered(settings, lambda store: store.promotions())
    found = Router(experts(settings), ((top.expert, top.version) for top in promoted))
    at_hand = {(info.name, info.version) for info in found.experts}
    for top in promoted:
        if (top.expert, top.version) not in at_hand:
            log.warning("%s %s, promoted for %s, is not at hand", top.expert, top.version, top.tree)
    return found


@contextmanager
def open_reader(
    settings: Settings,
    added: Sequence[KnownBy] | None = None,
    promoted: Sequence[Promotion] | None = None,
) -> Iterator[Reader]:
    """Everything that reading a model takes, and nothing that writes; closed again afterwards.

    Args:
        added: the roots that admins added; by default those of the database in force, if there is one.
        promoted: the experts that admins chose, likewise.
    """
    from hubbot.engine import Engine
    from hubbot.experts.artifact import fingerprint
    from hubbot.growth import planted
    from hubbot.pipeline import Reader
    from hubbot.trees.fingerprint import Fingerprint
    from hubbot.trees.forest import Forest, KnownRoot

    minds = router(settings, promoted)
    infos = minds.experts
    rows = {info.folder: fingerprint(Path(info.folder)) for info in infos}
    forest = Forest([
        KnownRoot(info.tree, info.roots[1:], Fingerprint(rows[info.folder]) if rows[info.folder] else None)
        for info in infos
    ])  # fmt: skip
    for known in _remembered(settings, lambda store: store.roots()) if added is None else added:
        forest.plant(planted(known))
    with (
        open_hub(settings) as hub,
        Engine(settings.device, longest_batch_s=settings.batch_timeout_s) as engine,
    ):
        yield Reader(hub=hub, forest=forest, router=minds, engine=engine)


def _remembered(settings: Settings, ask: Callable[[Store], Sequence[T]]) -> Sequence[T]:
    try:
        with open_store(settings, read_only=True) as store:
            return ask(store)
    except StoreError:  # none yet, or of an older hubbot: what is asked here needs none
        return ()


@contextmanager
def open_bot(
    settings: Settings,
    *,
    watch: Callable[[Event], None] = lambda _: None,
    stopping: threading.Event | None = None,
) -> Iterator[Bot]:
    """A bot that owns its database, which it locks; closed again afterwards.

    Args:
        watch: told of every record as it comes about.
        stopping: set it, and the bot stops between two uploads.

    Raises:
        StoreLocked: another bot owns the database.
    """
    from hubbot.experts.artifact import text_head
    from hubbot.pipeline import Bot, Manners
    from hubbot.policy import Quiet

    with (
        open_store(settings) as store,
        store.lock("hubbot"),
        open_reader(settings, store.roots(), store.promotions()) as reader,
    ):
        for info in reader.router.experts:
            store.save_expert(info, text_head(Path(info.folder)))
        yield Bot(
            reader=reader,
            store=store,
            manners=Manners(
                mode=settings.mode,
                blocked=settings.blocked,
                trusted=frozenset(split_list(settings.trusted)),
                pulls_per_owner=settings.pulls_per_owner,
                pulls_per_day=settings.pulls_per_day,
                quiet=Quiet(*settings.quiet) if settings.quiet else None,
                tag_prefix=settings.tag_prefix,
                section=settings.card_section,
                contact=settings.contact,
            ),
            overlap=timedelta(seconds=settings.poll_overlap_s),
            catch_up=timedelta(seconds=settings.catch_up_s),
            first_limit=settings.poll_limit,
            most_waiting=settings.backlog_limit,
            most_tries=settings.upload_tries,
            batch_size=settings.batch_size,
            fetch_threads=settings.fetch_threads,
            watch=watch,
            stopping=stopping or threading.Event(),
        )


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
    from hubbot.orders import VERBS, obey
    from hubbot.scheduler import Job, Schedule
    from hubbot.service.door import House, opened
    from hubbot.service.mailbox import Mailbox
    from hubbot.service.state import Live

    stopping, started, pace = threading.Event(), datetime.now(UTC), settings.poll_interval_s
    mailbox = Mailbox(settings.webhook_secret, is_repo_name)
    with open_bot(settings, watch=watch, stopping=stopping) as bot:
        jobs = [
            Job("look", pace, lambda: rounds.look(bot)),
            Job("read", min(pace, 1.0), lambda: rounds.read(bot)),
            Job("open", pace, lambda: rounds.open_due(bot)),
            Job("orders", min(pace, 2.0), lambda: obey(bot)),
            Job("webhooks", min(pace, 2.0), lambda: rounds.look_at(bot, mailbox.empty())),
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
            return Live(started, settings.mode, schedule.states(), told, lost, bot.hub.rates())

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
        return drafted(reader, repo, settings.contact)


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


def tell(repo: str, settings: Settings | None = None) -> Telling:
    """What one model was trained on, how sure, and from what; nothing is written anywhere.

    Args:
        repo: `owner/name` on the Hub.
        settings: read from the environment and hubbot.toml by default.

    Raises:
        RepoNotFound: no such repo. Everything less ends as the reading's abstention.

    Example:
        >>> hubbot.tell("maria-k/vit-finetuned-0421").reading.recognised  # doctest: +SKIP
    """
    from hubbot.rounds import consult

    if repo.count("/") != 1 or not all(repo.split("/")):
        raise UsageError(f"{repo!r} is not a repo", hint="a repo is written owner/name")
    with open_reader(settings or load()) as reader:
        seen, reading = consult(reader, repo)
        return Telling(seen.upload, seen.placement, reading, seen.expert)


def open_library(database: str | None = None) -> Library:
    """The read side: search, models, trees; for the Space and for `hubbot search`.

    Args:
        database: a SQLAlchemy address or a path of an SQLite file; the settings' by default.
    """
    from hubbot.encoders.loading import load as load_encoder
    from hubbot.library import Library

    settings = load(database_url=database)
    return Library(open_store(settings, read_only=True), load_encoder, endpoint=settings.endpoint)
