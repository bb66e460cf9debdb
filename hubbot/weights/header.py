"""The safetensors header, validated before a single offset is believed.

A file is 8 bytes of little-endian length N, N bytes of JSON, then the buffer with the tensors one after
the other: no holes, no overlaps, nothing left over. Whatever breaks one of these rules was made by a
broken program or by somebody who wants two readers to see two files, and is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hubbot.errors import CorruptHeader, TruncatedFile, UnsupportedDtype, WeightsError
from hubbot.weights.dtypes import BITS
from hubbot.weights.strict_json import is_count, is_text, parse_object

PREFIX_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""
MAX_DIMENSIONS = 64
"""numpy has no more."""
MAX_NAME_LENGTH = 1_000
MAX_ADDRESSABLE = 2**63 - 1
"""Bytes. An empty tensor may claim any width, and numpy must still be able to make it."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where a tensor lies: bytes `begin` up to, not including, `end`, counted from the file's start."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        return self.end - self.begin

    def leading(self, rows: int | None) -> TensorEntry:
        """The part that holds the first `rows` along the first dimension; all of it for None."""
        if rows is None or not self.shape or rows >= self.shape[0]:
            return self
        rows = max(rows, 0)
        row_bytes = self.nbytes // self.shape[0]
        return replace(self, shape=(rows, *self.shape[1:]), end=self.begin + rows * row_bytes)


@dataclass(frozen=True, slots=True)
class Header:
    """A believed header. `data_start` is the offset of the buffer in the file."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data_start: int


def header_length(
    prefix: bytes, *, file_size: int, repo: str, file: str, limit: int = MAX_HEADER_BYTES
) -> int:
    """N, from the first 8 bytes of a file of `file_size` bytes.

    Raises:
        TruncatedFile: the file is shorter than its own header.
        CorruptHeader: a length that no header has, or one over `limit`.
    """
    if file_size < PREFIX_BYTES or len(prefix) < PREFIX_BYTES:
        raise TruncatedFile(f"{file_size} bytes hold no safetensors header", repo=repo, file=file)
    length = int.from_bytes(prefix[:PREFIX_BYTES], "little")
    if length < 2 or length > min(limit, MAX_HEADER_BYTES):
        raise CorruptHeader(f"a header of {length} bytes is not read, limit {limit}", repo=repo, file=file)
    if PREFIX_BYTES + length > file_size:
        raise TruncatedFile(
            f"a header of {length} bytes in a file of {file_size} bytes", repo=repo, file=file
        )
    return length


def parse_header(raw: bytes, *, file_size: int, repo: str, file: str) -> Header:
    """Believe a header, or say why not.

    Args:
        raw: the N bytes of JSON, without the 8 of its length.
        file_size: bytes of the whole file, as the server knows it.
        repo: named in errors, as is `file`.

    Raises:
        CorruptHeader: not JSON, keys twice, shapes, offsets and sizes that do not fit one another.
        TruncatedFile: the header is sound and the file shorter than it says.
        UnsupportedDtype: a dtype that the format does not have.
    """
    try:
        return _believed(raw, file_size, repo, file)
    except WeightsError as error:
        # Its frames hold all that was parsed, and whoever keeps the error would keep that as well.
        error.__context__ = None
        raise error.with_traceback(None) from None


def _believed(raw: bytes, file_size: int, repo: str, file: str) -> Header:
    if not raw.startswith(b"{"):
        raise CorruptHeader("the header is no JSON object", repo=repo, file=file)
    try:
        found = parse_object(raw)
    except ValueError as error:
        raise CorruptHeader(f"the header cannot be read: {error}", repo=repo, file=file) from None
    metadata = _metadata(found.pop("__metadata__", None), repo, file)
    start = PREFIX_BYTES + len(raw)
    tensors = {name: _entry(name, value, start, repo, file) for name, value in found.items()}
    _check_cover(tensors.items(), start, file_size, repo, file)
    return Header(tensors, metadata, start)


def _metadata(value: Any, repo: str, file: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(is_text(k) and is_text(v) for k, v in value.items()):
        raise CorruptHeader("__metadata__ is no map from text to text", repo=repo, file=file)
    return value


def _entry(name: str, value: Any, start: int, repo: str, file: str) -> TensorEntry:
    """One tensor of the header, each of its numbers checked against the others."""
    if not is_text(name) or len(name) > MAX_NAME_LENGTH:
        raise CorruptHeader(f"{name[:80]!r} is no tensor name", repo=repo, file=file)

    def corrupt(why: str) -> CorruptHeader:
        return CorruptHeader(why, repo=repo, file=file, tensor=name)

    if not isinstance(value, dict):
        raise corrupt("its entry is no JSON object")
    dtype, shape, offsets = (value.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str):
        raise corrupt("it has no dtype")
    if dtype not in BITS:
        shown = f"the safetensors format has no dtype {dtype[:40]!r}"
        raise UnsupportedDtype(shown, repo=repo, file=file, tensor=name)
    if not isinstance(shape, list) or not all(map(is_count, shape)) or len(shape) > MAX_DIMENSIONS:
        raise corrupt("its shape is no list of counts")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(is_count, offsets)):
        raise corrupt("its data_offsets are no two counts")
    begin, end = offsets
    if begin > end:
        raise corrupt("its bytes end before they begin")
    _check_size(BITS[dtype], shape, end - begin, corrupt)
    return TensorEntry(dtype, tuple(shape), start + begin, start + end)


def _check_size(bits: int, shape: list[int], stored: int, corrupt: Any) -> None:
    total, widest = bits, 64
    for size in shape:
        total *= size
        widest *= max(size, 1)
        if widest > 8 * MAX_ADDRESSABLE:
            raise corrupt("its shape is larger than any memory")
    if total != 8 * stored:
        raise corrupt(f"shape {str(shape)[:80]} does not fill the {stored} bytes it is given")


def _check_cover(
    tensors: Iterable[tuple[str, TensorEntry]], start: int, file_size: int, repo: str, file: str
) -> None:
    """The tensors lie one after the other from `start` to the end of the file."""
    at = start
    for name, entry in sorted(tensors, key=lambda pair: (pair[1].begin, pair[1].end)):
        if entry.begin != at:
            fault = "overlaps another tensor" if entry.begin < at else "leaves a hole before it"
            raise CorruptHeader(f"it {fault}", repo=repo, file=file, tensor=name)
        at = entry.end
    if at > file_size:
        raise TruncatedFile(f"the file has {file_size} bytes, its header {at}", repo=repo, file=file)
    if at < file_size:
        raise CorruptHeader(f"{file_size - at} bytes follow the last tensor", repo=repo, file=file)
