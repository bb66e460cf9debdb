"""Bytes of one file, and no more of it than asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from hubbot.errors import HubUnavailable
from hubbot.hub.client import Hub
from hubbot.hub.wire import SLOWEST_BYTES_PER_S
from hubbot.records import RemoteFile

MAX_SKIP_BYTES = 16_000_000
"""A server that ignores `Range` sends the file from its start. To get at what lies deeper than this would
be to download it."""


@dataclass(slots=True)
class Meter:
    """Counts body bytes that crossed the wire, those of failed tries included."""

    bytes_read: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a repo at a commit, as the Hub lists it."""

    repo: str
    commit: str
    file: RemoteFile

    @property
    def path(self) -> str:
        return f"/{self.repo}/resolve/{self.commit}/{quote(self.file.path, safe='/')}"


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `begin` up to, not including, `end`."""

    begin: int
    end: int


def coalesced(spans: Sequence[Span], file_size: int, gap: int | None = None) -> list[Span]:
    """The spans in order, neighbours joined where that costs little beside another request.

    Args:
        gap: so many bytes between two are read over. By default 1/256 of the file: 1 kB at least, 1 MB,
            about a round trip's worth, at most.
    """
    if gap is None:
        gap = min(1_000_000, max(1_024, file_size // 256))
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: span.begin):
        if joined and span.begin - joined[-1].end <= gap:
            joined[-1] = Span(joined[-1].begin, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def read_span(hub: Hub, place: Place, span: Span, meter: Meter) -> bytes:
    """The bytes of a span, tried again after a passing fault or a short body.

    Raises:
        HubUnavailable: the bytes did not come, or others than those that were asked for.
        TruncatedFile: the server has a shorter file than the Hub lists.
        HubError: see `translated`.
    """
    if span.begin >= span.end:
        return b""
    return hub.patience.with_reads(lambda: _read_once(hub, place, span, meter))


def _read_once(hub: Hub, place: Place, span: Span, meter: Meter) -> bytes:
    headers = {"Range": f"bytes={span.begin}-{span.end - 1}", "Accept-Encoding": "identity"}
    repo, file = place.repo, place.file.path
    with hub.wire.opened(place.path, repo=repo, file=file, headers=headers) as response:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise HubUnavailable("a compressed answer to a range", repo=repo, file=file)
        skip = _skipped(response, place, span)
        body = _body(response, skip, span.end - span.begin, hub.wire.timeout_s, meter)
    if len(body) < span.end - span.begin:
        why = f"{len(body)} of the bytes {span.begin}-{span.end - 1} came"
        raise HubUnavailable(why, repo=repo, file=file)
    return body


def _skipped(response: httpx.Response, place: Place, span: Span) -> int:
    """How many bytes of the body come before the span: none in a 206."""
    if response.status_code == 206:
        said = response.headers.get("Content-Range", "")
        asked = f"bytes {span.begin}-{span.end - 1}"
        if said in (f"{asked}/{place.file.size}", f"{asked}/*"):
            return 0
        why = f"asked for {asked} of {place.file.size}, the answer is {said[:60]!r}"
    elif response.status_code != 200:
        why = f"status {response.status_code} for a range"
    elif span.begin > MAX_SKIP_BYTES:
        why = f"the server ignores Range, and {span.begin} bytes are not downloaded to get past them"
    else:
        return span.begin
    raise HubUnavailable(why, repo=place.repo, file=place.file.path)


def _body(response: httpx.Response, skip: int, length: int, timeout_s: float, meter: Meter) -> bytes:
    # A whole file is cut once there is enough of it; a range is read to its end, since that is
    # what lets its connection be used again, but not past it.
    enough = length if response.status_code == 200 else length + 1
    kept = bytearray()
    for piece in _in_time(response, timeout_s + (skip + length) / SLOWEST_BYTES_PER_S):
        meter.bytes_read += len(piece)
        kept += piece[skip:]
        skip = max(0, skip - len(piece))
        if len(kept) >= enough:
            break
    return bytes(kept[:length])


def _in_time(response: httpx.Response, patience_s: float) -> Iterator[bytes]:
    """The pieces of a body as they arrive, until patience ends."""
    until = time.monotonic() + patience_s
    for piece in response.iter_raw():
        yield piece
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the body came too slowly")
