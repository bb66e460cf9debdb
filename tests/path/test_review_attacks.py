"""The Review page as an attacker meets it: raw HTTP against every handler that Gradio serves."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from itsdangerous import TimestampSigner
from stage import all_children, files_of, running, serving, settings_for, upload, wait_for

from hubbot.app import open_store
from hubbot.demo.world import TOKENS
from hubbot.errors import HubbotError
from hubbot.localhub.server import Server
from hubbot.records import Suggestion
from hubbot.settings import Settings

PASSWORD = "correct horse battery"
PATIENCE_S = 60.0
SECRET = "what the Hub told this Space"
ON_THE_HUB = {
    "SYSTEM": "spaces",
    "SPACE_ID": "lab/hubbot",
    "OAUTH_CLIENT_ID": "id",
    "OAUTH_SCOPES": "openid profile",
    "OPENID_PROVIDER_URL": "http://127.0.0.1:1",
    "HUBBOT_ADMINS": "Ada, bob",
}


@dataclass
class House:
    """A running bot with a draft, whose words nobody may get to see."""

    settings: Settings
    endpoint: str
    home: Any
    secrets: tuple[str, ...] = field(default=())

    def orders(self) -> int:
        with open_store(self.settings, read_only=True) as store:
            return len(store.commands())

    def leaks(self, answer: str) -> bool:
        return any(secret in answer for secret in self.secrets)


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("house")
    with Server(home / "hub", tokens=TOKENS) as hub:
        child = all_children()[0]
        upload(hub.repos, child.repo, files_of(child))
        settings = settings_for(hub, home)
        with running(home, hub.endpoint, HUBBOT_CONTACT="bot@example.org"):
            wait_for(lambda: drafts(settings), 180.0)
            found = drafts(settings)[0]
            yield House(settings, hub.endpoint, home, (found.title, found.body[:40], found.base_commit))


def drafts(settings: Settings) -> list[Suggestion]:
    try:
        with open_store(settings, read_only=True) as store:
            return store.suggestions()
    except HubbotError:  # the bot has not made it yet
        return []


class Caller:
    """Calls handlers by their number, as whatever browser or program."""

    def __init__(self, url: str, **headers: str) -> None:
        self.url, self.headers = url, headers
        config = self.get("/config").json()
        numbers = set(config["page"].get("review", {}).get("dependencies", []))
        ours = [one for one in config["dependencies"] if one["id"] in numbers and one["backend_fn"]]
        self.inputs = {one["id"]: len(one["inputs"]) for one in ours}
        """Handlers by their numbers, which everybody is told, with how many inputs each takes."""
        self.entry = {one["api_name"]: one["id"] for one in ours}

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=self.headers, timeout=PATIENCE_S)

    def post(self, path: str, body: object, headers: dict[str, str]) -> httpx.Response:
        both = {"Content-Type": "application/json"} | self.headers | headers
        return httpx.post(self.url + path, content=json.dumps(body), headers=both, timeout=PATIENCE_S)

    def call(self, number: int, *data: object, **headers: str) -> str:
        return self.post("/gradio_api/run/predict", {"fn_index": number, "data": list(data)}, headers).text

    def queued(self, number: int, *data: object, session: str = "mine", **headers: str) -> str:
        """The way that a browser goes: first asked for, then listened to."""
        body = {"fn_index": number, "data": list(data), "session_hash": session}
        joined = self.post("/gradio_api/queue/join", body, headers)
        if joined.is_error:
            return joined.text
        told, listen = "", f"{self.url}/gradio_api/queue/data?session_hash={session}"
        with httpx.stream("GET", listen, headers=self.headers, timeout=PATIENCE_S) as lines:
            for line in lines.iter_lines():
                told += line
                if "process_completed" in line:
                    break
        return told


# --- a password ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def space(house: House) -> Iterator[str]:
    with serving(house.home, house.endpoint, HUBBOT_REVIEW_PASSWORD=PASSWORD) as url:
        yield url


@pytest.fixture(scope="module")
def tokens(space: str) -> list[str]:
    """What two who know the password are given, before others have guessed so often that nobody comes in."""
    caller = Caller(space)
    answers = [json.loads(caller.call(caller.entry["_enter"], name, PASSWORD)) for name in ("ada", "bob")]
    return [
        next(value for value in answer["data"] if isinstance(value, str) and len(value) == 43)
        for answer in answers
    ]


@pytest.fixture
def token(tokens: list[str]) -> str:
    return tokens[0]


def arrival(caller: Caller) -> int:
    """The handler that fills the page when it is opened."""
    return caller.entry["handler"]


def test_whoever_has_a_token_sees_what_nobody_else_may(house, space, token):
    """Else the tests below would show nothing."""
    caller = Caller(space)
    for ask in (caller.call, caller.queued):
        assert house.leaks(ask(arrival(caller), token, None, "", None))


@pytest.mark.parametrize(
    "bad",
    ["", "x" * 43, None, True, ["x"], {"token": "x"}, "x" * 100_000, "\ud800", PASSWORD],
    ids=lambda bad: ascii(bad)[:20],
)
def test_no_handler_does_anything_for_a_stranger(house, space, token, bad):
    caller, before = Caller(space), house.orders()
    assert len(caller.inputs) > 10
    for number, inputs in caller.inputs.items():
        if number == caller.entry["_leave"]:
            continue
        for more in ("draft", ["a/b", "c"]):
            data = [bad, *[more] * (inputs - 1)]
            if len(json.dumps(data)) < 1000:
                assert not house.leaks(caller.call(number, *data))
        assert not house.leaks(caller.queued(number, bad, *[None] * (inputs - 1), session=f"s{number}"))
    assert house.orders() == before
    assert [one.state for one in drafts(house.settings)] == ["draft"]


def test_another_ones_session_hash_is_no_key(house, space, token):
    """It stands in addresses, so it ends in logs; what an admin looked at in it stays theirs."""
    admin, thief = Caller(space), Caller(space)
    assert house.leaks(admin.queued(arrival(admin), token, None, "", None, session="known"))
    for number, inputs in thief.inputs.items():
        if number != thief.entry["_leave"]:
            assert not house.leaks(thief.queued(number, "", *[None] * (inputs - 1), session="known"))
    assert house.orders() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_another_page_gets_nothing_even_with_a_token(house, space, token, headers):
    caller = Caller(space)
    for ask in (caller.call, caller.queued):
        assert not house.leaks(ask(arrival(caller), token, None, "", None, **headers))
    answer = caller.call(caller.entry["_enter"], "ada", PASSWORD, **headers)
    assert not house.leaks(answer), "nor does the password help it"


def test_what_everybody_is_told_holds_no_draft(house, space, token):
    caller = Caller(space)
    paths = ("/review", "/config", "/gradio_api/info", "/gradio_api/info?all_endpoints=true", "/")
    told = "".join(caller.get(path).text for path in paths)
    assert not house.leaks(told)
    assert PASSWORD not in told
    assert token not in told
    listed = caller.get("/gradio_api/info?all_endpoints=true").json()["named_endpoints"]
    assert "/search" in listed
    assert not {name.strip("/") for name in listed} & {*caller.entry}


def test_who_has_left_is_a_stranger(house, space, tokens):
    caller, leaver = Caller(space), tokens[1]
    assert house.leaks(caller.call(arrival(caller), leaver, None, "", None))
    caller.call(caller.entry["_leave"], leaver)
    assert not house.leaks(caller.call(arrival(caller), leaver, None, "", None))


def test_guesses_are_few_and_harm_nobody_who_is_in(house, space, token):
    """The last one on this Space, whose password is then not looked at for a while."""
    caller = Caller(space)
    answers = [caller.call(caller.entry["_enter"], "eve", f"guess {i}") for i in range(12)]
    assert "Too many wrong passwords" in answers[-1]
    right = caller.call(caller.entry["_enter"], "ada", PASSWORD)
    assert not house.leaks(right)
    assert "Too many wrong passwords" in right
    assert house.leaks(caller.call(arrival(caller), token, None, "", None))


def test_without_a_setting_there_is_no_page(house):
    with serving(house.home, house.endpoint) as url:
        assert httpx.get(f"{url}/review").status_code == 404
        assert Caller(url).inputs == {}
        assert "/review" not in httpx.get(f"{url}/").text


# --- the Hub's sign-in --------------------------------------------------------------------------


def signed_in(name: str, secret: str = SECRET, until: float | None = None) -> dict[str, str]:
    """The cookie that Gradio gives whoever has signed in, made as its session middleware makes it."""
    info = {"preferred_username": name, "name": name, "profile": "https://hub/x", "picture": "https://hub/x"}
    session = {"oauth_info": {"userinfo": info, "expires_at": until or time.time() + 600}}
    key = hashlib.sha256(f"{secret}-v4".encode()).hexdigest()
    signed = TimestampSigner(key).sign(base64.b64encode(json.dumps(session).encode()))
    return {"Cookie": f"session={signed.decode()}"}


@pytest.fixture(scope="module")
def on_the_hub(house: House) -> Iterator[str]:
    more = ON_THE_HUB | {"OAUTH_CLIENT_SECRET": SECRET, "HUBBOT_REVIEW_PASSWORD": PASSWORD}
    with serving(house.home, house.endpoint, **more) as url:
        yield url


@pytest.mark.parametrize("name", ["ada", "Ada", "bob"])
def test_admins_of_the_list_come_in(house, on_the_hub, name):
    caller = Caller(on_the_hub, **signed_in(name))
    told = caller.queued(arrival(caller), "", None, "", None)
    assert house.leaks(told)
    assert f"You are {name}." in told


@pytest.mark.parametrize(
    "cookie",
    [
        {},
        signed_in("mallory"),
        signed_in("ada "),
        signed_in(""),
        signed_in("ada", secret=""),
        signed_in("ada", secret="another"),
        signed_in("ada", until=time.time() - 1),
        {"Cookie": "session=x"},
    ],
    ids=["nobody", "mallory", "blank", "empty", "no secret", "other secret", "expired", "broken"],
)
def test_others_stay_out(house, on_the_hub, cookie):
    caller, before = Caller(on_the_hub, **cookie), house.orders()
    for number, inputs in caller.inputs.items():
        for ask in (caller.call, caller.queued):
            assert not house.leaks(ask(number, PASSWORD, *[None] * (inputs - 1)))
    assert house.orders() == before
    assert "_enter" not in caller.entry, "there is no password here, whatever is set"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
    ids=str,
)
def test_another_page_cannot_use_an_admins_cookie(house, on_the_hub, headers):
    """Gradio's cookie goes along with what other pages ask for, and Gradio lets them read the answer."""
    caller, before = Caller(on_the_hub, **signed_in("ada")), house.orders()
    for number, inputs in caller.inputs.items():
        assert not house.leaks(caller.queued(number, "", *[None] * (inputs - 1), **headers))
    assert house.orders() == before


@pytest.mark.parametrize(
    "more", [{}, {"OAUTH_CLIENT_SECRET": SECRET, "HUBBOT_ADMINS": ""}], ids=["no secret", "no list"]
)
def test_on_the_hub_without_a_list_or_a_secret_there_is_no_page(house, more):
    environ = ON_THE_HUB | {"HUBBOT_REVIEW_PASSWORD": PASSWORD} | more
    with serving(house.home, house.endpoint, **environ) as url:
        assert httpx.get(f"{url}/review").status_code == 404
