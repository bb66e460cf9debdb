"""What strangers may put into the mailbox: names of repos, not too many, and only with the secret."""

from __future__ import annotations

import json

import pytest

from hubbot.hub.uploads import is_repo_name
from hubbot.service import mailbox
from hubbot.service.mailbox import Mailbox, Refusal


def payload(name: object = "owner/model", kind: str = "model") -> bytes:
    event = {"action": "update", "scope": "repo.content"}
    return json.dumps({"event": event, "repo": {"name": name, "type": kind, "headSha": "lies"}}).encode()


@pytest.fixture
def box() -> Mailbox:
    return Mailbox("s3cret", is_repo_name)


def refused(call, *args) -> int:
    with pytest.raises(Refusal) as caught:
        call(*args)
    return caught.value.status


def test_a_replay_is_one_visit(box):
    for _ in range(3):
        assert box.put(payload()) == "owner/model"
    assert box.put(payload("owner/other")) == "owner/other"
    assert box.empty() == ["owner/model", "owner/other"]
    assert box.empty() == []


@pytest.mark.parametrize("secret", ["", None, "s3cre", "s3cret ", "S3CRET", "\u017f3cret"])
def test_another_secret_is_refused(box, secret):
    assert refused(box.check, secret) == 401
    box.check("s3cret")


def test_without_a_secret_of_ours_nothing_is_taken():
    assert refused(Mailbox("", is_repo_name).check, "") == 404


def test_a_flood_is_refused_and_over_after_a_minute():
    now = [1000.0]
    box = Mailbox("s3cret", is_repo_name, clock=lambda: now[0])
    for _ in range(mailbox.MOST_PER_MINUTE):
        box.check("s3cret")
    assert refused(box.check, "s3cret") == 429
    now[0] += 60
    box.check("s3cret")


def test_a_full_mailbox_takes_no_more_names_and_forgets_none(box):
    for i in range(mailbox.MOST_WAITING):
        box.put(payload(f"owner/model{i}"))
    assert refused(box.put, payload("one/more")) == 503
    assert box.put(payload("owner/model0")) == "owner/model0"
    assert len(box.empty()) == mailbox.MOST_WAITING


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[" * 100_000,
        b"[]",
        b"{}",
        json.dumps({"repo": {"type": "model"}}).encode(),
        payload(7),
        payload("../../etc/passwd"),
        payload("owner/model/more"),
        payload("owner/\x1b[2J"),
    ],
)
def test_what_names_no_repo_is_refused(box, body):
    assert refused(box.put, body) == 400
    assert box.empty() == []


@pytest.mark.parametrize("kind", ["dataset", "space", "user"])
def test_what_is_no_model_is_left_alone(box, kind):
    assert box.put(payload(kind=kind)) is None
    assert box.empty() == []
