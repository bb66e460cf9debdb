"""atheris looks for inputs that reach new lines of the readers; started by `benchmarks.fuzz --guided`.

    python -m benchmarks.guided SECONDS CORPUS

It ends with 0 where nothing was raised that may not be. The modules under test are imported here under its
eyes, so this must be a process of its own.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import atheris

READERS = ["hubbot.weights", "hubbot.card", "hubbot.hub.uploads", "hubbot.hub.wire", "json"]


def main() -> None:
    """Fuzz for so many seconds."""
    with atheris.instrument_imports(include=READERS, enable_loader_override=False):
        from benchmarks import fuzz

    logging.getLogger("hubbot").setLevel(logging.CRITICAL)
    options = [sys.argv[0], f"-max_total_time={sys.argv[1]}", "-max_len=4096", *sys.argv[2:]]
    atheris.Setup(options, lambda data: one(fuzz, data))
    atheris.Fuzz()


def one(fuzz: Any, data: bytes) -> None:
    """One input, given to whom its first byte names."""
    kind, rest, tally = data[0] % 3 if data else 0, data[1:], fuzz.Tally("guided")
    if kind == 0:
        fuzz.read_header(tally, (fuzz._as_file(b"{" + rest), 9 + len(rest)))
    elif kind == 1:
        fuzz.read_card(tally, b"---\n" + rest)
    elif fuzz.read_page(tally, rest) == "JSON":
        fuzz.read_entry(tally, fuzz._parse(rest))
    if tally.faults:
        raise AssertionError(tally.faults[0])


if __name__ == "__main__":
    main()
