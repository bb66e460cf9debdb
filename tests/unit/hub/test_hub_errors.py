"""What the Hub says, in hubbot's words."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from hubbot.errors import (
    AccessDenied,
    HubbotError,
    HubError,
    HubUnavailable,
    RateLimited,
    RepoNotFound,
    TruncatedFile,
    UnsafeFormat,
    WeightsError,
)
from hubbot.hub.client import Cache
from hubbot.hub.families import weights_of
from hubbot.hub.faults import FileNotThere, from_response, shown, translated, wait_s
from hubbot.hub.patience import LONGEST_WINDOW_S, Patience


def answer(status: int, **headers: str) -> HubbotError:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return from_response(httpx.Response(status, headers=named), repo="o/m", file="f")


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (404, {"X_Error_Code": "RepoNotFound"}, RepoNotFound),
        (404, {"X_Error_Code": "RevisionNotFound"}, RepoNotFound),
        (404, {"X_Error_Code": "EntryNotFound"}, FileNotThere),
        (401, {}, RepoNotFound),
        (401, {"X_Error_Code": "GatedRepo"}, AccessDenied),
        (401, {"X_Error_Message": "Invalid credentials in Authorization header"}, HubError),
        (403, {"X_Error_Code": "GatedRepo"}, AccessDenied),
        (403, {"X_Error_Message": "Access to this resource is disabled."}, AccessDenied),
        (416, {}, TruncatedFile),
        (429, {}, RateLimited),
        (500, {}, HubUnavailable),
        (503, {}, HubUnavailable),
        (503, {"Retry_After": "3"}, RateLimited),
        (400, {}, HubError),
    ],
)
def test_each_answer_has_its_error(status: int, headers: dict[str, str], kind: type[HubbotError]) -> None:
    error = answer(status, **headers)
    assert type(error) is kind
    assert (error.repo, error.file) == ("o/m", "f")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"RateLimit": '"api";r=0;t=55'}, 55.0),
        ({"RateLimit": '"api";r=12;t=55'}, None),
        ({"Retry-After": "2", "RateLimit": '"api";r=12;t=55'}, 2.0),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({}, None),
    ],
)
def test_how_long_the_hub_asks_us_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert wait_s(httpx.Headers(headers), now) == seconds


def test_a_strangers_words_are_one_short_line() -> None:
    assert shown("two\nlines\x1b[31m") == "two lines [31m"
    assert len(shown("x" * 10_000)) == 200


def test_a_stumble_over_the_answer_is_the_hubs_fault_and_names_the_repo() -> None:
    with pytest.raises(HubUnavailable, match="o/m: an answer of the wrong form"), translated(repo="o/m"):
        {}["missing"]


def failing(*errors: Exception) -> tuple[Patience, list[float], object]:
    waits: list[float] = []
    left = list(errors)

    def read() -> str:
        if left:
            raise left.pop(0)
        return "here"

    return Patience(3, waits.append), waits, read


def test_passing_faults_are_waited_out_longer_each_time() -> None:
    patience, waits, read = failing(*[HubUnavailable()] * 3)
    assert patience.with_reads(read) == "here"
    assert len(waits) == 3
    assert all(0.125 * 2**n <= wait <= 0.25 * 2**n for n, wait in enumerate(waits))


def test_patience_ends() -> None:
    patience, waits, read = failing(*[HubUnavailable()] * 4)
    with pytest.raises(HubUnavailable):
        patience.with_reads(read)
    assert len(waits) == 3


def test_the_wait_that_was_asked_for_is_waited() -> None:
    patience, waits, read = failing(RateLimited(retry_after_s=7))
    assert patience.with_reads(read) == "here"
    assert 7 <= waits[0] <= 7.2


def test_nobody_sleeps_for_minutes_in_a_thread() -> None:
    patience, waits, read = failing(RateLimited(retry_after_s=250))
    with pytest.raises(RateLimited):
        patience.with_reads(read)
    assert waits == []


def test_who_has_time_sleeps_a_whole_window_of_the_hubs_out() -> None:
    _, waits, read = failing(RateLimited(retry_after_s=250))
    assert Patience(3, waits.append, LONGEST_WINDOW_S).with_reads(read) == "here"
    assert 250 <= waits[0] <= 251


def test_what_will_not_pass_is_not_tried_again() -> None:
    patience, waits, read = failing(RepoNotFound())
    with pytest.raises(RepoNotFound):
        patience.with_reads(read)
    assert waits == []


def test_the_cache_keeps_what_was_used_last_within_its_budget() -> None:
    cache = Cache(100)
    for name in "abc":
        cache.put(name, name.upper(), cost=40)
    assert [cache.get(name) for name in "abc"] == [None, "B", "C"]
    cache.get("b")
    cache.put("d", "D", cost=40)
    assert [cache.get(name) for name in "bcd"] == ["B", None, "D"]
    cache.put("d", "E", cost=10)
    cache.put("e", "F", cost=50)
    assert [cache.get(name) for name in "bde"] == ["B", "E", "F"]
    cache.put("huge", "G", cost=101)
    assert [cache.get(name) for name in ("b", "d", "e", "huge")] == [None] * 4


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["config.json", "model.safetensors", "pytorch_model.bin"], "model.safetensors"),
        (["model.safetensors.index.json", "model-1.safetensors"], "model.safetensors.index.json"),
        (["adapter_model.safetensors", "optimizer.pt"], "adapter_model.safetensors"),
        (["pytorch_lora_weights.safetensors"], "pytorch_lora_weights.safetensors"),
        (["my-style.safetensors", "vae/x.safetensors"], "my-style.safetensors"),
    ],
)
def test_the_weights_are_found_by_name(files: list[str], found: str) -> None:
    assert weights_of(files, repo="o/m") == found


def test_pickles_alone_are_named_and_left_shut() -> None:
    with pytest.raises(UnsafeFormat, match=r"o/m: pytorch_model\.bin"):
        weights_of(["README.md", "pytorch_model.bin"], repo="o/m")


@pytest.mark.parametrize("files", [[], ["README.md"], ["a.safetensors", "b.safetensors"], ["m.gguf"]])
def test_no_weights_is_said_so(files: list[str]) -> None:
    with pytest.raises(WeightsError, match="o/m"):
        weights_of(files, repo="o/m")
