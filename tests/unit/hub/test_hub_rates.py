"""The budgets by a clock that the test holds: spreading, pausing, windows, and what answers teach."""

from __future__ import annotations

import random
from itertools import pairwise
from threading import Barrier, Thread

import httpx
import pytest

from hubbot.errors import RateLimited
from hubbot.hub.rates import JITTER_S, ROUNDING_S, SHORTEST_WAIT_S, Clock, Rate, Rates, kinds

HUB = "https://hub.example"

Headers = dict[str, str]


class Time:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.at, self.slept = 1000.0, 0.0

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.slept += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def rates(time: Time) -> Rates:
    return Rates(HUB, Clock(time.sleep, time), longest_wait_s=60)


def ask(rates: Rates, path: str = "/api/models", method: str = "GET") -> httpx.Request:
    request = httpx.Request(method, HUB + path)
    rates.before(request)
    return request


def answer(rates: Rates, request: httpx.Request, status: int = 200, **headers: str) -> None:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    rates.after(httpx.Response(status, headers=named, request=request))


def told(rates: Rates, kind: str) -> Rate:
    return next(rate for rate in rates.told() if rate.kind == kind)


def left(
    remaining: int, reset: int, quota: int = 500, window: int = 300, kind: str = "api"
) -> dict[str, str]:
    return {
        "RateLimit": f'"{kind}";r={remaining};t={reset}',
        "RateLimit-Policy": f'"fixed window";"{kind}";q={quota};w={window}',
    }


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/api/models", ("api",)),
        ("GET", "/api/models/o/m/discussions", ("api",)),
        ("POST", "/api/models/o/m/paths-info/main", ("api",)),
        ("POST", "/api/models/o/m/commit/main", ("strict", "api")),
        ("POST", "/api/models/o/m/discussions/3/comment", ("strict", "api")),
        ("GET", "/api/whoami-v2", ("strict", "api")),
        ("GET", "/o/m/resolve/main/model.safetensors", ("resolvers",)),
        ("GET", "/api/resolve-cache/models/o/m/abc/README.md", ("resolvers",)),
        ("GET", "/o/m", ("pages",)),
    ],
)
def test_each_request_has_its_kind(method: str, path: str, found: tuple[str, ...]) -> None:
    assert kinds(httpx.Request(method, HUB + path)) == found


def test_nothing_waits_while_much_remains(rates: Rates, time: Time) -> None:
    answer(rates, ask(rates), **left(400, 200))
    for _ in range(290):
        ask(rates)
    assert time.slept == 0


def test_what_is_left_is_spread_over_the_rest_of_the_window(rates: Rates, time: Time) -> None:
    answer(rates, ask(rates), **left(50, 200))
    began = time.at
    moments = [time.at for _ in range(50) if ask(rates)]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert all(abs(gap - (200 + ROUNDING_S) / 50) < 1e-6 for gap in gaps)
    ask(rates)
    assert time.at >= began + 200 + ROUNDING_S
    assert told(rates, "api").waited_s == pytest.approx(time.slept)


def test_the_next_window_is_a_full_one(rates: Rates, time: Time) -> None:
    answer(rates, ask(rates), **left(0, 20, quota=10, window=30))
    began = time.at
    moments = [time.at - began for _ in range(10) if ask(rates)]
    assert 20 + ROUNDING_S <= moments[0] <= 20 + ROUNDING_S + JITTER_S
    assert moments[8] == moments[0]
    assert moments[9] > moments[8]


def test_an_answer_of_the_window_before_is_old_news(rates: Rates, time: Time) -> None:
    slow = ask(rates)
    time.at += 290
    answer(rates, ask(rates), **left(499, 300))
    answer(rates, slow, **left(0, 1))
    assert told(rates, "api").remaining == 499


def test_turns_that_were_taken_since_are_not_given_twice(rates: Rates) -> None:
    first = ask(rates)
    for _ in range(5):
        ask(rates)
    answer(rates, first, **left(499, 300))
    assert told(rates, "api").remaining == 494
    answer(rates, ask(rates), **left(493, 300))
    assert told(rates, "api").remaining == 493


def test_a_refusal_is_for_all_of_its_kind_even_where_some_remain(rates: Rates, time: Time) -> None:
    answer(rates, ask(rates), 429, Retry_After="30", **left(40, 200, quota=100))
    began = time.at
    ask(rates, "/o/m/resolve/main/f")
    assert time.at == began
    ask(rates)
    assert began + 30 <= time.at <= began + 30 + JITTER_S
    assert told(rates, "api").refused == 1
    assert told(rates, "resolvers").refused == 0


def test_an_unavailable_server_that_says_when_to_come_back_pauses_too(rates: Rates, time: Time) -> None:
    answer(rates, ask(rates), 503, Retry_After="5")
    began = time.at
    ask(rates)
    assert time.at >= began + 5


def test_a_refused_commit_stops_no_reading(rates: Rates, time: Time) -> None:
    commit = "/api/models/o/m/commit/main"
    answer(rates, ask(rates, commit, "POST"), 429, Retry_After="3000", **left(9, 100, 10))
    ask(rates)
    assert time.slept == 0
    with pytest.raises(RateLimited):
        ask(rates, commit, "POST")


def test_who_would_wait_too_long_is_told_so_and_takes_no_turn(rates: Rates, time: Time) -> None:
    answer(rates, ask(rates), 429, Retry_After="250")
    with pytest.raises(RateLimited, match="leaves nothing for 25") as caught:
        ask(rates)
    assert 250 <= (caught.value.retry_after_s or 0) <= 251
    assert (time.slept, told(rates, "api").requests) == (0, 1)


def test_no_answer_keeps_us_away_for_good(rates: Rates, time: Time) -> None:
    for header in ("999999999", "Fri, 20 Nov 2099 12:00:30 GMT"):
        answer(rates, ask(rates), 429, Retry_After=header, **left(0, 10**15, quota=1, window=10**12))
        with pytest.raises(RateLimited):
            ask(rates)
        time.at += 3601
    ask(rates)


@pytest.mark.parametrize(
    "header", ["", "nonsense", '"api"', '"api";r=-1;t=-5', f'"api";r={"9" * 5000};t=1', '"x\ud800";r=1;t=1']
)
def test_headers_that_say_nothing_teach_nothing(rates: Rates, header: str) -> None:
    request = ask(rates)
    raw = [(b"RateLimit", header.encode("utf-8", "replace")), (b"RateLimit-Policy", b"q=0;w=0")]
    rates.after(httpx.Response(200, headers=raw, request=request))
    ask(rates)
    assert told(rates, "api").remaining in (None, 0)


def test_a_kind_that_nobody_knows_is_taken_for_the_requests_own(rates: Rates) -> None:
    answer(rates, ask(rates), **left(17, 100, kind="files"))
    assert [rate.kind for rate in rates.told()] == ["api"]
    assert told(rates, "api").remaining == 17


def test_other_origins_have_no_budget(rates: Rates) -> None:
    for url in ("https://cdn.example/x", "http://hub.example/x", "https://hub.example:444/x"):
        request = httpx.Request("GET", url)
        rates.before(request)
        rates.after(httpx.Response(429, headers={"Retry-After": "50"}, request=request))
    assert rates.told() == ()


def test_a_budget_stands_full_again_after_its_window(rates: Rates, time: Time) -> None:
    answer(rates, ask(rates), **left(3, 10))
    assert told(rates, "api") == Rate("api", 3, 10 + ROUNDING_S, 1, 0, 0.0)
    time.at += 12
    assert told(rates, "api") == Rate("api", 500, 0.0, 1, 0, 0.0)


@pytest.mark.parametrize("seed", range(20))  # of the jitter, which rounding may leave a trace of
def test_a_clock_that_is_set_back_keeps_nobody_waiting_twice(time: Time, seed: int) -> None:
    random.seed(seed)
    clock = Clock(time.sleep, time)
    rates = Rates(HUB, clock, longest_wait_s=60)
    answer(rates, ask(rates), 429, Retry_After="30")
    before = clock.now()
    time.at -= 5000
    assert clock.now() == before
    ask(rates)
    assert 30 - SHORTEST_WAIT_S <= time.slept <= 30 + JITTER_S
    assert clock.now() == pytest.approx(before + time.slept)
    ask(rates)
    assert time.slept <= 30 + JITTER_S


def test_sleeps_at_once_pass_once() -> None:
    """Whoever sleeps at the same time as others passes the same seconds, also by a clock that stands."""
    clock, together = Clock(lambda _: together.wait(5) and None, lambda: 0.0), Barrier(8)
    sleepers = [Thread(target=clock.sleep, args=(7,)) for _ in range(8)]
    for sleeper in sleepers:
        sleeper.start()
    for sleeper in sleepers:
        sleeper.join()
    assert clock.now() == 7


def test_a_sleep_that_a_test_plays_passes_as_a_real_one() -> None:
    slept: list[float] = []
    rates = Rates(HUB, Clock(slept.append), longest_wait_s=60)
    answer(rates, ask(rates), 429, Retry_After="30")
    ask(rates)
    ask(rates)
    assert [30 <= wait <= 30 + JITTER_S for wait in slept] == [True]
