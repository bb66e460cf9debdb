"""JSON from strangers: one meaning per text, or none.

Python's parser keeps the last of two equal keys, reads NaN and takes -0 for a count; two readers could then
see two different files. Here all three are faults, and so are lone surrogates, which no database takes.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that `raw` spells.

    Raises:
        ValueError: not UTF-8, not JSON, nested too deep, a key twice, NaN, -0, or no object at the top.
    """
    try:
        found = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def is_count(value: object) -> bool:
    """Whether a JSON value is a whole number of at least 0; `true` is none."""
    return type(value) is int and value >= 0


def is_text(value: object) -> bool:
    """Whether a JSON value is a string that UTF-8 can spell."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:80]!r} occurs twice")
        found[key] = value
    return found


def _whole(digits: str) -> int:
    if digits == "-0":
        raise ValueError("-0 is no whole number for everybody")  # a count here, a fraction to safetensors
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
