"""What nobody means well by: headers, cards and listings that are nearly right, drawn from a seed.

Half of what is drawn was sound before something was done to it, since noise is refused at its first byte and
asks nothing of a reader.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

from hubbot.weights.dtypes import BITS

NUMBERS = (
    "0", "-0", "-1", "1", "2", "7", "8", "9", "65536", "2147483648", "4294967296", "9007199254740993",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "1" + "0" * 400, "1" + "0" * 5000, "1e400", "1.0", "0.5", "-0.0", "1e2", "NaN", "Infinity", "-Infinity",
    "00", "0x8", "true", "null", '"8"', "[]", "{}",
)  # fmt: skip
TOKENS = (
    *NUMBERS, "{", "}", "[", "]", ",", ":", '"', "\\", " ", "\n", "\t", "\ufeff", "\x00", '"a"', '"a":',
    '"dtype":"F32"', '"shape":[2]', '"data_offsets":[0,8]', '"__metadata__":{"a":"b"}', '"\\ud800"',
    '"\\u0000"', '"\\x"', "//", "/**/", "'", "\U0001f917", "é", "\u2028",
)  # fmt: skip
HERE = "@number@"
"""Where one of the numbers comes, which Python's JSON would not write."""
DTYPES = (*BITS, "F31", "f32", "F32 ", "", "BF16\0", "object", "F" * 100)
NAMES = (
    "a", "b", "w", "", "model.layers.0.self_attn.q_proj.weight", "__metadata__", "é", "\U0001f917", "\x00",
    "../../etc/passwd", "n" * 1001, "\u202e", "a\nb", '"', "\\",
)  # fmt: skip
LENGTHS = (0, 1, 2, 7, 8, 25_000_000, 100_000_000, 100_000_001, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
MOST_BUFFER = 4_096
"""Bytes of a made file that follow its header; what claims more is there without them."""

Made = tuple[bytes, int]
"""The bytes of a file that are there, and how many the server says that it has."""


def header(draw: random.Random) -> Made:
    """A weight file that may not be one."""
    return draw.choices(_HEADERS, _WEIGHTS)[0](draw)


def _sound(draw: random.Random) -> tuple[dict[str, Any], int]:
    """A header that holds, as data, and the bytes of its tensors."""
    tensors: dict[str, Any] = {}
    at = 0
    for name in draw.sample(NAMES[:6], draw.randrange(5)):
        dtype = draw.choice(("F32", "F16", "BF16", "I64", "U8", "F8_E4M3", "F64", "BOOL"))
        shape = [draw.randrange(4) for _ in range(draw.randrange(4))]
        size = BITS[dtype] // 8
        for count in shape:
            size *= count
        tensors[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    tensors.pop("__metadata__", None)
    if draw.random() < 0.3:
        tensors["__metadata__"] = {"format": "pt", draw.choice(NAMES): draw.choice(NAMES)}
    return tensors, sum(_stored(one) for one in tensors.values())


def _stored(entry: dict[str, Any]) -> int:
    begin, end = entry.get("data_offsets", (0, 0))
    return int(end - begin)


def _file(raw: bytes, buffer: int, draw: random.Random) -> Made:
    """The header with its length before it and zeros behind; now and then either is a lie."""
    length, luck = len(raw), draw.random()
    if luck < 0.02:
        length = draw.choice((length - 1, length + 1, *LENGTHS)) % 2**64
    buffer = max(0, buffer)
    there = struct.pack("<Q", length) + raw + bytes(min(buffer, MOST_BUFFER))
    size = 8 + len(raw) + buffer
    if luck > 0.98:
        size = draw.choice((0, 7, 8, size - 1, size + 1, 2**40, 2**63))
    return there, size


def _as_it_is(draw: random.Random) -> Made:
    tensors, buffer = _sound(draw)
    order = draw.sample(sorted(tensors), len(tensors))  # names need not stand in the order of their bytes
    return _file(json.dumps({name: tensors[name] for name in order}).encode(), buffer, draw)


def _with_lies(draw: random.Random) -> Made:
    """A sound header of which a field or two says something else."""
    tensors, buffer = _sound(draw)
    for _ in range(draw.randrange(1, 3)):
        if not tensors:
            break
        entry = tensors[draw.choice(sorted(tensors))]
        key = draw.choice(("dtype", "shape", "data_offsets", "more"))
        entry[key] = _lie(key, entry.get(key), draw)
    text = json.dumps(tensors)
    while f'"{HERE}"' in text:
        text = text.replace(f'"{HERE}"', draw.choice(NUMBERS), 1)
    if draw.random() < 0.2 and text != "{}":
        text = f"{text[:-1]}, {text[1:]}"  # every key twice
    return _file(text.encode("utf-8", "surrogatepass"), buffer + draw.choice((0, 0, 0, 1, -1, 8)), draw)


def _lie(key: str, said: Any, draw: random.Random) -> Any:
    if key == "dtype":
        return draw.choice((*DTYPES, None, 7, [], {}))
    if key == "more":
        return draw.choice(NAMES)
    counts = [count for count in said if isinstance(count, int)] if isinstance(said, list) else [0, 0]
    luck = draw.randrange(5)
    if luck == 0:
        return [draw.choice((0, 1, 2**31, 2**32, 2**62, 2**63)) for _ in range(draw.choice((1, 2, 3, 65)))]
    if luck == 1 and len(counts) > 1:
        return counts[::-1]
    if luck == 2 and counts:
        return [count + draw.choice((-8, -4, -1, 1, 4, 8)) for count in counts]
    at = draw.randrange(len(counts) + 1)
    return [*counts[:at], HERE, *counts[at + draw.randrange(2) :]]


def _spoilt(draw: random.Random) -> Made:
    """Bytes changed, put in, taken out, doubled, wherever it happens."""
    tensors, buffer = _sound(draw)
    return _file(spoilt(json.dumps(tensors).encode(), TOKENS, draw), buffer, draw)


def spoilt(raw: bytes, tokens: Sequence[str], draw: random.Random) -> bytes:
    """Some bytes with up to four things done to them."""
    for _ in range(draw.randrange(1, 5)):
        at = draw.randrange(len(raw) + 1)
        until = min(len(raw), at + draw.choice((0, 1, 1, 2, 8, 40)))
        what = draw.randrange(4)
        if what == 0:
            raw = raw[:at] + bytes((draw.randrange(256),)) + raw[at + 1 :]
        elif what == 1:
            raw = raw[:at] + draw.choice(tokens).encode() + raw[until:]
        elif what == 2:
            raw = raw[:at] + raw[until:]
        else:
            raw = raw[:until] + raw[at:]
    return raw


def _of_tokens(draw: random.Random) -> Made:
    raw = "".join(draw.choices(TOKENS, k=draw.randrange(30))).encode()
    return _file(b"{" + raw, draw.choice((0, 8)), draw)


def _deep(draw: random.Random) -> Made:
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}"), ("[[{},", "]]")))
    depth = draw.choice((1, 10, 200, 990, 1_000, 2_000, 5_000))
    inside = opening * depth + "0" + closing * draw.choice((depth, depth - 1, 0))
    return _file(f'{{"{draw.choice(("a", "__metadata__"))}":{inside}}}'.encode(), 0, draw)


def _noise(draw: random.Random) -> Made:
    raw = draw.randbytes(draw.randrange(64))
    return raw, draw.choice((len(raw), len(raw), 2**20))


_HEADERS: tuple[Callable[[random.Random], Made], ...] = (
    _as_it_is, _with_lies, _spoilt, _of_tokens, _deep, _noise,
)  # fmt: skip
_WEIGHTS = (12, 38, 38, 6, 1, 5)


def heavy_headers(size: int) -> dict[str, bytes]:
    """Headers of about so many bytes, each of which makes a parser build the most that it can of them."""

    def filled(piece: str, start: str = '{"a":[', end: str = "]}") -> bytes:
        count = max(1, (size - len(start) - len(end)) // len(piece.encode()))
        return (start + piece * (count - 1) + piece.rstrip(",") + end).encode()

    tensor = '"dtype":"F32","shape":[],"data_offsets":[0,0]'
    return {
        "numbers": filled("0,"),
        "long numbers": filled("1000,"),
        "fractions": filled("1.5,"),
        "empty lists": filled("[],"),
        "empty objects": filled("{},"),
        "small objects": filled('{"a":0},'),
        "short texts": filled('"é",'),
        "one wide letter": filled("0,", '{"\U0001f917":[', "]}"),
        "keys": _keyed(size, "{}:0"),
        "keys of objects": _keyed(size, "{}:{{}}"),
        "tensors": _keyed(size, f"{{}}:{{{{{tensor}}}}}"),
        "notes": b'{"__metadata__":' + _keyed(size, '{}:""') + b"}",
    }


def _keyed(size: int, form: str) -> bytes:
    count = size // (len(form.format('"0000"')) + 1)
    return ("{" + ",".join(form.format(f'"{i:x}"') for i in range(count)) + "}").encode()


# --- cards ----------------------------------------------------------------------------------------

LINES = (
    "license: mit", "language: no", "tags:\n- vision\n- 'a b' # mine", "tags: [a, 'b', ]", "tags: []",
    "tags:", "datasets:\n  - ann/old", "base_model: root/a", "about: |\n  text\n  ---\n  tags: x",
    "about: >+\n  a\n\n",
    "model-index:\n- name: x\n  results:\n  - task: {type: y}\n    metrics: [{type: acc, value: 0.5}]",
    "a: &x [1, 2]", "b: [*x, *x, *x]", "<<: *x", "c: &y {k: *x}", "x: !!python/object/apply:os.system [id]",
    "? [a, b]\n: c", "- item", "# hubbot: false", "emoji: \U0001f917", "\ttab: x", "'tags': [a]", "{a: b}",
    "date: 2026-11-20", "n: 1e999", "n: 0o17", "--- x", "...", "%YAML 1.2", "a: b\rc: d", "\u2028", "\x00",
    "tags: &t\n- a", "tags: !!set {a}", "a: \"\\ud800\"", "a: 'over\n\n lines'", "@", "`", "a: *nobody",
)  # fmt: skip
MARKS = (
    *"-: \n\r\t#[]{}&*!|>'\"%@`,?", "---\n", "\n---\n", "tags:", "\ufeff", "\x85", "\u2028", "\x00", "<<",
)  # fmt: skip


def card(draw: random.Random) -> bytes:
    """A model card that somebody made to be read wrongly, or not at all."""
    if draw.random() < 0.1:
        return "".join(draw.choices(MARKS, k=draw.randrange(80))).encode()
    lines = draw.choices(LINES, k=draw.randrange(7))
    end = draw.choice(("\n", "\n", "\r\n"))
    body = draw.choice(("", "# Hi\n", "---\ntags: [x]\n---\n", "text\n---\nmore\n---\n"))
    text = end.join(("---", *lines, "---", body))
    raw = text.replace("\n", end).encode("utf-8", "surrogatepass")
    return spoilt(raw, MARKS, draw) if draw.random() < 0.5 else raw


def heavy_cards(size: int) -> dict[str, bytes]:
    """Cards of about so many bytes, each of which is slow to read for somebody careless."""

    def filled(piece: str, start: str = "---\n", end: str = "\n---\n# Hi\n") -> bytes:
        return (start + piece * (size // len(piece.encode())) + end).encode()

    laughs = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 40))
    return {
        "billion laughs": f"---\nl0: &l0 [lol]\n{laughs}---\n".encode(),
        "one line": filled("a", "---\nname: "),
        "keys": filled("a: b\n"),
        "the same key": filled("tags: [a]\n"),
        "items": filled("- a\n", "---\ntags:\n"),
        "items in brackets": filled("a,", "---\ntags: [", "]\n---\n"),
        "brackets": filled("[", "---\ntags: "),
        "question marks": filled("? ", "---\n"),
        "dashes": filled("- ", "---\n"),
        "braces": filled("{a: ", "---\ntags: "),
        "anchors": filled("&a ", "---\ntags: "),
        "comments": filled("#\n"),
        "blank lines": filled("\n"),
        "blanks": filled(" "),
        "fences": filled("---\n"),
        "stray fences": filled("---\n\n", "# Hi\n", ""),
        "carriage returns": filled("#\r", "---\n\n"),
        "quotes": filled("''", "---\na: '"),
        "body": filled("# words\n", "---\ntags: [a]\n---\n", ""),
    }


# --- listings -------------------------------------------------------------------------------------

FIELDS = (
    "id", "sha", "lastModified", "createdAt", "tags", "pipeline_tag", "library_name", "downloads", "gated",
    "private", "disabled", "siblings", "cardData", "config", "author",
)  # fmt: skip
LEAVES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**300, 0.5, float("nan"), float("inf"), "", "a", "\ud800", "\x00",
    "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "20260101", "2026-W01",
    "o/m", "../x", "o/m\n", "-o/m", "0" * 40, "F" * 40, "main", "x" * 5_000, "\u202e", "\x1b[2J",
)  # fmt: skip


def entry(draw: random.Random) -> Any:
    """An entry of the listing, right but for some fields; or any JSON at all."""
    if draw.random() < 0.1:
        return value(draw, 4)
    said: dict[str, Any] = {"id": "o/m", "sha": "0" * 40, "lastModified": "2026-01-01T00:00:00.000Z"}
    for field in draw.sample(FIELDS, draw.randrange(1, 6)):
        said[field] = value(draw, 4)
    if draw.random() < 0.3:
        said["siblings"] = [{"rfilename": value(draw, 1)}, value(draw, 2)]
    return said


def value(draw: random.Random, depth: int) -> Any:
    """Any JSON value, NaN and lone surrogates among them as Python's parser lets them through."""
    kind = draw.randrange(8) if depth else 0
    if kind == 6:
        return [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    if kind == 7:
        return {str(draw.choice(LEAVES)): value(draw, depth - 1) for _ in range(draw.randrange(4))}
    if depth == 4 and draw.random() < 0.02:
        nested: Any = "bottom"
        for _ in range(draw.choice((10, 33, 500))):
            nested = draw.choice(([nested], {"a": nested}))
        return nested
    return draw.choice(LEAVES)


def page(draw: random.Random) -> bytes:
    """The body of an answer that should be JSON."""
    deep = draw.choice((0, 1, 70, 5_000)) if draw.random() < 0.05 else 0
    raw = json.dumps([entry(draw) for _ in range(draw.randrange(3))]).encode()
    if deep:
        nests = tuple(b"[" * deep + b"]" * draw.choice((deep, 0, deep - 1)) for _ in range(2))
        return draw.choice((b"[%b,%b]", b"[%b%b]", b"%b,%b")) % nests
    return spoilt(raw, TOKENS, draw) if draw.random() < 0.7 else raw
