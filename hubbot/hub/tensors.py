"""Fetch: what a repo's weight files hold, and named tensors out of them, by HTTP range.

    contents   sizes and content ids from the API, then each file's header: 8 bytes, N bytes of JSON
    read       the bytes of the tensors asked for, neighbours together, widened to float32

config.json is never asked for, since that would count as a download of the model, and a pickle is never
opened. A header is read once per Hub object and counted once.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

from huggingface_hub.hf_api import RepoFile

from hubbot.errors import (
    AccessDenied,
    HubUnavailable,
    RepoNotFound,
    ShapeMismatch,
    TensorNotFound,
    WeightsError,
)
from hubbot.hub.client import Hub
from hubbot.hub.families import INDEX, weights_of
from hubbot.hub.ranges import Meter, Place, Span, coalesced, read_span
from hubbot.records import Kind, RemoteFile, Tensors, Upload, Wanted
from hubbot.weights import pairs
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
class Contents:
    """What the weight files of an upload hold.

    Args:
        files: all weight files of the family that is read.
        shapes: tensor name to shape, over all files.
        dtypes: tensor name to dtype as stored.
        notes: the metadata of the header that was read first; what a model says of itself.
        bytes_read: body bytes that the headers cost; 0 where they were known already.
    """

    files: tuple[RemoteFile, ...]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    notes: Mapping[str, str]
    bytes_read: int


@dataclass(frozen=True, slots=True)
class _Family:
    """The weight files, and for a sharded model which of them each tensor lies in."""

    files: Mapping[str, RemoteFile]
    shard_of: Mapping[str, str] | None

    @property
    def total(self) -> int:
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file whose header is known, with the bytes that came along: `rest` begins where the header ends."""

    place: Place
    header: Header
    rest: bytes

    @property
    def known(self) -> Span:
        start = self.header.data_start
        return Span(start, start + len(self.rest))


def contents(hub: Hub, upload: Upload, file: RemoteFile | None = None) -> Contents:
    """The files, shapes and dtypes of an upload's weights.

    Args:
        file: the one file to look into, in a repo that bundles many models; see `listed`.

    Raises:
        AccessDenied: the repo is gated, private or disabled; no file of it was asked for.
        UnsafeFormat: there are only pickles.
        WeightsError: no weights, or a header that is not believed.
        HubError: the Hub did not give them.
    """
    meter = Meter()
    family = _family(hub, upload, meter, file)
    entries = _entries(hub, upload, family, None, meter)
    return Contents(
        files=tuple(family.files.values()),
        shapes={name: entry.shape for name, (_, entry) in entries.items()},
        dtypes={name: entry.dtype for name, (_, entry) in entries.items()},
        notes=next((source.header.metadata for source, _ in entries.values()), {}),
        bytes_read=meter.bytes_read,
    )


def read(hub: Hub, upload: Upload, wanted: Sequence[Wanted], file: RemoteFile | None = None) -> Tensors:
    """Named tensors, or their leading rows, as float32, under the names that they have in the file.

    Asked for one tensor twice, the call gives the more rows; for a low-rank layer, both of its factors.

    Args:
        file: the one file to read from, in a repo that bundles many models; see `listed`.

    Raises:
        TensorNotFound: a name that the files have not.
        ShapeMismatch: a tensor of another shape than the one expected, or factors that do not fit together.
        UnsupportedDtype: a tensor that is not plain numbers.
        WeightsError: a tensor larger than the Hub object's limit; see also `contents`.
    """
    meter = Meter()
    family = _family(hub, upload, meter, file)
    stored = [*_as_stored(upload.repo, wanted, *_names(hub, upload, family, meter))]
    entries = _entries(hub, upload, family, [want.name for want in stored], meter)
    _check_factors(upload.repo, wanted, entries)
    parts: dict[str, dict[str, TensorEntry]] = {}
    opened: dict[str, _Opened] = {}
    for want in stored:
        source, entry = entries[want.name]
        path = source.place.file.path
        opened[path] = source
        part = _part(hub, upload.repo, path, want, entry)
        asked = parts.setdefault(path, {})
        if want.name not in asked or part.end > asked[want.name].end:
            asked[want.name] = part
    values: dict[str, Floats] = {}
    for path, asked in parts.items():
        values |= _widened(opened[path], asked, _read_parts(hub, opened[path], asked.values(), meter))
    return Tensors(
        repo=upload.repo,
        commit=upload.commit,
        values=values,
        stored_dtypes={name: entries[name][1].dtype for name in values},
        files=tuple(family.files[path] for path in sorted(parts)),
        bytes_read=meter.bytes_read,
        bytes_stored=family.total,
        stored_tensors=len(family.shard_of or entries),
    )


def notes(hub: Hub, upload: Upload, file: RemoteFile) -> Mapping[str, str]:
    """What a file's header says of its model (`__metadata__`). For training: a reading never looks at it.

    Raises:
        HubError, WeightsError: see `contents`.
    """
    return _open(hub, upload, file, Meter()).header.metadata


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


def check_open(upload: Upload) -> None:
    """Gated, private and disabled repos are left alone, whatever our token may open.

    Raises:
        AccessDenied: it is one of them.
    """
    for state in ("gated", "private", "disabled"):
        if getattr(upload, state):
            raise AccessDenied(f"the repo is {state} and left alone", repo=upload.repo)


def _family(hub: Hub, upload: Upload, meter: Meter, file: RemoteFile | None) -> _Family:
    check_open(upload)
    if file is not None:
        return _Family({file.path: file}, None)
    key = (upload.repo, upload.commit)
    known: _Family | None = hub.cache.get(key)
    if known is None:
        known = _find_family(hub, upload, meter)
        hub.cache.put(key, known, cost=ENTRY_BYTES + 300 * len(known.shard_of or ()))
    return known


def _find_family(hub: Hub, upload: Upload, meter: Meter) -> _Family:
    lead = weights_of(upload.files, repo=upload.repo)
    if lead != INDEX:
        return _Family(_listed(hub, upload, [lead]), None)
    index = _listed(hub, upload, [lead])[lead]
    if index.size > hub.max_header_bytes:
        raise WeightsError(f"an index of {index.size} bytes is not read", repo=upload.repo, file=lead)
    raw = read_span(hub, Place(upload.repo, upload.commit, index), Span(0, index.size), meter)
    shard_of = parse_index(raw, files=upload.files, repo=upload.repo, file=lead)
    shards = sorted(set(shard_of.values()))
    if len(shards) > MAX_SHARDS:
        why = f"{len(shards)} shards are not read, limit {MAX_SHARDS}"
        raise WeightsError(why, repo=upload.repo, file=lead)
    return _Family(_listed(hub, upload, shards), shard_of)


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


def _entries(
    hub: Hub, upload: Upload, family: _Family, names: Iterable[str] | None, meter: Meter
) -> dict[str, tuple[_Opened, TensorEntry]]:
    """Where tensors lie: those named, or all. A single file has just one header, so it gives all anyway."""
    if family.shard_of is None:
        [file] = family.files.values()
        source = _open(hub, upload, file, meter)
        entries = {name: (source, entry) for name, entry in source.header.tensors.items()}
        for name in names or ():
            if name not in entries:
                raise TensorNotFound(repo=upload.repo, file=file.path, tensor=name)
        return entries
    entries = {}
    opened: dict[str, _Opened] = {}
    for name in family.shard_of if names is None else names:
        if name not in family.shard_of:
            raise TensorNotFound(repo=upload.repo, file=INDEX, tensor=name)
        path = family.shard_of[name]
        if path not in opened:
            opened[path] = _open(hub, upload, family.files[path], meter)
            _check_headers(hub, upload, opened.values())
        if name not in opened[path].header.tensors:
            why = "the index says that it lies here, and it does not"
            raise TensorNotFound(why, repo=upload.repo, file=path, tensor=name)
        entries[name] = (opened[path], opened[path].header.tensors[name])
    return entries


def _names(hub: Hub, upload: Upload, family: _Family, meter: Meter) -> tuple[str, Container[str]]:
    """The file that says which tensors there are, and their names."""
    if family.shard_of is not None:
        return INDEX, family.shard_of
    [file] = family.files.values()
    return file.path, _open(hub, upload, file, meter).header.tensors


def _as_stored(repo: str, wanted: Iterable[Wanted], file: str, names: Container[str]) -> Iterator[Wanted]:
    """What is wanted, tensor by tensor: a low-rank layer is two, by the names that this file gives them."""
    for want in wanted:
        if want.kind is Kind.DENSE:
            yield want
            continue
        found = pairs.pair(want.name, names)
        if found is None:
            raise TensorNotFound("it holds no factors of this layer", repo=repo, file=file, tensor=want.name)
        yield from (Wanted(name) for name in found)


def _check_factors(
    repo: str, wanted: Iterable[Wanted], entries: Mapping[str, tuple[_Opened, TensorEntry]]
) -> None:
    """The shapes of factors say whether they fit together, before a byte of them is read."""
    for want in wanted:
        if want.kind is Kind.LORA and (names := pairs.pair(want.name, entries)):
            A, B = (entries[name][1].shape for name in names)
            if why := pairs.fault(want.name, want.shape, A, B):
                file = entries[names[0]][0].place.file.path
                raise ShapeMismatch(why, repo=repo, file=file, tensor=names[0])


def _check_headers(hub: Hub, upload: Upload, opened: Iterable[_Opened]) -> None:
    """One limit for the headers of all shards: each alone may be read, and a thousand of them may not."""
    total = sum(source.header.data_start for source in opened)
    if total > hub.max_header_bytes:
        why = f"headers of {total} bytes and more are not read, limit {hub.max_header_bytes}"
        raise WeightsError(why, repo=upload.repo, file=INDEX)


def _open(hub: Hub, upload: Upload, file: RemoteFile, meter: Meter) -> _Opened:
    """Read a file's header, in one request where the guess at its length is good."""
    key = (upload.repo, upload.commit, file.path)
    known: _Opened | None = hub.cache.get(key)
    if known is None:
        known = _open_anew(hub, Place(upload.repo, upload.commit, file), meter)
        parsed = PARSED * known.header.data_start
        hub.cache.put(key, known, cost=ENTRY_BYTES + parsed + len(known.rest))
    return known


_one_dear = threading.Lock()


def _open_anew(hub: Hub, place: Place, meter: Meter) -> _Opened:
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
    return _Opened(place, header, head[end:])


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


def _part(hub: Hub, repo: str, path: str, want: Wanted, entry: TensorEntry) -> TensorEntry:
    """The part of a tensor that is wanted, if it is what the reader expects."""
    if want.shape is not None and want.shape != entry.shape:
        why = f"its shape is {entry.shape}, expected {want.shape}"
        raise ShapeMismatch(why, repo=repo, file=path, tensor=want.name)
    part = entry.leading(want.rows)
    if part.nbytes > hub.max_tensor_bytes:
        why = f"{part.nbytes} bytes are over the limit of {hub.max_tensor_bytes}"
        raise WeightsError(why, repo=repo, file=path, tensor=want.name)
    return part


def _read_parts(
    hub: Hub, source: _Opened, parts: Iterable[TensorEntry], meter: Meter
) -> list[tuple[Span, bytes]]:
    """The bytes that cover the parts; what came with the header is not asked for again."""
    known = source.known
    ahead = [Span(max(part.begin, known.end), part.end) for part in parts if part.end > known.end]
    spans = coalesced(ahead, source.place.file.size)
    return [(known, source.rest)] + [(span, read_span(hub, source.place, span, meter)) for span in spans]


def _widened(
    source: _Opened, parts: Mapping[str, TensorEntry], pieces: Sequence[tuple[Span, bytes]]
) -> dict[str, Floats]:
    values = {}
    for name, part in parts.items():
        raw = b"".join(
            piece[max(part.begin - span.begin, 0) : max(part.end - span.begin, 0)] for span, piece in pieces
        )
        try:
            values[name] = widen(raw, part.dtype, part.shape)
        except WeightsError as error:
            where = source.place
            raise type(error)(error.message, repo=where.repo, file=where.file.path, tensor=name) from None
    return values
