"""What goes wrong between a Hub and us: faults of our own Hub, and a server that lies."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from liar import DATA, LAST, WEIGHTS, Answer, Behaviour, Liar, always, ranged

from hubbot.errors import HubbotError, HubUnavailable, RateLimited, TruncatedFile, UnsafeRedirect
from hubbot.hub.client import Hub
from hubbot.hub.pulls import read_card
from hubbot.hub.tensors import contents, read
from hubbot.hub.uploads import one, recent
from hubbot.localhub.server import Server
from hubbot.records import Tensors, Upload, Wanted


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("hub")) as server:
        server.repos.create("o/m")
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.faults.clear()
    running.repos.commit("o/m", {"model.safetensors": DATA})
    return running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def hub(server: Server, waits: list[float]) -> Iterator[Hub]:
    with Hub(server.endpoint, token="hf_bot", sleep=waits.append) as ours:
        yield ours


def read_last(hub: Hub) -> Tensors:
    got = read(hub, one(hub, "o/m"), [Wanted(LAST)])
    np.testing.assert_array_equal(got.values[LAST], WEIGHTS[LAST])
    return got


# --- passing faults ---------------------------------------------------------------------------


def test_a_rate_limit_is_waited_out_as_long_as_was_asked(
    server: Server, hub: Hub, waits: list[float]
) -> None:
    server.faults.add("rate-limit", path="/api/models", times=2, seconds=7)
    assert [upload.repo for upload in recent(hub, since=None)] == ["o/m"]
    assert [round(wait) for wait in waits] == [7, 7]


def test_a_rate_limit_while_some_are_left_is_obeyed_too(server: Server, hub: Hub, waits: list[float]) -> None:
    server.faults.add("rate-limit", path="/blobs/*", times=1, seconds=3, remaining=40)
    read_last(hub)
    assert [round(wait) for wait in waits] == [3]


def test_a_long_rate_limit_is_told_and_not_slept_through(
    server: Server, hub: Hub, waits: list[float]
) -> None:
    server.faults.add("rate-limit", path="*/paths-info/*", seconds=280)
    with pytest.raises(RateLimited, match="o/m") as caught:
        contents(hub, one(hub, "o/m"))
    assert caught.value.retry_after_s == 280
    assert waits == []


@pytest.mark.parametrize("path", ["/api/models/o/m", "*/paths-info/*", "*/resolve/*", "/blobs/*"])
def test_errors_of_the_server_are_tried_again(
    server: Server, hub: Hub, waits: list[float], path: str
) -> None:
    server.faults.add("error", path=path, times=3)
    read_last(hub)
    assert len(waits) == 3


def test_patience_ends_and_says_where(server: Server, hub: Hub, waits: list[float]) -> None:
    server.faults.add("error", path="/blobs/*")
    with pytest.raises(HubUnavailable, match=r"o/m: model\.safetensors: the Hub fails: 500"):
        read_last(hub)
    assert len(waits) == 3


def test_a_body_cut_in_the_middle_is_asked_for_again_and_counted(server: Server, hub: Hub) -> None:
    ours = one(hub, "o/m")
    contents(hub, ours)
    server.faults.add("cut", path="/blobs/*", times=2, bytes=5_000)
    got = read(hub, ours, [Wanted(LAST)])
    np.testing.assert_array_equal(got.values[LAST], WEIGHTS[LAST])
    # What had come when the line broke crossed the wire as well.
    assert 64 * 64 * 4 <= got.bytes_read <= 64 * 64 * 4 + 2 * 5_000


def test_a_body_that_is_always_cut(server: Server, hub: Hub) -> None:
    server.faults.add("cut", path="/blobs/*", bytes=100)
    with pytest.raises(HubUnavailable, match=r"o/m: model\.safetensors"):
        read_last(hub)


def test_a_hub_that_is_not_there(server: Server) -> None:
    with (
        Hub("http://127.0.0.1:9", retries=0) as nowhere,
        pytest.raises(HubUnavailable, match="o/m: no answer"),
    ):
        one(nowhere, "o/m")


def test_a_server_that_is_too_slow_is_given_up(server: Server) -> None:
    server.faults.add("latency", seconds=2)
    with Hub(server.endpoint, timeout_s=0.2, retries=0) as hasty:
        for ask in (
            lambda: one(hasty, "o/m"),
            lambda: hasty.reading(lambda: hasty.api.get_paths_info("o/m", ["x"])),
        ):
            start = time.monotonic()
            with pytest.raises(HubUnavailable, match="Timeout"):
                ask()
            assert time.monotonic() - start < 1.5


# --- Range ignored ----------------------------------------------------------------------------


def test_a_whole_file_is_cut_where_enough_of_it_has_come(server: Server, hub: Hub) -> None:
    big = {"a": np.ones((100, 10), "f4"), "z": np.zeros(5_000_000, "f4")}
    server.repos.commit("o/m", {"model.safetensors": safetensors.numpy.save(big)})
    server.faults.add("ignore-range", path="/blobs/*")
    got = read(hub, one(hub, "o/m"), [Wanted("z", rows=100_000)])
    assert got.values["z"].shape == (100_000,)
    assert got.bytes_read < 1_000_000 < 0.05 * got.bytes_stored


def test_what_comes_before_is_skipped_and_counted(server: Server, hub: Hub) -> None:
    server.faults.add("ignore-range", path="/blobs/*")
    got = read_last(hub)
    assert got.bytes_read >= got.bytes_stored


def test_a_large_file_is_not_downloaded_to_get_at_its_end(server: Server, hub: Hub) -> None:
    big = {"a": np.zeros(6_000_000, "f4"), "b": np.ones(10, "f4")}
    server.repos.commit("o/m", {"model.safetensors": safetensors.numpy.save(big)})
    server.faults.add("ignore-range", path="/blobs/*")
    with pytest.raises(HubUnavailable, match="ignores Range"):
        read(hub, one(hub, "o/m"), [Wanted("b")])


# --- a server that lies -----------------------------------------------------------------------


@pytest.fixture
def liar() -> Iterator[Liar]:
    running = Liar()
    yield running
    running.close()


@pytest.fixture
def victim(liar: Liar) -> Iterator[Hub]:
    with Hub(liar.endpoint, token="hf_secret", sleep=lambda _: None) as ours:
        yield ours


UPLOAD = Upload("o/m", "0" * 40, None, files=("model.safetensors",))  # type: ignore[arg-type] - no time is needed


def test_the_liar_can_be_honest(victim: Hub) -> None:
    got = read(victim, UPLOAD, [Wanted(LAST)])
    np.testing.assert_array_equal(got.values[LAST], WEIGHTS[LAST])


def shifted(path: str, headers: dict[str, str]) -> Answer:
    status, said, body = ranged(headers)
    return status, {"Content-Range": said["Content-Range"].replace("bytes ", "bytes 1")}, body


def without_range(path: str, headers: dict[str, str]) -> Answer:
    return 206, {}, ranged(headers)[2]


def of_another_size(path: str, headers: dict[str, str]) -> Answer:
    status, said, body = ranged(headers)
    return status, {"Content-Range": said["Content-Range"] + "0"}, body


def gzipped(path: str, headers: dict[str, str]) -> Answer:
    status, said, body = ranged(headers)
    return status, {**said, "Content-Encoding": "gzip"}, body


def too_short(path: str, headers: dict[str, str]) -> Answer:
    status, said, body = ranged(headers)
    return status, said, body[:-1]


def no_content(path: str, headers: dict[str, str]) -> Answer:
    return 204, {}, b""


def garbage_length(path: str, headers: dict[str, str]) -> Answer:
    status, said, body = ranged(headers)
    return status, {**said, "Content-Length": "many"}, body


@pytest.mark.parametrize(
    "lie", [shifted, without_range, of_another_size, gzipped, too_short, no_content, garbage_length]
)
def test_other_bytes_than_those_asked_for_are_refused(liar: Liar, victim: Hub, lie: Behaviour) -> None:
    liar.resolve = lie
    with pytest.raises(HubUnavailable, match=r"o/m: model\.safetensors"):
        contents(victim, UPLOAD)
    assert len([path for path, _ in liar.asked if "/resolve/" in path]) == 4


def test_a_lie_told_once_does_no_harm(liar: Liar, victim: Hub) -> None:
    lies = iter([shifted, too_short, gzipped])
    liar.resolve = lambda path, headers: next(lies, lambda _, h: ranged(h))(path, headers)
    np.testing.assert_array_equal(read(victim, UPLOAD, [Wanted(LAST)]).values[LAST], WEIGHTS[LAST])


def test_more_bytes_than_asked_for_are_left_on_the_wire(liar: Liar, victim: Hub) -> None:
    def generous(path: str, headers: dict[str, str]) -> Answer:
        status, said, body = ranged(headers)
        return status, said, body + b"\x00" * 20_000_000

    liar.resolve = generous
    got = read(victim, UPLOAD, [Wanted(LAST)])
    np.testing.assert_array_equal(got.values[LAST], WEIGHTS[LAST])
    assert got.bytes_read < 1_000_000


def test_a_file_that_shrank_is_truncated(liar: Liar, victim: Hub) -> None:
    liar.resolve = always(416, {"Content-Range": "bytes */10"}, b"")
    with pytest.raises(TruncatedFile, match=r"o/m: model\.safetensors"):
        contents(victim, UPLOAD)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "//", "http://[", "\x7f"]
)
def test_redirects_out_of_the_web_are_not_followed(liar: Liar, victim: Hub, target: str) -> None:
    liar.resolve = always(302, {"Location": target}, b"")
    with pytest.raises(HubbotError, match=r"o/m: model\.safetensors"):
        contents(victim, UPLOAD)


def test_redirects_in_circles_end(liar: Liar, victim: Hub) -> None:
    liar.resolve = lambda path, _: (302, {"Location": path + "x"}, b"")
    with pytest.raises(UnsafeRedirect, match="more than 5 redirects"):
        contents(victim, UPLOAD)
    assert len([path for path, _ in liar.asked if "/resolve/" in path]) == 6


def test_the_token_stays_with_its_port(liar: Liar, victim: Hub) -> None:
    elsewhere = Liar()
    try:
        liar.resolve = always(302, {"Location": elsewhere.endpoint + "/blob"}, b"")
        read(victim, UPLOAD, [Wanted(LAST)])
        assert all(headers["authorization"] == "Bearer hf_secret" for _, headers in liar.asked)
        assert elsewhere.asked
        assert not any("authorization" in headers for _, headers in elsewhere.asked)
    finally:
        elsewhere.close()


def test_a_hub_out_there_cannot_send_us_into_our_own_network(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The liar is a proxy here, so that an address out there can be asked at all.
    monkeypatch.setenv("HTTP_PROXY", liar.endpoint)
    liar.resolve = always(302, {"Location": f"{liar.endpoint}/inside"}, b"")
    with Hub("http://93.184.216.34", retries=0) as hub, pytest.raises(UnsafeRedirect, match="private"):
        read_card(hub, "o/m", "main")
    assert [path for path, _ in liar.asked] == ["http://93.184.216.34/o/m/resolve/main/README.md"]


ENTRY = {"id": "o/m", "sha": "0" * 40, "lastModified": "2026-01-01T00:00:00.000Z"}


def test_one_malformed_entry_costs_only_itself(
    liar: Liar, victim: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = [
        {**ENTRY, "id": "evil/commit", "sha": "main"},
        "no object",
        {**ENTRY, "id": "evil/deep", "cardData": "DEEP"},
        {**ENTRY, "id": "evil/self", "cardData": {"self": 1, "ignore_metadata_errors": 2, "model-index": 5}},
        ENTRY,
    ]
    page = json.dumps(hostile).replace('"DEEP"', '{"x":' * 20_000 + "1" + "}" * 20_000).encode()
    liar.listing = always(200, {}, page)
    found = [upload.repo for upload in recent(victim, since=None)]
    assert found == ["evil/deep", "evil/self", "o/m"]
    assert "evil/commit" in caplog.text
    assert "no commit" in caplog.text


def test_pages_that_never_end_do_not_hold_us(liar: Liar, victim: Hub) -> None:
    more = {"Link": '</api/models?cursor=again>; rel="next"'}
    liar.listing = always(200, more, json.dumps([ENTRY]).encode())
    assert [upload.repo for upload in recent(victim, since=None)] == ["o/m"]


def test_the_next_page_is_at_home(liar: Liar, victim: Hub) -> None:
    more = {"Link": '<http://127.0.0.1:9/api/models?cursor=1>; rel="next"'}
    liar.listing = always(200, more, json.dumps([ENTRY]).encode())
    with pytest.raises(UnsafeRedirect, match="elsewhere"):
        list(recent(victim, since=None))


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"\xff", b"7"])
def test_a_listing_that_is_none(liar: Liar, victim: Hub, body: bytes) -> None:
    liar.listing = always(200, {}, body)
    with pytest.raises(HubUnavailable):
        list(recent(victim, since=None))


@pytest.mark.parametrize(
    "infos",
    [
        [],
        {},
        [{}],
        [{"type": "file"}],
        [{"type": "file", "path": "model.safetensors", "size": -1, "oid": "x"}],
    ],
)
def test_files_that_are_not_described(liar: Liar, victim: Hub, infos: Any) -> None:
    honest = liar.answer
    liar.answer = lambda path, headers: (  # type: ignore[method-assign]
        (200, {}, json.dumps(infos).encode()) if "/paths-info/" in path else honest(path, headers)
    )
    with pytest.raises(HubbotError, match="o/m"):
        contents(victim, UPLOAD)


def test_a_body_that_drips_is_given_up(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    served = itertools.count()

    def dripping(self: BaseHTTPRequestHandler) -> None:
        next(served)
        self.send_response(206)
        said = self.headers["Range"].removeprefix("bytes=")
        self.send_header("Content-Range", f"bytes {said}/{len(DATA)}")
        self.send_header("Content-Length", "6174")
        self.end_headers()
        with suppress(ConnectionError):
            while not stop.wait(0.05):
                self.wfile.write(b"x")

    handler = liar._http.RequestHandlerClass
    plain = handler.do_GET  # type: ignore[attr-defined]
    monkeypatch.setattr(
        handler, "do_GET", lambda self: (dripping if "/resolve/" in self.path else plain)(self)
    )
    start = time.monotonic()
    with Hub(liar.endpoint, timeout_s=0.3, retries=0) as hub:
        with pytest.raises(HubUnavailable, match="too slowly"):
            contents(hub, UPLOAD)
        stop.set()
    assert time.monotonic() - start < 3
    assert next(served) == 1
