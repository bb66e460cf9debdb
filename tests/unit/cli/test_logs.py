"""What is logged: lines for people, objects for machines, and never a secret."""

from __future__ import annotations

import json
import logging

import pytest

from hubbot.cli import logs
from hubbot.records import Abstention, Prediction, Reading

SECRETS = [
    "hf_abcdefghijklmnopqrstuvwxyz",
    "Bearer eyJhbGciOi.J9-_x=",
    "https://cdn.example/x/y?X-Amz-Signature=deadbeef&Expires=1",
    "{'Authorization': 'Bearer topsecret'}",
    "X-Webhook-Secret: topsecret",
    "http://ada:topsecret@127.0.0.1/x",
    "Cookie: token=topsecret",
]


@pytest.fixture(autouse=True)
def put_back():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


@pytest.mark.parametrize("form", ["plain", "json"])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_ever_logged(form, secret, capsys):
    logs.set_up(logging.INFO, form)
    logging.getLogger("hubbot.hub").warning("owner/model: not followed: %s and more", secret)
    try:
        raise ValueError(f"refused by {secret}")
    except ValueError:
        logging.getLogger("hubbot").exception("it failed")
    told = capsys.readouterr().err
    assert "owner/model" in told
    assert "and more" in told
    assert "refused by" in told
    for part in ("abcdefgh", "eyJ", "deadbeef", "topsecret"):
        assert part not in told


def test_machines_get_the_fields_of_what_came_about(capsys):
    logs.set_up(logging.INFO, "json")
    read = Reading(
        "owner/model", "c" * 40, ("x",), "a/root", "digits", "1", (Prediction("seven", 0.9, True),)
    )
    logs.told(read)
    logs.told(Reading("owner/other", "c" * 40, ("x",), abstention=Abstention("unplaced", "nobody knows")))
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["repo"], first["labels"]) == ("reading", "owner/model", ["seven"])
    assert first["message"] == "owner/model: read by digits: seven"
    assert (second["repo"], second["reason"]) == ("owner/other", "unplaced")


def test_people_get_a_line_without_escape_sequences(capsys):
    logs.set_up(logging.INFO, "plain")
    logging.getLogger("hubbot").info("owner/\x1b[2Jmodel\r\nINFO forged line")
    assert "\x1b" not in capsys.readouterr().err
