"""Fetch: what a repo's weight files hold, and named tensors out of them, by HTTP range.

contents   sizes and content ids from the API, then each file's header: 8 bytes, N bytes of JSON
read       the bytes of the tensors asked for, neighbours together, widened to float32
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hubbot.errors import ShapeMismatch, TensorNotFound, WeightsError
from hubbot.hub.client import Hub
from hubbot.hub.families import INDEX
from hubbot.hub.files import Family, Opened, entries_of, family_of, open_file, read_parts, widened
from hubbot.hub.ranges import Meter
from hubbot.records import Kind, RemoteFile, Tensors, Upload, Wanted
from hubbot.weights import pairs
from hubbot.weights.dtypes import Floats
from hubbot.weights.header import TensorEntry


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


def contents(hub: Hub, upload: Upload, file: RemoteFile | None = None) -> Contents:
    """The files, shapes and dtypes of an upload's weights.

    Args:
        file: the one file to look into, in a repo that bundles many models; see `files.listed`.

    Raises:
        AccessDenied: the repo is gated, private or disabled; no file of it was asked for.
        UnsafeFormat: there are only pickles.
        WeightsError: no weights, or a header that is not believed.
        HubError: the Hub did not give them.
    """
    meter = Meter()
    family = family_of(hub, upload, meter, file)
    entries = entries_of(hub, upload, family, None, meter)
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
        file: the one file to read from, in a repo that bundles many models; see `files.listed`.

    Raises:
        TensorNotFound: a name that the files have not.
        ShapeMismatch: a tensor of another shape than the one expected, or factors that do not fit together.
        UnsupportedDtype: a tensor that is not plain numbers.
        WeightsError: a tensor larger than the Hub object's limit; see also `contents`.
    """
    meter = Meter()
    family = family_of(hub, upload, meter, file)
    stored = [*_as_stored(upload.repo, wanted, *_names(hub, upload, family, meter))]
    entries = entries_of(hub, upload, family, [want.name for want in stored], meter)
    _check_factors(upload.repo, wanted, entries)
    parts: dict[str, dict[str, TensorEntry]] = {}
    sources: dict[str, Opened] = {}
    for want in stored:
        source, entry = entries[want.name]
        path = source.place.file.path
        sources[path] = source
        part = _part(hub, upload.repo, path, want, entry)
        asked = parts.setdefault(path, {})
        if want.name not in asked or part.end > asked[want.name].end:
            asked[want.name] = part
    values: dict[str, Floats] = {}
    for path, asked in parts.items():
        pieces = read_parts(hub, sources[path], asked.values(), meter)
        values |= {name: widened(sources[path], name, part, pieces) for name, part in asked.items()}
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
    return open_file(hub, upload, file, Meter()).header.metadata


def _names(hub: Hub, upload: Upload, family: Family, meter: Meter) -> tuple[str, Container[str]]:
    """The file that says which tensors there are, and their names."""
    if family.shard_of is not None:
        return INDEX, family.shard_of
    [file] = family.files.values()
    return file.path, open_file(hub, upload, file, meter).header.tensors


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
    repo: str, wanted: Iterable[Wanted], entries: Mapping[str, tuple[Opened, TensorEntry]]
) -> None:
    """The shapes of factors say whether they fit together, before a byte of them is read."""
    for want in wanted:
        if want.kind is Kind.LORA and (names := pairs.pair(want.name, entries)):
            A, B = (entries[name][1].shape for name in names)
            if why := pairs.fault(want.name, want.shape, A, B):
                file = entries[names[0]][0].place.file.path
                raise ShapeMismatch(why, repo=repo, file=file, tensor=names[0])


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
