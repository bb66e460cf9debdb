"""Which addresses are visited: the endpoint's own, its family's, and else nothing but public ones.

An answer's redirect is a stranger's word. What guards this machine's neighbourhood is the address that a name
leads to, not the name, so it is looked at twice: before asking, and again when the connection stands, since a
name may lead elsewhere a moment later. A Hub of Hugging Face's sends nobody off its own hosts, so there the
names are a list; where else a Hub keeps its files, nobody can list beforehand.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import httpx

from hubbot.errors import UnsafeRedirect
from hubbot.hub.faults import shown

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

FAMILY = ("huggingface.co", "hf.co")
"""Hugging Face's content servers are all called something under these."""

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""Behind it lies the whole of the old Internet, private networks and this machine included."""

NEIGHBOURS = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "192.0.0.192")))
"""Azure and Oracle tell their machines their secrets from addresses that look public."""


class Url(Protocol):
    """What both clients' addresses have in common."""

    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...


def refusal(source: httpx.URL, target: httpx.URL, *, home: httpx.URL) -> str | None:
    """Why a redirect is not followed; None where it may be.

    Args:
        source: the address that answered.
        target: where it points.
        home: the endpoint. One on loopback may point anywhere on the web, as a test's does.
    """
    if target.scheme not in ("http", "https") or not target.host:
        return "only web addresses are followed"
    if target.userinfo not in (b"", home.userinfo):
        return "an address with a name or a password in it is not followed"
    if source.scheme == "https" and target.scheme == "http":
        return "https is not left for http"
    if not is_watched(target, home):
        return None
    if _is_family(home.host) and not _is_family(target.host):
        return f"the Hub's files lie under {' and '.join(FAMILY)}"
    return None if _leads_out(target.host) else "private addresses are not visited"


def is_watched(target: httpx.URL, home: httpx.URL) -> bool:
    """Whether it matters to which address a name leads: not at home, and not for a Hub on loopback."""
    return not is_loopback(home.host) and origin(target) != origin(home)


class Watch:
    """Looks at the other end of a new connection before a byte is sent; for a request's `trace` extension.

    A proxy is where its admin put it, and is not judged; names are its own to resolve.
    """

    def __init__(self, host: str) -> None:
        self._host, self._is_ours = host, False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self._is_ours = str(info["host"]) == self._host
        elif event == "connection.connect_tcp.complete" and self._is_ours:
            stream = info["return_value"]
            address = str(stream.get_extra_info("server_addr")[0])
            if not is_public(address):
                stream.close()
                raise UnsafeRedirect(f"{shown(self._host)} leads to {address}, which is private")


def origin(url: Url) -> tuple[str, str, int | None]:
    return url.scheme, url.host.lower(), url.port or {"http": 80, "https": 443}.get(url.scheme)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an address is one machine's out on the Internet, however it is wrapped."""
    at: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(at, ipaddress.IPv6Address):
        inside = at.ipv4_mapped or at.sixtofour
        if at in NAT64:
            inside = ipaddress.IPv4Address(int(at) & 0xFFFFFFFF)
        if inside:
            return is_public(str(inside))
        if at.is_site_local:
            return False
    return at.is_global and not (at.is_multicast or at.is_reserved or at in NEIGHBOURS)


def _is_family(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in FAMILY)


def _leads_out(host: str) -> bool:
    """Whether every address of a host is out on the Internet."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        # No such name here. Behind a proxy that is usual, and without one the request fails by itself.
        return True
    return all(is_public(str(sockaddr[0])) for *_, sockaddr in found)
