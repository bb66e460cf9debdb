"""Where redirects may lead, and JSON of any depth."""

from __future__ import annotations

import json
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbot.hub.addresses import refusal
from hubbot.hub.ranges import Span, coalesced
from hubbot.hub.wire import MAX_DEPTH, _parse, _pruned

HUB = httpx.URL("https://hub.example")


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://hub.example/x", "javascript:alert(1)", "http://hub.example/x",
     "https://127.0.0.1/x", "https://10.1.2.3/x", "https://192.168.0.1", "https://169.254.169.254/latest",
     "https://[::1]/x", "https://[fe80::1]/x", "https://[::ffff:10.0.0.1]/x", "https://0.0.0.0/x",
     "https://localhost/x", "https://100.64.0.1/"],
)  # fmt: skip
def test_a_hub_on_the_network_cannot_send_us_home(target: str) -> None:
    assert refusal(HUB.join("/x"), HUB.join(target), home=HUB)


@pytest.mark.parametrize("target", ["/other", "https://hub.example/y", "https://93.184.216.34/blob"])
def test_the_way_to_a_content_server_is_open(target: str) -> None:
    assert refusal(HUB.join("/x"), HUB.join(target), home=HUB) is None


def test_a_hub_on_loopback_may_use_its_neighbours() -> None:
    home = httpx.URL("http://127.0.0.1:8000")
    assert refusal(home, httpx.URL("http://127.0.0.1:9000/x"), home=home) is None


leaves = st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{}\n☃')
trees = st.recursive(leaves, lambda t: st.lists(t, max_size=4) | st.dictionaries(st.text(max_size=3), t))


@given(trees)
def test_pruning_leaves_what_is_not_deep_as_it_is(tree: object) -> None:
    assert json.loads(_pruned(json.dumps(tree).encode())) == tree


def test_one_bottomless_card_does_not_hide_its_page() -> None:
    deep = '{"x": ' * 50_000 + "1" + "}" * 50_000
    page = f'[{{"id": "a/b"}}, {{"id": "evil/one", "cardData": {deep}}}, {{"id": "c/d"}}]'.encode()
    assert [entry["id"] for entry in _parse(page)] == ["a/b", "evil/one", "c/d"]
    # As deep as a parser without help can go, so the test above would fail without pruning.
    with pytest.raises(RecursionError):
        json.loads(page)
    assert MAX_DEPTH < 1_000


@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(1, 5_000)), min_size=1), st.integers(0, 10**9))
def test_joined_spans_cover_every_byte_once_and_little_else(pairs: list[tuple[int, int]], size: int) -> None:
    spans = [Span(begin, begin + length) for begin, length in pairs]
    joined = coalesced(spans, size)
    assert all(any(big.begin <= one.begin and one.end <= big.end for big in joined) for one in spans)
    assert all(first.end < second.begin for first, second in pairwise(joined))
    asked = {byte for one in spans for byte in (one.begin, one.end)}
    assert {byte for big in joined for byte in (big.begin, big.end)} <= asked


def test_only_near_neighbours_share_a_request() -> None:
    spans = [Span(0, 10), Span(1_000, 1_010), Span(8_300, 8_310)]
    assert coalesced(spans, 250_000) == [Span(0, 1_010), Span(8_300, 8_310)]
    assert coalesced(spans, 10**9) == [Span(0, 8_310)]
