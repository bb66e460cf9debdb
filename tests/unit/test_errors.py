"""The error hierarchy is as drawn, and an error keeps its where across processes."""

import pickle
import re

import pytest

from hubbot import errors
from hubbot.errors import HubbotError, TensorNotFound

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HubbotError)]


def drawn() -> dict[str, int]:
    """Class name to depth, as the module's docstring draws them."""
    depths = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ((?:[│ ]   )*)(?:[├└]── )?([A-Z]\w+)(?:\s{2,}|$)", line):
            depths[found[2]] = len(found[1]) // 4 + ("── " in line)
    return depths


def test_the_drawing_shows_every_error_at_its_depth():
    depths = {kind.__name__: len(kind.__mro__) - HubbotError.__mro__.__len__() for kind in KINDS}
    assert drawn() == depths


def test_codes_are_unique_and_spelled_alike():
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_an_error_says_where():
    error = TensorNotFound("not there", repo="a/b", file="model.safetensors", tensor="x.weight")
    assert str(error) == "a/b: model.safetensors: x.weight: not there"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_back_from_the_worker(kind):
    error = kind("broken", repo="a/b", file="f", tensor="t", hint="try")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, as multiprocessing does it
    assert type(again) is kind
    assert (str(again), again.hint, again.tensor) == (str(error), "try", "t")


def test_without_a_message_the_class_says_it():
    assert str(TensorNotFound()) == "The file has no tensor of that name."
