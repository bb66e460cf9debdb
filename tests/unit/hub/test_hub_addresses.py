"""Which addresses a redirect may lead to, in whatever spelling."""

from __future__ import annotations

import httpx
import pytest

from hubbot.hub.addresses import is_public, refusal

HUB, HF = httpx.URL("https://hub.example"), httpx.URL("https://huggingface.co")


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f.1", "127.1", "0", "[::]", "[::7f00:1]", "[::ffff:7f00:1]",
     "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::1]", "[2002:c0a8:1::]", "[64:ff9b:1::1]",
     "[fec0::1]", "[ff02::1]", "[fd00:ec2::254]", "224.0.0.1", "255.255.255.255", "192.0.0.192",
     "100.100.100.200", "168.63.129.16", "localhost", "LOCALHOST"],
)  # fmt: skip
@pytest.mark.parametrize("port", ["", ":8443"])
def test_this_machine_is_known_by_any_spelling(host: str, port: str) -> None:
    target = HUB.join(f"https://{host}{port}/latest/meta-data")
    assert refusal(HUB, target, home=HUB) == "private addresses are not visited"


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:4700::1", "64:ff9b::5db8:d822", "2002:5db8:d822::1"]
)
def test_the_internet_is_known_too(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "target",
    ["https://hub.example@93.184.216.34/x", "https://a:b@hub.example/x", "https://:b@hub.example/x"],
)
def test_nobody_hands_us_a_name_and_a_password(target: str) -> None:
    """httpx would send them, and instead of our token."""
    assert "password" in (refusal(HUB, HUB.join(target), home=HUB) or "")


def test_an_admins_own_name_and_password_may_stay() -> None:
    # Nobody's:
    home = httpx.URL("https://me:secret@hub.example")  # pragma: allowlist secret
    assert refusal(home, home.join("/moved"), home=home) is None
    assert refusal(home, home.copy_with(username="you"), home=home)


@pytest.mark.parametrize(
    ("target", "open_"),
    [
        ("https://huggingface.co/x", True),
        ("https://cdn-lfs.huggingface.co/x", True),
        ("https://cas-bridge.xethub.hf.co/x", True),
        ("https://evil.example/x", False),
        ("https://93.184.216.34/x", False),
        ("https://hf.co.evil.example/x", False),
        ("https://evilhf.co/x", False),
        ("https://huggingface.co@evil.example/x", False),
        ("https://hf.co%2eevil.example/x", False),
    ],
)
def test_hugging_faces_hub_sends_nobody_off_its_own_hosts(target: str, open_: bool) -> None:
    assert (refusal(HF, HF.join(target), home=HF) is None) is open_
