"""Cards and pull requests, through the real client against a Hub on loopback."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import HfApi

from hubbot.errors import AccessDenied, CardError, HubError, HubUnavailable, RepoNotFound
from hubbot.hub.client import Hub
from hubbot.hub.pulls import earlier, last_word, open_pull, pull_status, read_card, validate_card, whoami
from hubbot.localhub.server import Server
from hubbot.records import PullRequest, Suggestion, SuggestionState

CARD = "---\r\nlicense: mit  # as agreed\r\n---\r\n# Ein Modell ☃\r\n".encode()
NEW = CARD.decode().replace("---\r\n#", "tags: [seven]\r\n---\r\n#")


@pytest.fixture
def suggestion(server: Server) -> Suggestion:
    server.repos.create("o/m")
    commit = server.repos.commit("o/m", {"README.md": CARD})
    return Suggestion(
        "o/m", commit, SuggestionState.OPENING, title="Add tags", body="Read off.", new_text=NEW
    )


@pytest.fixture
def owner(server: Server) -> HfApi:
    return HfApi(endpoint=server.endpoint, token="hf_o")


def test_we_are_asked_for_our_name_once(hub: Hub, seen: Any) -> None:
    assert [whoami(hub), whoami(hub)] == ["bot", "bot"]
    assert [exchange.path for exchange in seen()] == ["/api/whoami-v2"]


def test_without_a_good_token_we_are_nobody(server: Server, seen: Any) -> None:
    with Hub(server.endpoint) as stranger, pytest.raises(HubError, match="needs a token"):
        whoami(stranger)
    assert seen() == []
    with (
        Hub(server.endpoint, token="wrong") as wrong,
        pytest.raises(HubError, match="does not accept the token"),
    ):
        whoami(wrong)


def test_a_card_comes_byte_for_byte(hub: Hub, suggestion: Suggestion, server: Server) -> None:
    assert read_card(hub, "o/m", suggestion.base_commit) == CARD
    server.repos.commit("o/m", {"README.md": b"later"})
    assert read_card(hub, "o/m", suggestion.base_commit) == CARD
    assert read_card(hub, "o/m", "main") == b"later"
    assert server.repos.get("o/m").downloads == 0


def test_no_card_no_repo_and_a_card_too_large(server: Server, hub: Hub) -> None:
    server.repos.create("o/bare")
    assert read_card(hub, "o/bare", "main") is None
    with pytest.raises(RepoNotFound, match="o/absent"):
        read_card(hub, "o/absent", "main")
    server.repos.commit("o/bare", {"README.md": b"x" * 2_000_001})
    with pytest.raises(CardError, match="o/bare: README"):
        read_card(hub, "o/bare", "main")


def test_what_the_hub_would_reject_is_known_beforehand(hub: Hub) -> None:
    assert validate_card(hub, "---\nlicense: mit\n---\n# Fine\n") == []
    assert validate_card(hub, "---\ndatasets: [no such id!]\ntags: {a: b}\n---\n")


def test_a_pull_request_is_opened_and_found_again(server: Server, hub: Hub, suggestion: Suggestion) -> None:
    assert earlier(hub, "o/m", "bot") == []
    opened = open_pull(hub, suggestion, "bot")
    url = f"{server.endpoint}/o/m/discussions/{opened.number}"
    assert opened == PullRequest("o/m", opened.number, "Add tags", "open", "bot", url)
    assert earlier(hub, "o/m", "bot") == [opened]
    assert pull_status(hub, "o/m", opened.number) == opened
    ref = f"refs/pr/{opened.number}"
    assert server.repos.read("o/m", "README.md", ref) == NEW.encode()
    assert server.repos.commit_of("o/m", ref).parents == (suggestion.base_commit,)
    assert server.repos.read("o/m", "README.md") == CARD


def test_it_stands_on_the_commit_that_was_read(server: Server, hub: Hub, suggestion: Suggestion) -> None:
    server.repos.commit("o/m", {"other.txt": b"main moved on"})
    opened = open_pull(hub, suggestion, "bot")
    commit = server.repos.commit_of("o/m", f"refs/pr/{opened.number}")
    assert commit.parents == (suggestion.base_commit,)


@pytest.mark.parametrize("ending", ["open", "closed", "merged"])
def test_the_same_title_is_never_asked_twice(
    server: Server, hub: Hub, suggestion: Suggestion, owner: HfApi, ending: str
) -> None:
    opened = open_pull(hub, suggestion, "bot")
    if ending == "closed":
        owner.change_discussion_status("o/m", opened.number, "closed")
    if ending == "merged":
        owner.merge_pull_request("o/m", opened.number)
    assert pull_status(hub, "o/m", opened.number).status == ending
    with pytest.raises(HubError, match=f"o/m: pull request {opened.number} of ours exists and is {ending}"):
        open_pull(hub, suggestion, "bot")
    assert len(earlier(hub, "o/m", "bot")) == 1


@pytest.mark.parametrize("ending", ["open", "closed", "merged"])
def test_an_owner_who_asks_gets_what_was_answered_and_not_what_waits(
    hub: Hub, suggestion: Suggestion, owner: HfApi, ending: str
) -> None:
    opened = open_pull(hub, suggestion, "bot")
    if ending == "open":
        with pytest.raises(HubError, match="of ours exists and is open"):
            open_pull(hub, suggestion, "bot", asked=True)
        return
    if ending == "closed":
        owner.change_discussion_status("o/m", opened.number, "closed")
    else:
        owner.merge_pull_request("o/m", opened.number)
        owner.upload_file(path_or_fileobj=CARD, path_in_repo="README.md", repo_id="o/m")
        suggestion = replace(suggestion, base_commit=owner.model_info("o/m").sha)
    assert open_pull(hub, suggestion, "bot", asked=True).status == "open"


def test_the_last_word_of_others_on_one_line(hub: Hub, suggestion: Suggestion, owner: HfApi) -> None:
    opened = open_pull(hub, suggestion, "bot")
    assert last_word(pull_status(hub, "o/m", opened.number)) == ""
    owner.comment_discussion("o/m", opened.number, "First.")
    owner.comment_discussion("o/m", opened.number, "Thanks,\n\tbut \x1b[1mno\u202e. " + "x" * 500)
    hub.api.comment_discussion("o/m", opened.number, "Our own.")
    said = last_word(pull_status(hub, "o/m", opened.number))
    assert said.startswith("said there: Thanks, but")
    assert said.isprintable()
    assert len(said) <= 200 + len("said there: ")


def test_two_of_ours_are_never_open_at_once(hub: Hub, suggestion: Suggestion, owner: HfApi) -> None:
    hub.api.create_pull_request("o/m", "Another title")
    with pytest.raises(HubError, match=r"is (draft|open)"):
        open_pull(hub, suggestion, "bot")


def test_those_of_others_do_not_count(hub: Hub, suggestion: Suggestion, owner: HfApi) -> None:
    owner.create_pull_request("o/m", "Add tags")
    owner.create_discussion("o/m", "Add tags")
    assert earlier(hub, "o/m", "bot") == []
    assert open_pull(hub, suggestion, "bot").status == "open"


def test_a_card_that_says_it_already_opens_nothing(hub: Hub, suggestion: Suggestion, server: Server) -> None:
    server.repos.commit("o/m", {"README.md": NEW.encode()})
    with pytest.raises(HubError, match="says this already"):
        open_pull(hub, suggestion, "bot")
    assert earlier(hub, "o/m", "bot") == []


def test_a_commit_that_failed_is_not_sent_again(
    server: Server, hub: Hub, suggestion: Suggestion, seen: Any
) -> None:
    server.faults.add("error", path="*/commit/*", times=1)
    with pytest.raises(HubUnavailable, match="o/m"):
        open_pull(hub, suggestion, "bot")
    assert len([exchange for exchange in seen() if "/commit/" in exchange.path]) == 1


def test_a_lookup_that_failed_opens_nothing(
    server: Server, hub: Hub, suggestion: Suggestion, seen: Any
) -> None:
    server.faults.add("error", path="*/discussions")
    with pytest.raises(HubUnavailable, match="o/m"):
        open_pull(hub, suggestion, "bot")
    assert not any("/commit/" in exchange.path for exchange in seen())


def test_a_stranger_opens_nothing(server: Server, suggestion: Suggestion) -> None:
    with Hub(server.endpoint) as stranger, pytest.raises(HubError):
        open_pull(stranger, suggestion, "bot")


def test_a_repo_that_turned_disabled(server: Server, hub: Hub, suggestion: Suggestion) -> None:
    server.repos.update("o/m", disabled=True)
    with pytest.raises(AccessDenied, match="o/m"):
        open_pull(hub, suggestion, "bot")
