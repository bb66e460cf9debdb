"""Answers that are kept: made once for each state, bounded, and shared by those who ask at once."""

from __future__ import annotations

import threading
import time

import pytest

from hubbot import keeping
from hubbot.keeping import Kept


def test_an_answer_is_made_once_for_each_state() -> None:
    state, made = [0], []

    def work_out() -> int:
        made.append(state[0])
        return state[0]

    kept = Kept(lambda: state[0], 2)
    assert [kept.get("a", work_out) for _ in range(3)] == [0, 0, 0]
    state[0] = 1
    assert [kept.get("a", work_out) for _ in range(3)] == [1, 1, 1]
    assert made == [0, 1]


def test_only_those_asked_for_last_are_kept() -> None:
    made: list[str] = []
    kept = Kept(lambda: 0, 2)
    for key in ("a", "b", "a", "c", "a", "b"):
        kept.get(key, lambda key=key: made.append(key))
    assert made == ["a", "b", "c", "b"]


def test_who_asks_for_the_same_at_once_waits_for_it() -> None:
    made: list[int] = []

    def work_out() -> int:
        time.sleep(0.1)
        made.append(1)
        return 7

    kept, found = Kept(lambda: 0, 2), []
    threads = [threading.Thread(target=lambda: found.append(kept.get("a", work_out))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [7] * 8
    assert made == [1]


def test_a_failure_is_not_kept() -> None:
    kept = Kept(lambda: 0, 2)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 5) == 5


def test_a_dear_answer_outlives_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "DEAR_S", 0.01)
    state = [0]

    def work_out() -> int:
        time.sleep(0.05)
        return state[0]

    kept = Kept(lambda: state[0], 2)
    assert kept.get("a", work_out) == 0
    state[0] = 1
    assert kept.get("a", work_out) == 0, "it took too long to be made at every change"
    time.sleep(0.05 * keeping.WORTH + 0.3)
    assert kept.get("a", work_out) == 1
