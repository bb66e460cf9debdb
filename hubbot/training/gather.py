"""Far models onto a shelf: from each the header and the bytes of a few layers, by range, once.

What lies on the shelf already is not asked for again, neither at the same commit nor, after a commit that
left the weights alone, at another. Several repos are under way at once; one hand alone writes to the shelf,
in the catalogue's order, so that a split's rows lie side by side. A bad repo is left out and named.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from hubbot.errors import HubbotError, HubUnavailable, RateLimited, RepoNotFound, WeightsError
from hubbot.hub import uploads
from hubbot.hub.client import Hub
from hubbot.hub.files import check_open, listed
from hubbot.hub.tensors import notes, read
from hubbot.records import Kind, RemoteFile, Tensors, Upload, Wanted
from hubbot.training.catalogue import Catalogue, Entry, Skipped, lead_of
from hubbot.training.shelf import Kept, Shelf
from hubbot.weights import pairs
from hubbot.weights.dtypes import Floats

S = TypeVar("S")
T = TypeVar("T")

PASSING = (HubUnavailable, RateLimited)
TOLERATED = 0.02
"""The share of models, or one, that the Hub may fail to give before the reading counts as interrupted."""

NOTES = (
    "dataset_chosen_targets",
    "imagenet_class_id",
    "imagenet_class_name",
    "base_model",
    "pretrained_model_name_or_path",
)
"""Of a file's own metadata, what training looks at."""

MAX_NOTE = 100_000


@dataclass
class Gathered:
    """What lies on the shelf now.

    Args:
        models: each entry that could be read, in the catalogue's order.
        bytes_read: body bytes that crossed the wire for them in this run.
        bytes_stored: size of their files on the Hub.
    """

    models: dict[Entry, Kept] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    bytes_read: int = 0

    @property
    def bytes_stored(self) -> int:
        return sum(kept.file.size for kept in self.models.values())


@dataclass(frozen=True, slots=True)
class _Fetched:
    """One model's layers, as they came."""

    tensors: Tensors
    notes: Mapping[str, str]
    parts: Mapping[str, Floats]


def gather(
    hub: Hub,
    shelf: Shelf,
    catalogue: Catalogue,
    wanted: Sequence[Wanted],
    *,
    threads: int = 8,
    watch: Callable[[Entry], None] = lambda _: None,
) -> Gathered:
    """Have the wanted layers of all models of a catalogue on the shelf.

    Args:
        watch: told of each model that is dealt with.

    Raises:
        HubUnavailable: so many models could not be had that the Hub must be sick; what came is kept.
        ZooError: the shelf is full.
    """
    work = _Gathering(hub, shelf, catalogue, wanted, threads, watch)
    heads = work.heads()
    files = work.files(heads)
    work.fetch(heads, files)
    missed = sum(isinstance(error, PASSING) for error in work.faults.values())
    if missed > max(1, TOLERATED * len(catalogue.entries)):
        one = next(error for error in work.faults.values() if isinstance(error, PASSING))
        hint = "the same command goes on from here; what came is kept"
        raise HubUnavailable(f"{missed} models could not be had, the last words: {one}", hint=hint)
    return work.result()


class _Gathering:
    """One run of `gather`: heads of repos, then files, then bytes."""

    def __init__(
        self,
        hub: Hub,
        shelf: Shelf,
        catalogue: Catalogue,
        wanted: Sequence[Wanted],
        threads: int,
        watch: Callable[[Entry], None],
    ) -> None:
        self.hub, self.shelf, self.catalogue = hub, shelf, catalogue
        self.wanted, self.threads, self.watch = wanted, threads, watch
        self.parts = {name for want in wanted for name in part_names(want)}
        self.kept: dict[Entry, Kept] = {}
        self.faults: dict[Entry, HubbotError] = {}
        self.bytes_read = 0

    def heads(self) -> dict[str, Upload]:
        """The head of every repo."""
        known = dict(self.catalogue.uploads)
        entries = self.by_repo(entry for entry in self.catalogue.entries if entry.repo not in known)
        for repo, found in in_order(lambda repo: uploads.one(self.hub, repo), list(entries), self.threads):
            if isinstance(found, HubbotError):
                self.fail(entries[repo], found)
            else:
                known[repo] = found
        return known

    def files(self, heads: Mapping[str, Upload]) -> dict[Entry, RemoteFile]:
        """The file of every model of which something is still to be read."""
        leads: dict[Entry, str] = {}
        for entry in self.catalogue.entries:
            if entry in self.faults:
                continue
            try:
                check_open(heads[entry.repo])
                leads[entry] = lead_of(heads[entry.repo], entry)
            except HubbotError as error:
                self.fail([entry], error)
                continue
            kept = self.shelf.at_commit(entry.repo, heads[entry.repo].commit, leads[entry])
            if kept is not None and self.has_all(kept):
                self.done(entry, kept)
        missing = self.by_repo(entry for entry in leads if entry not in self.kept)
        paths = {repo: [leads[entry] for entry in entries] for repo, entries in missing.items()}
        found: dict[Entry, RemoteFile] = {}
        for repo, told in in_order(lambda r: listed(self.hub, heads[r], paths[r]), list(paths), self.threads):
            for entry in missing[repo]:
                if isinstance(told, HubbotError):
                    self.fail([entry], told)
                elif leads[entry] in told:
                    found[entry] = told[leads[entry]]
                else:
                    self.fail([entry], RepoNotFound("no such file", repo=repo, file=leads[entry]))
        return found

    def fetch(self, heads: Mapping[str, Upload], files: Mapping[Entry, RemoteFile]) -> None:
        """The bytes of what the shelf lacks."""
        lacking = []
        for entry, file in files.items():
            kept = self.shelf.with_content(entry.repo, file)
            if kept is not None and self.has_all(kept):
                self.done(entry, self.shelf.put(entry.repo, heads[entry.repo].commit, file, kept.notes, {}))
            else:
                lacking.append(entry)
        for entry, got in in_order(
            lambda e: _fetch(self.hub, heads[e.repo], files[e], self.wanted), lacking, self.threads
        ):
            if isinstance(got, HubbotError):
                self.fail([entry], got)
                continue
            self.bytes_read += got.tensors.bytes_read
            commit = heads[entry.repo].commit
            self.done(entry, self.shelf.put(entry.repo, commit, files[entry], got.notes, got.parts))

    def result(self) -> Gathered:
        """In the catalogue's order."""
        entries = self.catalogue.entries
        return Gathered(
            {entry: self.kept[entry] for entry in entries if entry in self.kept},
            [Skipped.of(self.faults[entry], entry) for entry in entries if entry in self.faults],
            self.bytes_read,
        )

    def has_all(self, kept: Kept) -> bool:
        return self.shelf.has(kept, self.parts)

    def done(self, entry: Entry, kept: Kept) -> None:
        self.kept[entry] = kept
        self.watch(entry)

    def fail(self, entries: Iterable[Entry], error: HubbotError) -> None:
        for entry in entries:
            self.faults[entry] = error
            self.watch(entry)

    @staticmethod
    def by_repo(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            found[entry.repo].append(entry)
        return found


def part_names(want: Wanted) -> tuple[str, ...]:
    """Under which names a layer lies on the shelf: itself, or its two factors A and B."""
    return (f"{want.name}/A", f"{want.name}/B") if want.kind is Kind.LORA else (want.name,)


def _fetch(hub: Hub, upload: Upload, file: RemoteFile, wanted: Sequence[Wanted]) -> _Fetched:
    tensors = read(hub, upload, wanted, file)
    said = notes(hub, upload, file)
    kept = {name: said[name] for name in NOTES if len(said.get(name, "")) in range(1, MAX_NOTE)}
    parts: dict[str, Floats] = {}
    for want in wanted:
        stored = pairs.pair(want.name, tensors.values) if want.kind is Kind.LORA else (want.name,)
        for part, name in zip(part_names(want), stored or (), strict=True):
            parts[part] = tensors.values[name]
            if not np.isfinite(parts[part]).all():
                why = "it holds numbers that are not finite"
                raise WeightsError(why, repo=upload.repo, file=file.path, tensor=name)
    return _Fetched(tensors, kept, parts)


def in_order(call: Callable[[S], T], items: Sequence[S], threads: int) -> Iterator[tuple[S, T | HubbotError]]:
    """What a call gives for each item, or the error it raises, in the items' order and a few at a time.

    No more than twice as many items as threads are ahead of whoever takes the results.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gather")
    under_way: deque[tuple[S, Future[T]]] = deque()
    waiting = iter(items)
    try:
        while True:
            while len(under_way) < 2 * threads and (item := next(waiting, None)) is not None:
                under_way.append((item, pool.submit(call, item)))
            if not under_way:
                return
            item, future = under_way.popleft()
            try:
                yield item, future.result()
            except HubbotError as error:
                yield item, error
    finally:
        pool.shutdown(cancel_futures=True)
