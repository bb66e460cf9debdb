"""Who is let in, and for how long; with clocks of the test's own."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import SimpleNamespace

import gradio as gr
import pytest

from hubbot import Desk
from hubbot.store.store import Store
from space.gate import (
    EVERY_S,
    GUESSES,
    MOST_SESSIONS,
    STAY_S,
    HubGate,
    PasswordGate,
    TooManyGuesses,
    same_origin,
)

PASSWORD = "correct horse battery"


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def asked(**headers: str) -> gr.Request:
    """A request with these headers, as Gradio hands it on."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gr.Request(SimpleNamespace(headers=named))  # type: ignore[arg-type]


HERE = asked(host="a.hf.space", origin="https://a.hf.space", sec_fetch_site="same-origin")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(tmp_path, clock):
    with Store.open(f"sqlite:///{tmp_path}/hubbot.db") as store:
        yield PasswordGate(Desk(store, password=PASSWORD), clock)


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({"host": "a", "origin": "https://a"}, True),
        ({"host": "a:80", "origin": "http://a:80"}, True),
        ({"host": "a"}, True),
        ({"host": "a", "sec_fetch_site": "same-origin"}, True),
        ({"host": "a", "origin": "https://b"}, False),
        ({"host": "a", "origin": "https://a:81"}, False),
        ({"host": "a", "origin": "https://a.evil"}, False),
        ({"host": "a", "origin": "https://a@evil"}, False),
        ({"host": "a", "origin": "null"}, False),
        ({"host": "a", "origin": ""}, False),
        ({"host": "a", "origin": "https://a", "sec_fetch_site": "cross-site"}, False),
        ({"host": "a", "sec_fetch_site": "none"}, False),
    ],
)
def test_where_a_call_comes_from(headers, is_ours):
    assert same_origin(asked(**headers)) is is_ours


def test_no_request_is_from_nowhere():
    assert not same_origin(None)


def test_a_token_lasts_for_hours_and_is_in_nobodys_name(gate, clock):
    token = gate.enter(PASSWORD, " Ada\n\u202eLovelace ", HERE)
    assert gate.who(token, HERE) == "Ada Lovelace, by the Space's password"
    clock.at = STAY_S - 1
    assert gate.who(token, HERE)
    clock.at = STAY_S
    assert gate.who(token, HERE) is None


def test_tokens_are_each_ones_own(gate):
    first, second = gate.enter(PASSWORD, "", HERE), gate.enter(PASSWORD, "", HERE)
    assert first != second
    gate.leave(first)
    assert gate.who(first, HERE) is None
    assert gate.who(second, HERE) == "somebody, by the Space's password"
    assert token_free(gate, second), "what is kept would let nobody in"


def token_free(gate: PasswordGate, token: str) -> bool:
    return token not in repr(vars(gate))


@pytest.mark.parametrize("wrong", ["", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper(), "x" * 300, "\ud800"])
def test_a_wrong_password_is_no_token(gate, wrong):
    assert gate.enter(wrong, "ada", HERE) == ""
    assert gate.who("", HERE) is None


def test_sessions_are_a_number(gate):
    first = gate.enter(PASSWORD, "", HERE)
    for _ in range(MOST_SESSIONS):
        last = gate.enter(PASSWORD, "", HERE)
    assert gate.who(first, HERE) is None
    assert gate.who(last, HERE)


def test_guesses_run_out_and_come_back(gate, clock):
    for _ in range(GUESSES):
        assert gate.enter("no", "", HERE) == ""
    with pytest.raises(TooManyGuesses, match=f"again in {EVERY_S:.0f} seconds"):
        gate.enter(PASSWORD, "", HERE)
    clock.at = EVERY_S
    assert gate.enter(PASSWORD, "", HERE), "the right one costs nothing"
    assert gate.enter("no", "", HERE) == ""
    with pytest.raises(TooManyGuesses):
        gate.enter("no", "", HERE)


def test_many_guesses_at_once_are_counted_one_by_one(gate):
    looked_at = []

    def guess() -> None:
        with suppress(TooManyGuesses):
            looked_at.append(gate.enter("no", "", HERE))

    threads = [threading.Thread(target=guess) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked_at) == GUESSES


def test_the_hubs_word_counts_for_those_on_the_list():
    gate = HubGate(frozenset({"ada"}))
    info = {"preferred_username": "Ada", "name": "", "profile": "", "picture": ""}
    ada, bob = gr.OAuthProfile(info), gr.OAuthProfile(info | {"preferred_username": "bob"})
    assert gate.who("", HERE, ada) == "Ada"
    assert gate.who("", HERE, bob) is None
    assert gate.who("", HERE, None) is None
    assert gate.who("", asked(host="a", origin="https://b"), ada) is None
