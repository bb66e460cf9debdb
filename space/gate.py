"""Who may review, and how the Space knows: every handler of the Review page asks here first.

Whatever Gradio calls a handler is an endpoint that anybody can call with any inputs, whether a button for it
is shown or not. So none relies on what the page shows, on Gradio's session hash (which stands in addresses
and logs), or on a cookie alone.
"""

from __future__ import annotations

import math
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import urlsplit

import gradio as gr
from gradio.utils import get_space

from hubbot import Desk

STAY_S = 8 * 3600.0
"""How long somebody who came in by the password stays."""
MOST_SESSIONS = 64

GUESSES, EVERY_S = 10, 15.0
"""Wrong passwords at once, and how long until another one may be tried; of everybody together, since an
address proves nothing behind a proxy."""


class PasswordGate:
    """One password, and for whoever knew it a token that only their page keeps.

    The token is no cookie: a page elsewhere cannot make a browser send it. Only its hash is kept here.
    """

    def __init__(self, desk: Desk, now: Callable[[], float] = time.monotonic) -> None:
        self._desk, self._now = desk, now
        self._sessions: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._lock, self._left, self._counted_at = threading.Lock(), float(GUESSES), now()

    def enter(self, password: str, name: str, request: gr.Request | None) -> str:
        """A token for the right password; empty for a wrong one.

        Args:
            name: what whoever comes in wants to be called in the audit trail.

        Raises:
            TooManyGuesses: not looked at: too many were wrong lately.
        """
        if not same_origin(request):
            return ""
        self._count_guess()
        if not self._desk.admits(password):
            return ""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._left = min(float(GUESSES), self._left + 1)
            self._sessions[_hashed(token)] = _called(name), self._now() + STAY_S
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return token

    def leave(self, token: object) -> None:
        """The token is good for nothing any more."""
        with self._lock:
            self._sessions.pop(_hashed(token), None)

    def who(self, token: object, request: gr.Request | None, *_: object) -> str | None:
        """The admin's name for the audit trail, as they gave it when they came in; None for anybody else."""
        if not same_origin(request):
            return None
        with self._lock:
            name, until = self._sessions.get(_hashed(token), ("", -math.inf))
        return name if self._now() < until else None

    def _count_guess(self) -> None:
        """Before the password is looked at, so that many at once do not slip through."""
        with self._lock:
            now = self._now()
            self._left = min(float(GUESSES), self._left + (now - self._counted_at) / EVERY_S)
            self._counted_at = now
            if self._left < 1:
                raise TooManyGuesses(EVERY_S * (1 - self._left))
            self._left -= 1


class HubGate:
    """Users of the Hub whom a setting names, as the Hub's own sign-in tells them to a Space.

    What Gradio keeps of them is a cookie that other pages can make a browser send (`SameSite=None`, for the
    frame that a Space stands in), and Gradio lets other pages read its answers. So where a call comes from is
    looked at each time.
    """

    def __init__(self, admins: frozenset[str]) -> None:
        self._admins = admins

    def who(self, _: object, request: gr.Request | None, profile: gr.OAuthProfile | None) -> str | None:
        """The admin's name for the audit trail, as the Hub tells it; None for anybody else."""
        if profile is None or not same_origin(request):
            return None
        return profile.username if profile.username.casefold() in self._admins else None


class TooManyGuesses(Exception):
    """Passwords are not looked at for so many seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"Too many wrong passwords. Try again in {wait_s:.0f} seconds.")


def gate_of(desk: Desk | None) -> PasswordGate | HubGate | None:
    """The sign-in of the Hub on a Space, a password elsewhere; None where nobody could come in.

    Elsewhere Gradio pretends that everybody is whoever is logged in on its machine, and without a client
    secret it would sign its cookies with a key that anybody can reckon: neither is a gate.
    """
    if desk is None:
        return None
    if get_space() is not None:
        return HubGate(desk.admins) if desk.admins and os.environ.get("OAUTH_CLIENT_SECRET") else None
    return PasswordGate(desk) if desk.has_password else None


def same_origin(request: gr.Request | None) -> bool:
    """Whether a browser says that the call comes from this very Space; what is no browser says nothing.

    Browsers let no page write these headers. A program may leave them out, and has nobody's cookie then.
    """
    if request is None:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return bool(site == "same-origin")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _called(name: str) -> str:
    """A password is nobody's in particular, and the record says so."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:60]
    return f"{shown or 'somebody'}, by the Space's password"


def _hashed(token: object) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass") if isinstance(token, str) else b"").digest()
