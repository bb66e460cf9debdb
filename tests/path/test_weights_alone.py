"""Decision 6: it is weights that are read.

With the placement fixed, stripping metadata, card and names leaves every reading identical; swapping the
weights makes the readings follow.
"""

import json
import struct

import pytest
from stage import files_of, settings_for, upload

from hubbot.app import open_reader
from hubbot.rounds import consult


def without_metadata(weights: bytes) -> bytes:
    """The same file with nothing in its header but tensors."""
    length = struct.unpack("<Q", weights[:8])[0]
    header = json.loads(weights[8 : 8 + length])
    assert header.pop("__metadata__"), "nothing to strip: the test would show nothing"
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + weights[8 + length :]


@pytest.fixture
def some(children):
    """Two children of each tree."""
    roots = dict.fromkeys(child.root for child in children)
    return [[c for c in children if c.root == root][n] for root in roots for n in (0, 1)]


def said(reading):
    """What an expert said, bit for bit, without the bookkeeping of where."""
    assert reading.abstention is None, reading.abstention
    return reading.expert, reading.version, reading.predictions, reading.embedding


def test_stripping_changes_nothing(hub, tmp_path, children):
    for number, child in enumerate(children):
        weights = (child.folder / "model.safetensors").read_bytes()
        upload(hub.repos, child.repo, files_of(child))
        upload(hub.repos, f"nobody/n{number}", {"model.safetensors": without_metadata(weights)})
    with open_reader(settings_for(hub, tmp_path)) as reader:
        for number, child in enumerate(children):
            seen, as_uploaded = consult(reader, child.repo)
            bare, stripped = consult(reader, f"nobody/n{number}")
            assert bare.placement.tree == seen.placement.tree == child.root
            assert said(stripped) == said(as_uploaded)


def test_swapped_weights_take_their_readings_along(hub, tmp_path, some):
    pairs = list(zip(some[::2], some[1::2], strict=True))
    for one, other in pairs:
        for child, donor in ((one, other), (other, one)):
            weights = (donor.folder / "model.safetensors").read_bytes()
            upload(hub.repos, child.repo, files_of(child))
            upload(hub.repos, swapped(child), files_of(child, model_safetensors=weights))
    with open_reader(settings_for(hub, tmp_path)) as reader:
        for one, other in pairs:
            mine, theirs = (said(consult(reader, child.repo)[1]) for child in (one, other))
            assert mine != theirs, "two models that read alike show nothing"
            assert said(consult(reader, swapped(one))[1]) == theirs
            assert said(consult(reader, swapped(other))[1]) == mine


def swapped(child):
    return "swapped/" + child.repo.replace("/", "-")
