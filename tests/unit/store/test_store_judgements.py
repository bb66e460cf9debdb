"""What autoencoders said: once for the same weights, and shown of those alone that a repo has now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubbot.errors import StoreError
from hubbot.records import Abstention, Estimate, How, Judgement, Placement, Reading, Upload
from hubbot.store.copies import PASSING
from hubbot.store.store import Store

REPO = "ann/net"
SAID = Judgement(
    REPO,
    "a" * 40,
    ("id1", "id2"),
    "digits",
    "v1",
    (Estimate("accuracy", 0.8, 0.75, 0.85, 0.9, 0, 1),),
    None,
    99,
)


def concluded(store: Store, *said: Judgement, ids: tuple[str, ...] = ("id1", "id2"), repo: str = REPO) -> int:
    """A visit that came to these judgements; the time at which it changed anything last."""
    upload = Upload(repo, "a" * 40, datetime(2026, 11, 20, tzinfo=UTC))
    placement = Placement(repo, upload.commit, None, None, How.UNPLACED)
    reading = Reading(repo, upload.commit, ids, abstention=Abstention("unplaced", "in no tree"))
    store.conclude(upload, [placement], reading, None, said)
    return store.clock().at


def holding(store: Store, repo: str = REPO) -> tuple[Judgement, ...]:
    return store.several([repo])[0].judgements


def test_what_was_said_comes_back_once_and_ticks_once(store: Store) -> None:
    first = concluded(store, SAID)
    assert concluded(store, replace(SAID, commit="b" * 40, content_ids=("id2", "id1"))) == first
    assert store.judgements(REPO) == [SAID]
    assert holding(store) == (SAID,)
    assert holding(store, REPO)
    assert REPO in store.changed(first - 1)


def test_only_what_the_last_visit_said_holds(store: Store) -> None:
    newer, other = replace(SAID, version="v2"), replace(SAID, autoencoder="letters")
    concluded(store, SAID, other)
    assert holding(store) == (SAID, other)
    concluded(store, newer)
    assert holding(store) == (newer,)
    assert concluded(store) < concluded(store, SAID), "that one holds again is a change"
    assert holding(store) == (SAID,)
    assert store.judgements(REPO) == [SAID, other, newer]
    store.forget(REPO)
    assert holding(store) == ()


def test_an_abstention_gives_way_and_an_answer_does_not(store: Store) -> None:
    silent = replace(SAID, estimates=(), abstention=Abstention("engine", "it died"))
    for said in (silent, replace(silent, abstention=Abstention("too-large", "it is")), SAID, silent):
        concluded(store, said)
        assert len(store.judgements(REPO)) == 1
    assert holding(store) == (SAID,)


def test_what_is_no_number_is_refused_with_all_that_came_with_it(store: Store) -> None:
    odd = replace(SAID, estimates=(replace(SAID.estimates[0], high=float("inf")),))
    with pytest.raises(StoreError, match=r"ann/net.*'accuracy' is no number"):
        concluded(store, odd)
    assert store.reading(REPO) is None


def test_what_holds_travels_to_readers(store: Store, tmp_path: Path) -> None:
    concluded(store, replace(SAID, version="v0"))
    concluded(store, SAID)
    faulty = replace(
        SAID, repo="bob/net", estimates=(), abstention=Abstention("engine", "/home/ann/sizes is broken")
    )
    concluded(store, faulty, repo="bob/net")
    store.copy_for_readers(tmp_path / "copy.db")
    with Store.open(f"sqlite:///{tmp_path / 'copy.db'}", frozen=True) as copy:
        assert copy.judgements(REPO) == [SAID]
        assert holding(copy, "bob/net")[0].abstention == Abstention("engine", PASSING)
