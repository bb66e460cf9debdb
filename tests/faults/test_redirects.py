"""Where a server may lead us: our own reader, and huggingface_hub's client with it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from liar import DATA, Answer, Behaviour, Liar, always

from hubbot.errors import UnsafeRedirect
from hubbot.hub import client
from hubbot.hub.client import Hub
from hubbot.hub.pulls import read_card
from hubbot.hub.snapshots import snapshot

NAME, PUBLIC = "model.safetensors", "93.184.216.34"
INFO = {"id": "o/m", "sha": "0" * 40, "siblings": [{"rfilename": NAME, "size": len(DATA)}]}
TREE = [{"type": "file", "path": NAME, "size": len(DATA), "oid": "0" * 40}]
ETAG = '"a"'
COMMITTED = {"X-Repo-Commit": "0" * 40, "X-Linked-ETag": ETAG, "X-Linked-Size": str(len(DATA)), "ETag": ETAG}


def sends_files_to(address: str) -> Behaviour:
    """A Hub that describes its one file, and has it elsewhere."""

    def answer(path: str, _: dict[str, str]) -> Answer:
        if path.startswith("/api/"):
            return 200, {}, json.dumps(TREE if "/tree/" in path else INFO).encode()
        return 302, {"Location": address, **COMMITTED}, b""

    return answer


@pytest.fixture
def liar() -> Iterator[Liar]:
    running = Liar()
    yield running
    running.close()


@pytest.fixture
def elsewhere() -> Iterator[Liar]:
    running = Liar()
    yield running
    running.close()


class Names:
    """A name server of a stranger's: what it says first of a name, and what it says from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **said: tuple[str, str]) -> None:
        self.said, self.real = said, socket.getaddrinfo
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self.answer)

    def answer(self, host: Any, *more: Any, **named: Any) -> Any:
        name = str(host).partition(".")[0]
        if name in self.said:
            host = self.said[name][name in self.asked]
            self.asked.append(name)
        return self.real(host, *more, **named)


def test_a_name_that_leads_elsewhere_a_moment_later(
    liar: Liar, elsewhere: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when we look, this machine when we connect."""
    names = Names(monkeypatch, hub=("127.0.0.1", "127.0.0.1"), rebind=(PUBLIC, "127.0.0.1"))
    port = elsewhere.endpoint.rpartition(":")[2]
    liar.resolve = always(302, {"Location": f"http://rebind.example:{port}/inside"}, b"")
    home = liar.endpoint.replace("127.0.0.1", "hub.example")
    with Hub(home, retries=0) as hub, pytest.raises(UnsafeRedirect, match="leads to 127"):
        read_card(hub, "o/m", "main")
    assert names.asked == ["hub", "rebind", "rebind"]
    assert elsewhere.asked == []


def test_credentials_in_a_redirect_are_not_sent_home(liar: Liar) -> None:
    liar.resolve = always(302, {"Location": liar.endpoint.replace("//", "//evil:pass@") + "/x"}, b"")
    with (
        Hub(liar.endpoint, token="hf_secret", retries=0) as hub,
        pytest.raises(UnsafeRedirect, match="password"),
    ):
        read_card(hub, "o/m", "main")
    assert {headers["authorization"] for _, headers in liar.asked} == {"Bearer hf_secret"}


# --- huggingface_hub's client ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_of_the_api_stays_with_its_port(liar: Liar, elsewhere: Liar, status: int) -> None:
    liar.resolve = always(status, {"Location": f"{elsewhere.endpoint}/api/models/o/m"}, b"")
    elsewhere.resolve = always(200, {}, json.dumps(INFO).encode())
    with Hub(liar.endpoint, token="hf_secret", retries=0) as hub:
        assert hub.reading(lambda: hub.api.model_info("o/m")).sha == INFO["sha"]
    assert [headers["authorization"] for _, headers in liar.asked] == ["Bearer hf_secret"]
    assert len(elsewhere.asked) == 1
    assert not any("authorization" in headers for _, headers in elsewhere.asked)


def test_the_token_of_a_download_stays_with_its_port(liar: Liar, elsewhere: Liar, tmp_path: Path) -> None:
    """The library follows this redirect by hand, with the headers of the first request."""
    liar.resolve = sends_files_to(f"{elsewhere.endpoint}/blob")
    elsewhere.resolve = always(200, COMMITTED, DATA)
    with Hub(liar.endpoint, token="hf_secret", retries=0) as hub:
        folder = snapshot(hub, "o/m", [NAME], tmp_path)
    assert (folder / NAME).read_bytes() == DATA
    assert elsewhere.asked
    assert not any("authorization" in headers for _, headers in elsewhere.asked)


@pytest.fixture
def out_there(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub on the network, whose name leads to the liar; nobody else is at home."""
    monkeypatch.setattr(client, "_homes", {})
    Names(monkeypatch, hub=("127.0.0.1", "127.0.0.1"), rebind=(PUBLIC, "127.0.0.1"))
    with Hub(liar.endpoint.replace("127.0.0.1", "hub.example"), token="hf_secret", retries=0) as hub:
        yield hub


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "rebind.example"])
def test_the_api_cannot_send_us_into_our_own_network(
    liar: Liar, elsewhere: Liar, out_there: Hub, host: str
) -> None:
    liar.resolve = always(302, {"Location": elsewhere.endpoint.replace("127.0.0.1", host) + "/inside"}, b"")
    with pytest.raises(UnsafeRedirect):
        out_there.reading(lambda: out_there.api.model_info("o/m"), repo="o/m")
    assert len(liar.asked) == 1
    assert elsewhere.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "rebind.example"])
def test_a_download_cannot_send_us_into_our_own_network(
    liar: Liar, elsewhere: Liar, out_there: Hub, host: str, tmp_path: Path
) -> None:
    liar.resolve = sends_files_to(elsewhere.endpoint.replace("127.0.0.1", host) + "/inside")
    with pytest.raises(UnsafeRedirect):
        snapshot(out_there, "o/m", [NAME], tmp_path)
    assert elsewhere.asked == []
