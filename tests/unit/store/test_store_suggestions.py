"""A suggestion's life, and its repo's memory of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from hubbot.errors import StoreError
from hubbot.records import How, Placement, Reading, Suggestion, SuggestionState, Upload
from hubbot.store.counts import Outcome
from hubbot.store.store import Store
from hubbot.store.suggestions import NEXT

S = SuggestionState
SUGGESTION = Suggestion(
    repo="Ann/vit",
    base_commit="a" * 40,
    state=S.DRAFT,
    title="Add the tag seven",
    body="Why",
    added=("tags: seven",),
    new_text="---\r\ntags:\r\n- seven\r\n---\r\n",
    content_ids=("w1",),
    old_text="\r\n",
)
WAY: dict[S, tuple[S, ...]] = {
    S.DRAFT: (S.DRAFT,),
    S.REFUSED: (S.REFUSED,),
    S.REJECTED: (S.DRAFT, S.REJECTED),
    S.APPROVED: (S.DRAFT, S.APPROVED),
    S.OPENING: (S.DRAFT, S.OPENING),
    S.OPEN: (S.DRAFT, S.APPROVED, S.OPENING, S.OPEN),
    S.MERGED: (S.DRAFT, S.OPENING, S.OPEN, S.MERGED),
    S.CLOSED: (S.DRAFT, S.OPENING, S.OPEN, S.CLOSED),
}


def walk(store: Store, *states: S, repo: str = "Ann/vit") -> None:
    if store.upload(repo) is None:
        store.save_upload(Upload(repo, "a" * 40, datetime.now(UTC)))
    for state in states:
        store.save_suggestion(replace(SUGGESTION, repo=repo, state=state))


def test_it_comes_back_to_the_byte(store: Store) -> None:
    walk(store, S.DRAFT)
    assert store.suggestion("Ann/vit") == SUGGESTION
    assert store.suggestions() == store.suggestions(S.DRAFT) == [SUGGESTION]
    assert store.suggestions(S.OPEN) == []
    assert store.suggestion("no/body") is None


@pytest.mark.parametrize(("state", "after"), list(product(S, S)))
def test_only_the_ways_that_exist_can_be_gone(store: Store, state: S, after: S) -> None:
    walk(store, *WAY[state])
    begins_anew = state is S.MERGED and after in (S.DRAFT, S.REFUSED, S.APPROVED)
    if after in NEXT[state] or begins_anew:
        walk(store, after)
    else:
        with pytest.raises(StoreError, match="Ann/vit"):
            walk(store, after)
    now = store.suggestion("Ann/vit")
    assert now is not None
    assert now.state == (after if after in NEXT[state] or begins_anew else state)


def test_the_ways_that_matter_are_shut() -> None:
    assert {s for s in S if S.OPENING in NEXT[s]} == {S.DRAFT, S.APPROVED, S.OPENING}
    assert {s for s in S if S.CLOSED in NEXT[s]} == {S.OPENING, S.OPEN, S.CLOSED}
    assert {s for s in S if S.OPEN in NEXT[s]} == {S.OPENING, S.OPEN}


@pytest.mark.parametrize("state", [S.REJECTED, S.OPENING, S.OPEN, S.MERGED, S.CLOSED])
def test_none_begins_with_an_answer(store: Store, state: S) -> None:
    with pytest.raises(StoreError, match="begins as"):
        walk(store, state)


def test_merged_is_history_and_the_next_is_a_row_of_its_own(store: Store) -> None:
    walk(store, *WAY[S.MERGED])
    walk(store, S.DRAFT)
    assert [s.state for s in store.suggestion_history("Ann/vit")] == [S.DRAFT, S.MERGED]
    shown = store.shown("Ann/vit")
    assert shown is not None
    assert shown.state is S.MERGED
    assert [s.state for s in store.suggestions()] == [S.DRAFT]


def test_a_closed_one_silences_the_repo_unless_the_owner_asks(store: Store) -> None:
    walk(store, *WAY[S.CLOSED])
    with pytest.raises(StoreError, match="silence"):
        walk(store, S.DRAFT)
    store.save_suggestion(SUGGESTION, asked=True)
    assert [s.state for s in store.suggestion_history("Ann/vit")] == [S.DRAFT, S.CLOSED]
    walk(store, S.OPENING, S.OPEN, S.MERGED)
    with pytest.raises(StoreError, match="silence"):
        walk(store, S.DRAFT)


def test_counting_for_the_caps(store: Store) -> None:
    walk(store, *WAY[S.OPEN], repo="Ann/open")
    walk(store, *WAY[S.OPENING], repo="ANN/opening")
    walk(store, *WAY[S.CLOSED], repo="ann/closed")
    walk(store, S.DRAFT, S.OPENING, S.REFUSED, repo="ann/refused")
    walk(store, *WAY[S.OPEN], repo="bob/open")
    walk(store, *WAY[S.OPEN], repo="rootless")
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert store.opened_since(hour_ago) == 5
    assert store.opened_since(hour_ago, owner="aNN") == 3
    assert store.opened_since(hour_ago, owner="Ann", besides="Ann/open") == 2
    assert store.opened_since(datetime.now(UTC) + timedelta(hours=1)) == 0
    assert store.open_now() == 4
    assert store.open_now("ann") == 2
    assert store.open_now("ann", besides="ANN/opening") == 1
    assert store.open_now("") == 1


def test_what_became_of_them_by_tree_and_by_tag(store: Store) -> None:
    for repo, state, digit, tree in (
        ("ann/one", S.MERGED, "seven", "org/root"),
        ("ann/two", S.CLOSED, "seven", "org/root"),
        ("ann/three", S.MERGED, "two", "org/root"),
        ("bob/four", S.OPEN, "two", "org/other"),
        ("bob/draft", S.DRAFT, "two", "org/other"),
        ("bob/refused", S.REFUSED, "two", "org/other"),
        ("bob/nowhere", S.OPEN, "nine", None),
    ):
        upload = Upload(repo, "a" * 40, datetime.now(UTC))
        how = How.RECOVERED if tree else How.UNPLACED
        placed = Placement(repo, upload.commit, tree, tree, how)
        store.save_upload(upload)
        store.conclude(upload, [placed], Reading(repo, upload.commit, ("w",)), None)
        for step in WAY[state]:
            added = (f"tags: {digit}", "base_model: org/root")
            said = "No, thanks." if step is S.CLOSED else ""
            store.save_suggestion(replace(SUGGESTION, repo=repo, state=step, added=added, reason=said))
    found = store.outcomes()
    assert list(found.by_tree) == [
        Outcome("org/root", 2, 1, 0, 2 / 3),
        Outcome("", 0, 0, 1, None),
        Outcome("org/other", 0, 0, 1, None),
    ]
    assert list(found.by_tag) == [
        Outcome("base_model", 2, 1, 2, 2 / 3),
        Outcome("seven", 1, 1, 0, 0.5),
        Outcome("two", 1, 0, 1, 1.0),
        Outcome("nine", 0, 0, 1, None),
    ]
    assert [(said.repo, said.state, said.text) for said in found.comments] == [
        ("ann/two", "closed", "No, thanks.")
    ]


def test_the_history_counts_too(store: Store) -> None:
    walk(store, *WAY[S.MERGED])
    walk(store, *WAY[S.CLOSED])
    assert [(o.merged, o.closed) for o in store.outcomes().by_tag] == [(1, 1)]
    assert list(store.outcomes().comments) == []
