"""The only wiring: Settings in, a bot on its path out.

Everything that admins, the demo and the Space do is opened here, so that nothing above knows which door
stands behind a setting. Torch is not imported: the engine's worker does that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from hubbot.errors import StoreError, UsageError
from hubbot.index.question import LANGUAGE as LANGUAGE  # said again for the command line
from hubbot.records import AutoencoderInfo, ExpertInfo, Judgement, Placement, Reading, Upload
from hubbot.settings import Settings, load, split_list

if TYPE_CHECKING:
    from hubbot.bot import Bot, Event, Manners, Reader
    from hubbot.desk import Desk
    from hubbot.experts.router import Router
    from hubbot.following import Following
    from hubbot.hub.client import Hub
    from hubbot.library import Library
    from hubbot.publishing.manifest import Manifest
    from hubbot.searching import SearchAnswer
    from hubbot.store.kin import KnownBy
    from hubbot.store.promotions import Promotion
    from hubbot.store.store import Store

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Telling:
    """One model, one answer: what it is, where it belongs, what its expert and autoencoders said."""

    upload: Upload
    placement: Placement
    reading: Reading
    expert: ExpertInfo | None
    judgements: tuple[Judgement, ...] = ()


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
    from hubbot.experts.schema import CONFIG, TRAINED_ON, WEIGHTS
    from hubbot.experts.trust import EVALUATION, trust

    files = (CONFIG, WEIGHTS, TRAINED_ON, EVALUATION)
    folders = [*shipped(), *_folders(settings, settings.expert_places, files)]
    return tuple(replace(describe(folder), trust=trust(folder)) for folder in folders)


def autoencoders(settings: Settings) -> tuple[AutoencoderInfo, ...]:
    """The autoencoders that the settings name: what they say of a model's training is told with readings."""
    if not settings.sane_places:
        return ()
    from hubbot.sane.schema import CONFIG, WEIGHTS, describe

    return tuple(describe(folder) for folder in _folders(settings, settings.sane_places, (CONFIG, WEIGHTS)))


def _folders(settings: Settings, places: Sequence[str], files: Sequence[str]) -> Iterator[Path]:
    """Folders as they are; what is no folder is a repo, of which a snapshot of these files is fetched."""
    for place in places:
        folder = Path(place).expanduser()
        if folder.is_dir() or place.count("/") != 1:
            yield folder
            continue
        from hubbot.hub.snapshots import snapshot

        with open_hub(settings) as hub:
            yield snapshot(hub, place, files, settings.home_path / "experts")


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
    from hubbot.bot import Reader
    from hubbot.engine import Engine
    from hubbot.experts.artifact import fingerprint
    from hubbot.growth import planted
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
        yield Reader(
            hub=hub,
            forest=forest,
            router=minds,
            engine=engine,
            autoencoders=autoencoders(settings),
            most_whole_bytes=settings.sane_bytes,
        )


def _remembered(settings: Settings, ask: Callable[[Store], Sequence[T]]) -> Sequence[T]:
    try:
        with open_store(settings, read_only=True) as store:
            return ask(store)
    except StoreError:  # none yet, or of an older hubbot: what is asked here needs none
        return ()


def manners_of(settings: Settings) -> Manners:
    """What others may see of a bot with these settings."""
    from hubbot.bot import Manners
    from hubbot.policy import Quiet

    return Manners(
        mode=settings.mode,
        blocked=settings.blocked,
        trusted=frozenset(split_list(settings.trusted)),
        pulls_per_owner=settings.pulls_per_owner,
        pulls_per_day=settings.pulls_per_day,
        quiet=Quiet(*settings.quiet) if settings.quiet else None,
        tag_prefix=settings.tag_prefix,
        section=settings.card_section,
        contact=settings.contact,
    )


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
    from hubbot.bot import Bot
    from hubbot.experts.artifact import text_head

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
            manners=manners_of(settings),
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
        said = seen.judging.said if seen.judging else ()
        return Telling(seen.upload, seen.placement, reading, seen.expert, said)


def open_desk(database: str | None = None) -> Desk | None:
    """Where admins review suggestions, for the Space; None where no setting lets anybody in.

    Args:
        database: as for `open_library`.
    """
    from hubbot.desk import Desk

    settings = load(database_url=database)
    admins = frozenset(name.casefold() for name in split_list(settings.admins))
    published = settings.snapshot and not database  # in which nothing waits for anybody
    if published or (not admins and not settings.review_password):
        return None
    store = open_store(settings, read_only=True)
    return Desk(store, password=settings.review_password, admins=admins)


def build_index(settings: Settings) -> int:
    """Make the index of the database in force anew; how many models it holds."""
    from hubbot.indexing import build

    with open_store(settings, read_only=True) as store:
        return build(store)


def search(
    text: str, limit: int = 10, *, tree: str | None = None, database: str | None = None
) -> SearchAnswer:
    """Find models by saying what you want, in the database of the settings.

    Args:
        text: words, and what else the models must be like: see `LANGUAGE`.
        tree: only models of this root.
        database: another database than the settings'.

    Example:
        >>> hubbot.search("a dog -cat license:mit").hits[0].repo  # doctest: +SKIP
    """
    library = open_library(database)
    try:
        return library.search(text, tree, limit)
    finally:
        library.close()


def open_library(database: str | None = None, snapshot: str | None = None) -> Library:
    """The read side: search, models, trees; for the Space and for `hubbot search`.

    Of a snapshot it is a library that goes over to the next one by itself, see `hubbot.following`.

    Args:
        database: a SQLAlchemy address or a path of an SQLite file; the settings' by default.
        snapshot: in place of a database a folder that snapshots lie in, or a Hub dataset that they are pulled
            from; the settings' by default, unless a database is named here.
    """
    settings = load(database_url=database, snapshot=snapshot)
    return library_of(settings if snapshot or not database else replace(settings, snapshot=""))


def library_of(settings: Settings) -> Library:
    """The read side that the settings name: of a snapshot, else of the database in force."""
    if settings.snapshot:
        return cast("Library", _following(settings))
    return _library(open_store(settings, read_only=True), settings)


def _library(store: Store, settings: Settings, snapshot: Path | None = None) -> Library:
    from hubbot.encoders.loading import load as encoder
    from hubbot.library import Library

    load_encoder = partial(encoder, kept=settings.texts)
    if snapshot is None:
        return Library(store, load_encoder, endpoint=settings.endpoint)
    from hubbot.publishing.pictures import kept

    return Library(store, load_encoder, endpoint=settings.endpoint, pictures=kept(snapshot))


def _following(settings: Settings) -> Following:
    from hubbot.following import Following
    from hubbot.publishing.manifest import DATABASE
    from hubbot.publishing.shelf import Shelf
    from hubbot.store.store import Store

    def read(place: Path | None) -> tuple[Store, Library]:
        if place is None:  # nothing came yet: an empty database says so on every page
            empty = f"sqlite:///{settings.home_path / 'nothing-yet.db'}"
            Store.open(empty).close()
            store = Store.open(empty, read_only=True)
        else:
            store = Store.open(f"sqlite:///{place / DATABASE}", frozen=True)
        return store, _library(store, settings, place)

    folder = Path(settings.snapshot).expanduser()
    if folder.is_dir() or not is_repo(settings.snapshot):
        return Following(Shelf(folder), read)
    shelf = Shelf(pulled_to(settings, settings.snapshot))
    pull = partial(pull_snapshot, settings, settings.snapshot, shelf.folder)
    return Following(shelf, read, pull, interval_s=settings.snapshot_interval_s)


def build_snapshot(settings: Settings, folder: Path, pictures: int = 0) -> tuple[Path, Manifest]:
    """A snapshot of the database in force: where it lies, and what is in it.

    Args:
        folder: the shelf that it comes to lie on.
        pictures: so many are fetched from the Hub and put beside it.
    """
    from hubbot.library import picture_file
    from hubbot.publishing.build import build
    from hubbot.publishing.pictures import gather
    from hubbot.publishing.shelf import Shelf

    shelf = Shelf(folder)

    def add(incoming: Path) -> None:
        if pictures:
            with open_hub(settings, patient=True) as hub:
                gather(hub, incoming, pictures, picture_file, shelf.current())

    with open_store(settings, read_only=True) as store:
        return build(store, shelf, add=add)


def is_repo(text: str) -> bool:
    """Whether it is written as a repo is, `owner/name`."""
    return text.count("/") == 1 and all(text.split("/")) and not text.startswith((".", "~"))


def pulled_to(settings: Settings, repo: str) -> Path:
    """Where the snapshots of a repo lie by default."""
    return settings.home_path / "pulled" / repo.replace("/", "--")


def pull_snapshot(settings: Settings, repo: str, folder: Path) -> tuple[Path, bool]:
    """The newest snapshot of a repo onto this disk: where it lies, and whether it is a new one."""
    from hubbot.publishing.exchange import pull
    from hubbot.publishing.shelf import Shelf

    with open_hub(settings) as hub:
        return pull(
            hub, repo, Shelf(folder), most_bytes=settings.snapshot_bytes, threads=settings.fetch_threads
        )
