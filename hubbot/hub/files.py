"""The weight files of an upload: which they are, what their headers say, and bytes out of them.

config.json is never asked for, since that would count as a download of the model, and a pickle is never
opened. A header is read once per Hub object and counted once.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

from huggingface_hub.hf_api import RepoFile

from hubbot.errors import AccessDenied, HubUnavailable, RepoNotFound, TensorNotFound, WeightsError
from hubbot.hub.client import Hub
from hubbot.hub.families import INDEX, weights_of
from hubbot.hub.ranges import Meter, Place, Span, coalesced, read_span
from hubbot.records import RemoteFile, Upload
from hubbot.weights.dtypes import Floats, widen
from hubbot.weights.header import PREFIX_BYTES, Header, TensorEntry, header_length, parse_header
from hubbot.weights.shards import parse_index

ENTRY_BYTES, PARSED = 8_000, 10
"""What a small thing takes in the cache, keys and records around it; what a header takes, by its bytes."""
PATHS_PER_REQUEST = 500
MAX_SHARDS = 1_000
"""The largest models have some two hundred; each costs a request at least."""
DEAR_HEADER_BYTES = 1_000_000
"""JSON takes up to thirty times its bytes of memory, so larger headers are parsed one after the other."""
MAX_FILE_BYTES = 2**50
"""A petabyte; what claims more is none of this world, and no database would take the sum."""
_CONTENT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Family:
    """The weight files, and for a sharded model which of them each tensor lies in."""

    files: Mapping[str, RemoteFile]
    shard_of: Mapping[str, str] | None

    @property
    def total(self) -> int:
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose header is known, with the bytes that came along: `rest` begins where the header ends."""

    place: Place
    header: Header
    rest: bytes

    @property
    def known(self) -> Span:
        start = self.header.data_start
        return Span(start, start + len(self.rest))


def check_open(upload: Upload) -> None:
    """Gated, private and disabled repos are left alone, whatever our token may open.

    Raises:
        AccessDenied: it is one of them.
    """
    for state in ("gated", "private", "disabled"):
        if getattr(upload, state):
            raise AccessDenied(f"the repo is {state} and left alone", repo=upload.repo)


def listed(hub: Hub, upload: Upload, paths: Sequence[str]) -> dict[str, RemoteFile]:
    """Size and content id of files at the upload's commit; those that it has not are left out.

    Raises:
        HubError: the Hub did not give them.
    """
    found: dict[str, RemoteFile] = {}
    for at in range(0, len(paths), PATHS_PER_REQUEST):
        some = list(paths[at : at + PATHS_PER_REQUEST])
        ask = partial(hub.api.get_paths_info, upload.repo, some, revision=upload.commit)
        infos = hub.reading(ask, repo=upload.repo)
        found |= {info.path: _remote_file(upload.repo, info) for info in infos if isinstance(info, RepoFile)}
    return found


# --- which files, and what they hold ----------------------------------------------------------


def family_of(hub: Hub, upload: Upload, meter: Meter, file: RemoteFile | None = None) -> Family:
    """The weight files; of a bundle, the one that is named.

    Raises:
        AccessDenied: see `check_open`.
        UnsafeFormat: there are only pickles.
        WeightsError: no weights, or an index that is not believed.
        HubError: the Hub did not give them.
    """
    check_open(upload)
    if file is not None:
        return Family({file.path: file}, None)
    key = (upload.repo, upload.commit)
    known: Family | None = hub.cache.get(key)
    if known is None:
        known = _find_family(hub, upload, meter)
        hub.cache.put(key, known, cost=ENTRY_BYTES + 300 * len(known.shard_of or ()))
    return known


def _find_family(hub: Hub, upload: Upload, meter: Meter) -> Family:
    lead = weights_of(upload.files, repo=upload.repo)
    if lead != INDEX:
        return Family(_listed(hub, upload, [lead]), None)
    index = _listed(hub, upload, [lead])[lead]
    if index.size > hub.max_header_bytes:
        raise WeightsError(f"an index of {index.size} bytes is not read", repo=upload.repo, file=lead)
    raw = read_span(hub, Place(upload.repo, upload.commit, index), Span(0, index.size), meter)
    shard_of = parse_index(raw, files=upload.files, repo=upload.repo, file=lead)
    shards = sorted(set(shard_of.values()))
    if len(shards) > MAX_SHARDS:
        why = f"{len(shards)} shards are not read, limit {MAX_SHARDS}"
        raise WeightsError(why, repo=upload.repo, file=lead)
    return Family(_listed(hub, upload, shards), shard_of)


def _listed(hub: Hub, upload: Upload, paths: list[str]) -> dict[str, RemoteFile]:
    """The same; all of them must be there."""
    found = listed(hub, upload, paths)
    for path in paths:
        if path not in found:
            raise RepoNotFound("the repo has no such file at its commit", repo=upload.repo, file=path)
    return found


def _remote_file(repo: str, info: RepoFile) -> RemoteFile:
    content_id = info.lfs.sha256 if info.lfs else info.blob_id
    sized = type(info.size) is int and 0 <= info.size <= MAX_FILE_BYTES
    if not sized or not _CONTENT_ID.fullmatch(str(content_id)):
        raise HubUnavailable(
            "the Hub lists a file without size or content id", repo=repo, file=str(info.path)
        )
    return RemoteFile(str(info.path), info.size, str(content_id))


def entries_of(
    hub: Hub, upload: Upload, family: Family, names: Iterable[str] | None, meter: Meter
) -> dict[str, tuple[Opened, TensorEntry]]:
    """Where tensors lie: those named, or all. A single file has just one header, so it gives all anyway.

    Raises:
        TensorNotFound: a name that the files have not.
        WeightsError: a header that is not believed.
        HubError: the Hub did not give it.
    """
    if family.shard_of is None:
        [file] = family.files.values()
        source = open_file(hub, upload, file, meter)
        entries = {name: (source, entry) for name, entry in source.header.tensors.items()}
        for name in names or ():
            if name not in entries:
                raise TensorNotFound(repo=upload.repo, file=file.path, tensor=name)
        return entries
    entries = {}
    opened: dict[str, Opened] = {}
    for name in family.shard_of if names is None else names:
        if name not in family.shard_of:
            raise TensorNotFound(repo=upload.repo, file=INDEX, tensor=name)
        path = family.shard_of[name]
        if path not in opened:
            opened[path] = open_file(hub, upload, family.files[path], meter)
            _check_headers(hub, upload, opened.values())
        if name not in opened[path].header.tensors:
            why = "the index says that it lies here, and it does not"
            raise TensorNotFound(why, repo=upload.repo, file=path, tensor=name)
        entries[name] = (opened[path], opened[path].header.tensors[name])
    return entries


def _check_headers(hub: Hub, upload: Upload, opened: Iterable[Opened]) -> None:
    """One limit for the headers of all shards: each alone may be read, and a thousand of them may not."""
    total = sum(source.header.data_start for source in opened)
    if total > hub.max_header_bytes:
        why = f"headers of {total} bytes and more are not read, limit {hub.max_header_bytes}"
        raise WeightsError(why, repo=upload.repo, file=INDEX)


def open_file(hub: Hub, upload: Upload, file: RemoteFile, meter: Meter) -> Opened:
    """Read a file's header, in one request where the guess at its length is good."""
    key = (upload.repo, upload.commit, file.path)
    known: Opened | None = hub.cache.get(key)
    if known is None:
        known = _open_anew(hub, Place(upload.repo, upload.commit, file), meter)
        parsed = PARSED * known.header.data_start
        hub.cache.put(key, known, cost=ENTRY_BYTES + parsed + len(known.rest))
    return known


_one_dear = threading.Lock()


def _open_anew(hub: Hub, place: Place, meter: Meter) -> Opened:
    repo, file, size = place.repo, place.file.path, place.file.size
    guess = min(size, _likely_header(hub, place))
    head = read_span(hub, place, Span(0, guess), meter)
    length = header_length(head, file_size=size, limit=hub.max_header_bytes, repo=repo, file=file)
    end = PREFIX_BYTES + length
    if end > guess:
        head += read_span(hub, place, Span(guess, end), meter)
    with _one_dear if length > DEAR_HEADER_BYTES else nullcontext():
        header = parse_header(head[PREFIX_BYTES:end], file_size=size, repo=repo, file=file)
    hub.cache.put(_kin(place), end, cost=ENTRY_BYTES // 4)
    return Opened(place, header, head[end:])


def _likely_header(hub: Hub, place: Place) -> int:
    """Bytes that should hold the header: what the last file of its kind took and a little more."""
    last: int | None = hub.cache.get(_kin(place))
    if last is not None:
        return last + 256  # hyper-parameters are spelled in it, some longer than others
    # Small beside the file, since the bot is to read little of it; 97% of headers fit in 100 kB.
    return min(100_000, max(4_096, place.file.size // 32))


def _kin(place: Place) -> tuple[str, str, int]:
    """An owner's files of one name and about one size mostly hold models of one architecture."""
    return place.repo.partition("/")[0], place.file.path.rpartition("/")[2], place.file.size.bit_length()


# --- bytes ------------------------------------------------------------------------------------


def read_parts(
    hub: Hub,
    source: Opened,
    parts: Iterable[TensorEntry],
    meter: Meter,
    *,
    most: int | None = None,
    gap: int | None = None,
) -> list[tuple[Span, bytes]]:
    """The bytes that cover the parts; what came with the header is not asked for again.

    Args:
        most: bytes of one request; None for however many lie together.
        gap: see `coalesced`.
    """
    known, size = source.known, source.place.file.size
    ahead = [Span(max(part.begin, known.end), part.end) for part in parts if part.end > known.end]
    spans = [
        Span(at, min(at + (most or size), span.end))
        for span in coalesced(ahead, size, gap)
        for at in range(span.begin, span.end, most or size)
    ]
    return [(known, source.rest)] + [(span, read_span(hub, source.place, span, meter)) for span in spans]


def widened(source: Opened, name: str, part: TensorEntry, pieces: Sequence[tuple[Span, bytes]]) -> Floats:
    """A part of a tensor out of the bytes that cover it, as float32."""
    raw = b"".join(
        piece[max(part.begin - span.begin, 0) : max(part.end - span.begin, 0)]
        for span, piece in pieces
        if span.begin < part.end and span.end > part.begin
    )
    try:
        return widen(raw, part.dtype, part.shape)
    except WeightsError as error:
        where = source.place
        raise type(error)(error.message, repo=where.repo, file=where.file.path, tensor=name) from None
