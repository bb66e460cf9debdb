"""The store: every record of the bot, in one SQLite file.

Each call is one transaction, begun and ended here; records go in and come out, rows never do. Calls may
come from any thread. Whoever runs the bot holds `lock()`; readers, and commands from elsewhere, need not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, SQLAlchemyError, StatementError
from sqlalchemy.orm import Session

from hubbot.errors import StoreError, StoreMissing, StoreUnavailable
from hubbot.records import (
    ExpertInfo,
    Findable,
    Glance,
    Judgement,
    Placement,
    Reading,
    Relative,
    Suggestion,
    SuggestionState,
    TextHead,
    Upload,
)
from hubbot.store import (
    changes,
    commands,
    connection,
    copies,
    counts,
    findable,
    forest,
    judgements,
    kin,
    lock,
    promotions,
    readings,
    schema,
    suggestions,
    survey,
    uploads,
)
from hubbot.store import (
    choice as choices,
)
from hubbot.store.changes import Clock
from hubbot.store.choice import Choice
from hubbot.store.commands import Command
from hubbot.store.counts import Outcomes, Status
from hubbot.store.forest import Brood, Tree
from hubbot.store.kin import Entry, Family, KnownBy
from hubbot.store.promotions import Promotion
from hubbot.store.survey import Known, Standing, Vectors

if TYPE_CHECKING:
    from hubbot.records import Floats

P = ParamSpec("P")
T = TypeVar("T")

PAGE = 500
"""Readings that are fetched in one transaction; a reader holds none while its user thinks."""


class Store:
    """Opened with `Store.open`; closed with `close`, or by a `with` block."""

    def __init__(self, path: Path, engine: Engine, *, read_only: bool) -> None:
        self.path, self.read_only = path, read_only
        self._reader, self._writer = engine, connection.for_writing(engine)

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, frozen: bool = False) -> Store:
        """Open a database, and bring it to the tables of today; with `read_only`, never touch it.

        Args:
            frozen: nobody writes to it, ever, and it may come from elsewhere; read only as well.

        Raises:
            StoreError: no SQLite file, not writable, damaged, not hubbot's, of a newer hubbot, or, with
                `read_only`, missing or of an older one.
        """
        path = connection.database_path(url)
        if read_only or frozen:
            if not path.is_file():
                raise StoreMissing("there is no database yet", file=str(path), hint="`hubbot poll` makes one")
            store = cls(path, connection.reading_engine(path, frozen=frozen), read_only=True)
        else:
            with _speaking(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            store = cls(path, connection.writing_engine(path), read_only=False)
        try:
            store._agree()
        except BaseException:
            store.close()
            raise
        return store

    def _agree(self) -> None:
        found = self.schema_version()
        if found == schema.NEWEST:
            return
        if self.read_only:
            raise StoreError(
                f"the database is at schema {found}, {schema.NEWEST} is needed",
                file=str(self.path),
                hint="`hubbot db upgrade`",
            )
        self.upgrade()

    def upgrade(self) -> None:
        """Run the migrations that are missing; none, on a database of today."""
        with _speaking(self.path):
            schema.upgrade(self.path)

    def schema_version(self) -> str | None:
        """The migration that the database is at; None before the first."""
        with _speaking(self.path), self._reader.connect() as conn:
            return schema.version(conn)

    def copy_for_readers(self, target: Path) -> dict[str, int]:
        """What strangers may have of it, as a new file that nobody writes to; how many rows of each kind."""
        with _speaking(self.path):
            return copies.copy(self.path, target)

    def close(self) -> None:
        self._reader.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- who writes ---

    @property
    def lock_path(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def lock(self, owner: str) -> AbstractContextManager[None]:
        """Be the one bot of this database while the block runs; raises StoreLocked where there is one."""
        return lock.lock(self.lock_path, owner)

    def locked_by(self) -> str | None:
        """Who that is, for people."""
        return lock.locked_by(self.lock_path)

    # --- uploads ---

    def watermark(self, endpoint: str) -> datetime | None:
        return self._read(uploads.watermark, endpoint)

    def set_watermark(self, endpoint: str, at: datetime) -> None:
        self._write(uploads.set_watermark, endpoint, at)

    def save_upload(self, upload: Upload) -> None:
        self._write(uploads.save, upload)

    def upload(self, repo: str) -> Upload | None:
        return self._read(uploads.get, repo)

    def finish_upload(self, upload: Upload) -> None:
        """Nothing is left to be done for this commit; the last step of its path."""
        self._write(uploads.finish, upload)

    def is_finished(self, upload: Upload) -> bool:
        """Whether this very commit was led to the end of the path; a poll's overlap lists many twice."""
        return self._read(uploads.is_finished, upload)

    def notice(self, page: Iterable[Upload]) -> int:
        """Write down those whose commit is not known yet, as unfinished; how many these are."""
        return self._write(uploads.notice, page)

    def backlog(self) -> int:
        """How many uploads were noticed and have not come to the end of the path."""
        return self._read(uploads.backlog)

    def due(self, now: datetime, limit: int | None = None, after: Upload | None = None) -> list[Upload]:
        """Of these, those that are to be tried by now, the oldest first; in pages, if `after` is the last."""
        return self._read(uploads.due, now, limit, after)

    def unchecked(self, limit: int) -> list[Upload]:
        """Finished ones that the Hub was not asked about for the longest time."""
        return self._read(uploads.unchecked, limit)

    def check(self, repo: str) -> None:
        """The Hub says that it is still there."""
        self._write(uploads.check, repo)

    def forget(self, repo: str) -> None:
        """The Hub says that it is gone: it is not asked about again, and no judgement of it holds."""
        self._write(judgements.forget, repo)

    def postpone(self, upload: Upload, due_at: datetime) -> None:
        """A passing fault left it to a later poll; the upload must have been saved before."""
        self._write(uploads.postpone, upload, due_at)

    def tries(self, upload: Upload) -> int:
        """How often that has happened to this very commit."""
        return self._read(uploads.tries, upload)

    def uploads(self, limit: int | None = None, tree: str | None = None) -> list[Upload]:
        """The newest first; of one tree, if one is named."""
        return self._read(uploads.newest, limit, tree)

    # --- trees and experts ---

    def ensure_tree(self, root: str, aliases: Iterable[str] = ()) -> None:
        self._write(forest.ensure_tree, root, aliases)

    def trees(self) -> list[Tree]:
        return self._read(forest.trees)

    def save_placement(self, placement: Placement) -> None:
        """The upload must have been saved before."""
        self._write(forest.save_placement, placement)

    def placement(self, repo: str) -> Placement | None:
        return self._read(forest.placement, repo)

    def chosen(self, choice: Choice) -> list[str]:
        """The models of a tree that an admin chooses, by name."""
        return self._read(choices.chosen, choice)

    def tree_members(self, root: str) -> list[Placement]:
        return self._read(forest.members, root)

    def conclude(
        self,
        upload: Upload,
        placements: Iterable[Placement],
        reading: Reading,
        entry: Entry | None = None,
        said: Sequence[Judgement] = (),
    ) -> bool:
        """All that came of an upload, in one transaction: False where its reading was there before.

        Args:
            placements: its own, and those that its coming changed.
            entry: what its kin know it by, if it has any of that.
            said: what autoencoders said of it; older judgements hold no more.
        """
        return self._write(kin.conclude, upload, placements, reading, entry, said)

    def coarse(self, tree: str | None, form: str) -> list[tuple[str, Floats]]:
        """The coarse sketches of a tree's members, or of what stands in none."""
        return self._read(kin.coarse, tree, form)

    def relatives(
        self, repos: Collection[str], tree: str | None, form: str
    ) -> tuple[list[Relative], dict[str, Placement]]:
        """Those of these repos that stand in the tree, then their parents; with the placements of all."""
        return self._read(kin.relatives, repos, tree, form)

    def elsewhere(self, repos: Collection[str], tree: str | None) -> set[str]:
        """Those of these repos that stand in another tree than this one."""
        return self._read(kin.elsewhere, repos, tree)

    def family_of(self, repo: str) -> str | None:
        return self._read(kin.family_of, repo)

    def families(self) -> list[Family]:
        """Unplaced models that resemble one another, the largest family first."""
        return self._read(kin.families)

    def family_members(self, family: str) -> list[str]:
        return self._read(kin.family_members, family)

    def save_root(self, known: KnownBy) -> None:
        self._write(kin.save_root, known)

    def roots(self) -> list[KnownBy]:
        """The roots that admins added, with what they are known by."""
        return self._read(kin.roots)

    def children(self, parent: str) -> list[Placement]:
        """Whoever has this parent, whatever its tree."""
        return self._read(forest.children, parent)

    def ancestors(self, repo: str) -> list[str]:
        """Its parent, that one's parent and so on, as far as it is known."""
        return self._read(forest.ancestors, repo)

    def brood(self, parent: str, limit: int) -> Brood:
        """The first children of a parent, and how many it has."""
        return self._read(forest.brood, parent, limit)

    def save_expert(self, info: ExpertInfo, head: TextHead | None = None) -> None:
        """With its text head, if it has one, so that a search needs no expert's folder."""
        self._write(forest.save_expert, info, head)

    def text_head(self, name: str, version: str) -> TextHead | None:
        return self._read(forest.text_head, name, version)

    def experts(self) -> list[ExpertInfo]:
        return self._read(forest.experts)

    def expert_versions(self) -> set[tuple[str, str]]:
        """Names and versions of all that were ever saved."""
        return self._read(forest.expert_versions)

    def promote(self, tree: str, expert: str, version: str) -> None:
        """Have this version answer for the tree."""
        self._write(promotions.promote, tree, expert, version)

    def take_back(self, tree: str, expert: str, version: str) -> bool:
        """The one before it answers again; False where it is not the one that was promoted last."""
        return self._write(promotions.take_back, tree, expert, version)

    def promotions(self) -> list[Promotion]:
        """Those that hold, one for each tree that has any; the one promoted last comes last."""
        return self._read(promotions.present)

    # --- many at once ---

    def state(self) -> object:
        """Differs when the database has been written to: SQLite touches the file or its log."""
        return [touched(file) for file in (self.path, self.path.with_name(self.path.name + "-wal"))]

    def standings(self, root: str) -> list[Standing]:
        """All members of a tree in brief, the newest first."""
        return self._read(survey.standings, root)

    def lately(self, roots: Sequence[str], most: int) -> dict[str, list[tuple[str, ...]]]:
        """What was recognised in the models of each tree, as many as were read last."""
        return self._read(survey.lately, roots, most)

    def vectors(self, root: str, most: int, of_labels: Collection[tuple[str, str]]) -> Vectors | None:
        """What an expert said of the models of a tree that were read last; see `survey.vectors`."""
        return self._read(survey.vectors, root, most, of_labels)

    def newest(
        self, root: str | None, limit: int, offset: int = 0, label: str | None = None
    ) -> tuple[list[Known], int]:
        """A page of a tree's models, or of those in no tree, the newest first; and how many there are.

        Args:
            label: only those in which this was recognised.
        """
        repos, total = self._read(survey.newest, root, limit, offset, label)
        return self.several(repos), total

    def several(self, repos: Sequence[str]) -> list[Known]:
        """All that is kept of these models, in this order."""
        return self._read(survey.several, repos)

    # --- readings ---

    def has_reading(self, repo: str, expert: str, version: str, content_ids: Collection[str]) -> bool:
        return self._read(readings.has, repo, expert, version, content_ids)

    def record(self, reading: Reading) -> bool:
        """One transaction, idempotent: False where this reading was there, which now holds again."""
        return self._write(readings.record, reading)

    def reading(self, repo: str) -> Reading | None:
        """The one that holds: the last recorded."""
        return self._read(readings.latest, repo)

    def readings(self, tree: str | None = None) -> Iterator[Reading]:
        """The one that holds of each repo, by repo."""
        after = ""
        while page := self._read(readings.page, tree, after, PAGE):
            yield from page
            after = page[-1].repo

    def readings_by_version(self) -> dict[tuple[str, str], tuple[int, int]]:
        """In how many repos the word of each expert's each version holds: answers, and abstentions."""
        return self._read(readings.by_version)

    def judgements(self, repo: str) -> list[Judgement]:
        """All that autoencoders ever said of a repo's weights; `several` has those that hold."""
        return self._read(judgements.ever, repo)

    def hold_again(self, roots: Collection[str], expert: str, version: str) -> int:
        """What this version said of weights that others have read since holds again; of how many repos."""
        return self._write(readings.hold_again, roots, expert, version)

    def read_by_others(self, roots: Collection[str], expert: str, version: str) -> int:
        """In how many repos of the tree the word of another expert, or another version, holds."""
        return self._read(readings.read_by_others, roots, expert, version)

    # --- for whoever searches ---

    def clock(self) -> Clock:
        """How often the database has changed."""
        return self._read(changes.clock)

    def changed(self, since: int) -> list[str]:
        """The repos that a search would find to be others than at that time, by name."""
        return self._read(changes.changed, since)

    def findable(self, repos: Sequence[str]) -> list[Findable]:
        """Those of these repos that can be found, by name; of no more than `PAGE` at once."""
        with _speaking(self.path), self._reader.connect() as connection:
            return findable.some(connection, repos)

    @contextmanager
    def all_findable(self) -> Iterator[tuple[Clock, Iterator[list[Findable]]]]:
        """All that can be found, in pages by name, as of one time."""
        with _speaking(self.path), Session(self._reader) as session, session.begin():
            yield changes.clock(session), findable.pages(session.connection())

    def glances(self, repos: Sequence[str]) -> dict[str, Glance]:
        """What is shown of these repos among others; of those that were read."""
        with _speaking(self.path), self._reader.connect() as connection:
            return findable.glances(connection, repos)

    # --- suggestions ---

    def save_suggestion(self, suggestion: Suggestion, *, asked: bool = False) -> None:
        """Raises StoreError for a state that cannot follow; `asked` by the owner breaks the silence."""
        self._write(suggestions.save, suggestion, asked=asked)

    def suggestion(self, repo: str) -> Suggestion | None:
        return self._read(suggestions.latest, repo)

    def shown(self, repo: str) -> Suggestion | None:
        """The newest suggestion that others have seen: open, merged or closed. The policy asks for it."""
        return self._read(suggestions.shown, repo)

    def suggestion_history(self, repo: str) -> list[Suggestion]:
        return self._read(suggestions.history, repo)

    def suggestions(
        self, state: SuggestionState | None = None, *, within: str = "", limit: int | None = None
    ) -> list[Suggestion]:
        """The latest of each repo, the oldest first; of those alone whose names hold what is in `within`."""
        return self._read(suggestions.all_latest, state, within, limit)

    def suggestions_by_state(self) -> dict[str, int]:
        return self._read(suggestions.by_state)

    def asked_at(self, repo: str) -> datetime | None:
        """When the Hub was last asked to open the latest suggestion's pull request, if it was."""
        return self._read(suggestions.asked_at, repo)

    def opened_since(self, at: datetime, owner: str | None = None, besides: str | None = None) -> int:
        """Pull requests opened since then, merged and closed ones too; `besides` is a repo not counted."""
        return self._read(suggestions.opened_since, at, owner, besides)

    def open_now(self, owner: str | None = None, besides: str | None = None) -> int:
        """Pull requests that wait for an answer."""
        return self._read(suggestions.open_now, owner, besides)

    # --- commands ---

    def enqueue(self, verb: str, args: Mapping[str, Any], by: str) -> int:
        return self._write(commands.enqueue, verb, args, by)

    def next_command(self) -> Command | None:
        """The oldest unfinished command; the same one again until `finish_command`."""
        return self._write(commands.begin_next)

    def command(self, number: int) -> Command | None:
        return self._read(commands.get, number)

    def advance_command(self, command: int, progress: Mapping[str, Any]) -> None:
        """Write down how far a command has come, for whoever watches and for whoever goes on with it."""
        self._write(commands.advance, command, progress)

    def finish_command(self, command: int, outcome: str) -> None:
        self._write(commands.finish, command, outcome)

    def commands(self, limit: int = 50) -> list[Command]:
        """The audit trail, the newest first."""
        return self._read(commands.newest, limit)

    def status(self, now: datetime | None = None) -> Status:
        """Backlog, answers, reasons, suggestions: where the bot stands, now by default."""
        return self._read(counts.status, now or datetime.now(UTC))

    def outcomes(self) -> Outcomes:
        """What became of our pull requests, by tree and by tag."""
        return self._read(counts.outcomes)

    def counts(self) -> dict[str, int]:
        return self._read(counts.counts)

    # --- transactions ---

    def _read(self, query: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        with _speaking(self.path), Session(self._reader) as session, session.begin():
            return query(session, *args, **kwargs)

    def _write(self, change: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.read_only:
            raise StoreError("this database was opened to be read only", file=str(self.path))
        with _speaking(self.path), Session(self._writer) as session, session.begin():
            return change(session, *args, **kwargs)


def touched(file: Path) -> tuple[int, int] | None:
    """Differs when a file was written to; None of one that is not there."""
    try:
        about = file.stat()
    except FileNotFoundError:
        return None
    return about.st_mtime_ns, about.st_size


@contextmanager
def _speaking(path: Path) -> Iterator[None]:
    """Whatever the database or the disk complain of, said in one sentence with the file's name."""
    try:
        yield
    except StoreError as error:
        if error.repo or error.file:
            raise
        raise StoreError(error.message, file=str(path), hint=error.hint) from error
    except (SQLAlchemyError, sqlite3.Error, OSError, OverflowError, RecursionError) as error:
        # Of the database, which may be well again, or of what was to be written, which never will.
        ours = isinstance(error, OSError | sqlite3.Error) or type(error) in (OperationalError, DatabaseError)
        raise (StoreUnavailable if ours else StoreError)(_sentence(error), file=str(path)) from error


def _sentence(error: Exception) -> str:
    cause = str(error.orig) if isinstance(error, StatementError) and error.orig else str(error)
    known = {
        "file is not a database": "this is no SQLite database",
        "malformed": "the database is damaged: restore a copy, or delete it and poll again",
        "unable to open": "the database cannot be opened: is the folder there, and ours to write in?",
        "readonly": "the database may not be written to",
        "locked": "another process kept the database busy for too long",
        "disk is full": "the disk is full",
        "FOREIGN KEY": "it refers to an upload that was never saved",
    }
    for sign, sentence in known.items():
        if sign in cause:
            return sentence
    ours = isinstance(error, DBAPIError | OSError | sqlite3.Error)
    return f"the database cannot be used: {cause}" if ours else cause
