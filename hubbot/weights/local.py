"""A safetensors file on this disk, read with the same distrust as one on the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

from hubbot.errors import TensorNotFound, TruncatedFile, WeightsError
from hubbot.weights.dtypes import Floats, widen
from hubbot.weights.header import PREFIX_BYTES, Header, header_length, parse_header


def read_local(path: Path, names: Sequence[str] | None = None) -> dict[str, Floats]:
    """Tensors of a file, as float32; all of them, in the header's order, when `names` is None.

    Raises:
        TensorNotFound: a name that the file has not.
        WeightsError: the file cannot be opened or believed, see `parse_header`.
    """
    where = {"repo": str(path.parent), "file": path.name}
    values = {}
    with _opened(path) as stream:
        tensors = _read_header(stream, path).tensors
        for name in tensors if names is None else names:
            entry = tensors.get(name)
            if entry is None:
                raise TensorNotFound(**where, tensor=name)
            stream.seek(entry.begin)
            raw = bytearray(entry.nbytes)
            if stream.readinto(raw) != entry.nbytes:
                raise TruncatedFile(**where, tensor=name)
            try:
                values[name] = widen(raw, entry.dtype, entry.shape)
            except WeightsError as error:
                raise type(error)(error.message, **where, tensor=name) from None
    return values


def read_header(path: Path) -> Header:
    """The believed header of a file."""
    with _opened(path) as stream:
        return _read_header(stream, path)


def read_metadata(path: Path) -> dict[str, str]:
    """The header's own notes (`__metadata__`); empty where it has none."""
    return dict(read_header(path).metadata)


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        why = f"cannot be opened: {error.strerror}"
        raise WeightsError(why, repo=str(path.parent), file=path.name) from None


def _read_header(stream: BufferedReader, path: Path) -> Header:
    size = path.stat().st_size
    repo, file = str(path.parent), path.name
    length = header_length(stream.read(PREFIX_BYTES), file_size=size, repo=repo, file=file)
    return parse_header(stream.read(length), file_size=size, repo=repo, file=file)
