from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from hubbot.policy import Quiet, listed, may_suggest
from hubbot.records import Abstention, Prediction, PullRequest, Reading, Suggestion, SuggestionState, Upload

UPLOAD = Upload("Ann/vit", "c" * 40, datetime(2026, 11, 1, tzinfo=UTC))
READING = Reading("Ann/vit", "c" * 40, ("w1", "w2"), predictions=(Prediction("seven", 0.97, True),))
WELCOME: dict[str, Any] = {
    "opted_out": False,
    "earlier": (),
    "previous": None,
    "blocked": (),
    "opened_for_owner": 0,
    "opened_today": 0,
    "pulls_per_owner": 3,
    "pulls_per_day": 50,
    "mode": "auto",
}


def pull(status: str) -> PullRequest:
    return PullRequest("Ann/vit", 4, "Add tags", status, "hubbot", "https://hub/Ann/vit/discussions/4")


def made(state: SuggestionState, content_ids: tuple[str, ...] = ("w2", "w1")) -> Suggestion:
    return Suggestion("Ann/vit", "b" * 40, state, pull_request="https://hub/4", content_ids=content_ids)


def why_not(upload: Upload = UPLOAD, reading: Reading = READING, **facts: Any) -> str | None:
    return may_suggest(upload, reading, **(WELCOME | facts))


@pytest.mark.parametrize("mode", ["draft", "review", "auto"])
def test_a_first_suggestion_may_be_made(mode: str) -> None:
    assert why_not(mode=mode) is None


def test_switched_off() -> None:
    assert why_not(mode="off") == "suggestions are switched off"


@pytest.mark.parametrize("state", ["gated", "private", "disabled"])
def test_what_its_owner_shut_is_left_alone(state: str) -> None:
    assert state in str(why_not(replace(UPLOAD, **{state: True})))


def test_an_abstention_says_nothing_and_gives_its_reason() -> None:
    silent = replace(READING, predictions=(), abstention=Abstention("no-expert", "nobody knows this tree"))
    assert "nobody knows this tree" in str(why_not(reading=silent))


def test_what_is_not_recognised_is_not_suggested() -> None:
    unsure = replace(READING, predictions=(Prediction("seven", 0.6, False),))
    assert "nothing was recognised" in str(why_not(reading=unsure))


def test_the_opt_out_word() -> None:
    assert "hubbot: false" in str(why_not(opted_out=True))


@pytest.mark.parametrize("entry", ["ann", "ANN", "ann/VIT", " Ann/vit "])
def test_the_blocklist_names_owners_and_repos_in_any_case(entry: str) -> None:
    assert "blocklist" in str(why_not(blocked=[entry]))


@pytest.mark.parametrize("entry", ["an", "ann/vit-2", "", "vit"])
def test_the_blocklist_blocks_nobody_else(entry: str) -> None:
    assert why_not(blocked=[entry]) is None
    assert why_not(replace(UPLOAD, repo="gpt2"), blocked=[entry]) is None


@pytest.mark.parametrize("status", ["open", "draft", "some status of next year"])
def test_one_pull_request_per_repo(status: str) -> None:
    assert "waits for an answer" in str(why_not(earlier=[pull("merged"), pull(status)]))
    assert "waits for an answer" in str(why_not(earlier=[pull(status)], asked=True))


def test_one_that_we_remember_as_open_counts_even_if_the_hub_was_not_asked() -> None:
    assert "waits for an answer" in str(why_not(previous=made(SuggestionState.OPEN)))
    assert "just being opened" in str(why_not(previous=made(SuggestionState.OPENING)))


@pytest.mark.parametrize("facts", [{"earlier": [pull("closed")]}, {"previous": made(SuggestionState.CLOSED)}])
def test_closed_means_silence_for_good_new_weights_or_not(facts: dict[str, Any]) -> None:
    new_weights = replace(READING, content_ids=("w9",))
    assert "silence for good" in str(why_not(**facts))
    assert "silence for good" in str(why_not(reading=new_weights, **facts))


def test_a_close_is_not_forgotten_for_a_later_merge() -> None:
    facts: dict[str, Any] = {
        "earlier": [pull("merged"), pull("closed")],
        "previous": made(SuggestionState.MERGED),
    }
    assert "silence for good" in str(why_not(reading=replace(READING, content_ids=("w9",)), **facts))


def test_the_owner_may_break_the_silence_but_not_the_opt_out() -> None:
    assert why_not(earlier=[pull("closed")], previous=made(SuggestionState.CLOSED), asked=True) is None
    assert why_not(earlier=[pull("closed")], opted_out=True, asked=True) is not None


@pytest.mark.parametrize("remembered", [SuggestionState.MERGED, SuggestionState.OPEN])
def test_merged_allows_another_for_new_weights_only(remembered: SuggestionState) -> None:
    facts: dict[str, Any] = {"earlier": [pull("merged")], "previous": made(remembered)}
    assert "these very weights" in str(why_not(**facts))
    assert why_not(reading=replace(READING, content_ids=("w1", "w9")), **facts) is None


def test_merged_for_weights_that_nobody_remembers() -> None:
    assert "do not remember" in str(why_not(earlier=[pull("merged")]))
    assert "do not remember" in str(why_not(previous=made(SuggestionState.MERGED, ())))


@pytest.mark.parametrize("state", [SuggestionState.DRAFT, SuggestionState.REFUSED, SuggestionState.APPROVED])
def test_what_nobody_saw_binds_nobody(state: SuggestionState) -> None:
    assert why_not(previous=made(state)) is None


def test_the_caps() -> None:
    assert why_not(opened_for_owner=2, opened_today=49) is None
    assert "Ann has 3 of our pull requests" in str(why_not(opened_for_owner=3))
    assert "within a day" in str(why_not(opened_today=50))
    assert why_not(pulls_per_owner=0) is not None


@pytest.mark.parametrize(
    ("start", "end", "quiet"),
    [
        (22, 7, {22, 23, 0, 1, 2, 3, 4, 5, 6}),
        (0, 1, {0}),
        (9, 17, set(range(9, 17))),
        (1, 0, set(range(24)) - {0}),
    ],
)
def test_quiet_hours_begin_and_end_on_the_hour(start: int, end: int, quiet: set[int]) -> None:
    for hour in range(24):
        for minute in (0, 59):
            why = Quiet(start, end).why_not(datetime(2026, 11, 1, hour, minute, tzinfo=UTC))
            assert (why is not None) == (hour in quiet)
            assert why is None or f"until {end}:00 UTC" in why


def test_quiet_hours_are_by_utc_wherever_the_clock_hangs() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert Quiet(22, 7).why_not(datetime(2026, 11, 1, 7, 30, tzinfo=tokyo))
    assert not Quiet(22, 7).why_not(datetime(2026, 11, 1, 23, 30, tzinfo=tokyo))


def test_a_list_names_owners_and_repos_in_any_case() -> None:
    assert listed(UPLOAD, ["ANN"]) == "Ann"
    assert listed(UPLOAD, [" ann/VIT "]) == "Ann/vit"
    assert listed(UPLOAD, ["an", "vit", ""]) is None
