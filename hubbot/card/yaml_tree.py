"""YAML as a tree that remembers where in the text each part stands, built without trust.

Nothing is constructed: scalars stay the text they are, so no date, number or class is ever made of an
owner's words. What parsers disagree on, or what could blow up, is refused while the events stream in:
aliases (and with them billion-laughs documents and merge keys), explicit tags, duplicate keys, depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Literal, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver

from hubbot.errors import CardNotEditable

MAX_DEPTH = 32
"""Collections inside collections; a full `model-index` has eight."""

MAX_CHARACTERS = 250_000
"""A longer front matter would take seconds to parse; the longest that people write are half of it."""

MAX_NODES = 25_000
"""Keys, values and collections. The longest lists of results that people write have half of them; a card
that is nothing but commas would hold the bot for ten seconds."""

STRANGE_BREAK = re.compile(r"\r(?!\n)|[\x85\u2028\u2029]")
"""Ends a line for some parsers and not for others."""


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar, or a collection of nodes; a mapping's children are its keys and values in turn.

    Two nodes are equal where they say the same in the same style, wherever they stand.

    Args:
        value: of a scalar, the text without its quotes.
        style: of a scalar `'`, `"`, `|`, `>` or empty for a plain one; of a collection `flow` or `block`.
        anchored: it, or something in it, carries an anchor.
        start: where it begins, an index into the text; `end`, of a scalar, where it has ended.
    """

    kind: Literal["scalar", "sequence", "mapping"]
    value: str = ""
    style: str = ""
    children: tuple[Node, ...] = ()
    anchored: bool = field(default=False, compare=False)
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    @property
    def is_text(self) -> bool:
        """A scalar that YAML 1.2 takes for a string, and not for a number or nothing."""
        return self.kind == "scalar" and (self.style != "" or plain_is_text(self.value, (1, 2)))

    def find(self, name: str) -> tuple[Node, Node] | None:
        """A mapping's key of that name, and its value."""
        pairs = zip(self.children[::2], self.children[1::2], strict=True)
        return next(((key, value) for key, value in pairs if key.value == name), None)


@cache
def _resolver(version: tuple[int, int]) -> VersionedResolver:
    return VersionedResolver(version=version)


def plain_is_text(value: str, version: tuple[int, int]) -> bool:
    """Whether a plain scalar is a string: `no` is one in YAML 1.2, and a boolean in 1.1."""
    tag = _resolver(version).resolve(ScalarNode, value, (True, False))
    return str(tag) == "tag:yaml.org,2002:str"


def parse(text: str) -> Node:
    """The mapping that a front matter is; an empty one where there are only comments.

    Raises:
        CardNotEditable: it is no mapping in plain YAML, with the line where that shows.
    """
    if len(text) > MAX_CHARACTERS:
        raise CardNotEditable(f"its front matter has {len(text):,} characters, too many to edit safely")
    if found := STRANGE_BREAK.search(text):
        _refuse("an unusual line break", text, found.start())
    try:
        return _Builder(text).document()
    except (YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "what YAML does not allow"
        _refuse(f"invalid YAML ({problem})", text, mark.index if mark else None)


def _refuse(what: str, text: str, at: int | None) -> NoReturn:
    # The opening `---` is line 1 of the card.
    line = "" if at is None else f" in line {text.count(chr(10), 0, at) + 2}"
    raise CardNotEditable(f"its front matter has {what}{line}")


class _Builder:
    def __init__(self, text: str) -> None:
        self.text, self.nodes = text, 0
        self.events: Iterator[Event] = iter(YAML(typ="safe", pure=True).parse(text))

    def document(self) -> Node:
        root, documents = Node("mapping", style="block"), 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent | DocumentEndEvent):
                documents += isinstance(event, DocumentStartEvent)
                if event.explicit or documents > 1:
                    self.refuse("more than one YAML document, or a directive", event)
            elif not isinstance(event, StreamStartEvent | StreamEndEvent):
                if not isinstance(event, MappingStartEvent) or event.flow_style:
                    self.refuse("no list of keys", event)
                root = self.node(event, 0)
        return root

    def node(self, event: Event, depth: int) -> Node:
        if isinstance(event, AliasEvent):
            self.refuse("a YAML alias", event)
        if depth > MAX_DEPTH:
            self.refuse("too many levels", event)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.refuse("too many keys and values", event)
        self.check_tag(event)
        start, anchored = event.start_mark.index, getattr(event, "anchor", None) is not None
        if isinstance(event, ScalarEvent):
            style = event.style or ""
            return Node("scalar", event.value, style, (), anchored, start, event.end_mark.index)
        if not isinstance(event, CollectionStartEvent):
            self.refuse("what YAML does not allow", event)
        children = []
        for inner in self.events:
            if isinstance(inner, MappingEndEvent | SequenceEndEvent):
                break
            children.append(self.node(inner, depth + 1))
        style = "flow" if event.flow_style else "block"
        anchored = anchored or any(child.anchored for child in children)
        if isinstance(event, MappingStartEvent):
            self.check_keys(children[::2], event)
            return Node("mapping", "", style, tuple(children), anchored, start)
        return Node("sequence", "", style, tuple(children), anchored, start)

    def check_tag(self, event: Event) -> None:
        if getattr(event, "tag", None) is not None:
            self.refuse("an explicit YAML tag", event)

    def check_keys(self, keys: list[Node], event: Event) -> None:
        if any(key.kind != "scalar" for key in keys):
            self.refuse("a key that is no text", event)
        names = sorted(key.value for key in keys)
        twice = next((one for one, other in pairwise(names) if one == other), None)
        if twice is not None:
            self.refuse(f"the key {twice[:60]!r} twice", event)
        if "<<" in names:
            self.refuse("a merge key", event)

    def refuse(self, what: str, event: Event) -> NoReturn:
        _refuse(what, self.text, event.start_mark.index)
