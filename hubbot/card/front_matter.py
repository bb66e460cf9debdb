"""The front matter of a model card, edited as text: bytes are put in, none is changed or taken out.

The owner's comments, quotes, line ends, order and indentation stay because nobody writes them anew. Where
bytes can go in is read off the YAML tree; afterwards the new card is parsed again and must differ from the
old one by exactly what was added, in data and in bytes. Whatever cannot be edited so is refused.

Front matter is what the Hub takes for it: from a first line `---` to the next line `---`, which alone may
have blanks at its end. (It also allows blank lines on top; many other readers do not.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hubbot.card.yaml_tree import Node, parse, plain_is_text
from hubbot.errors import CardError, CardNotEditable

BOM = "\ufeff"
OPENING = re.compile(r"---(?=\r?\n|$)")
CLOSING = re.compile(r"^---[ \t]*(?=\r?$)", re.MULTILINE)
ALMOST_OPENING = re.compile(r"[\s\ufeff]*---(?=\s|$)")
STRAY = re.compile(
    r"^[ \t]*---[ \t]*\r?\n(?:[ \t]*(?:#.*)?\r?\n)*"
    r"[\"']?(?:license|language|tags|datasets|library_name|pipeline_tag|base_model|metrics|model-index)[\"']?:",
    re.MULTILINE,
)
"""Front matter somewhere in the text: its owner means it, and the Hub does not read it."""

OPT_OUT = re.compile(
    r"^[^\w\n]{0,40}hubbot[\"']?\s*:\s*[\"']?(?:false|no|off|never)\b", re.MULTILINE | re.IGNORECASE
)

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*")
"""Safe without quotes in any list, as long as it is no word such as `no` or `null`."""

REPO_ID = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)?", re.ASCII)
MAX_TAG = 100


@dataclass(frozen=True, slots=True)
class Edit:
    """A card with something added: `added` has a line such as `tags: seven` for each; empty for nothing."""

    new: bytes
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Insertion:
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    """Where the YAML stands in the card, from after the opening line to before the closing one."""

    start: int
    end: int

    def yaml(self, text: str) -> str:
        """As the Hub cuts it out: without the line end before the closing line."""
        return text[self.start : self.end].removesuffix("\n").removesuffix("\r")


def opted_out(card: bytes) -> bool:
    """Whether a line of the card says `hubbot: false`: in the front matter, or in a comment of any kind."""
    return OPT_OUT.search(card.decode("utf-8", "replace")) is not None


def asks(card: bytes) -> bool:
    """Whether the front matter says `hubbot: true`: a plain key and value, and nothing that only looks so."""
    try:
        text = decode(card)
        block = _locate(text)
        found = parse(block.yaml(text)).find("hubbot") if block else None
    except CardError:
        return False
    return found is not None and found[1].style == "" and found[1].value in ("true", "True", "TRUE")


def add_tags(
    card: bytes,
    tags: Sequence[str],
    datasets: Sequence[str] = (),
    base_model: str | None = None,
    relation: str | None = None,
) -> Edit:
    """The card with these added to its `tags` and `datasets`; what it says already, in any case, is left out.

    Args:
        card: the whole README, or nothing where there is none.
        tags: plain words.
        datasets: ids of datasets on the Hub, which takes nothing else there.
        base_model: id of a model on the Hub, added only where the card names none.
        relation: what it is to that model, `finetune` or `adapter`; added with it alone.

    Raises:
        CardNotEditable: it cannot be done without touching what the owner wrote; the message says why.
        CardError: a tag or an id is none.
    """
    wanted = {
        "tags": [_checked_tag(tag) for tag in tags],
        "datasets": [_checked_id(name) for name in datasets],
    }
    text = decode(card)
    block = _locate(text)
    tree = parse(block.yaml(text)) if block else Node("mapping", style="block")
    insertions: list[_Insertion] = []
    added: list[str] = []
    if base_model is not None and tree.find("base_model") is None:
        wanted["base_model"] = [_checked_id(base_model)]
    expected = tree
    editor = _Editor(text, tree, block)
    # Lists that are there grow first: a new key comes after whatever is put in at the very end.
    for key in sorted(wanted, key=lambda key: tree.find(key) is None):
        if new := _missing(tree, key, wanted[key]):
            insertion, expected = editor.grow(key, new, expected)
            insertions.append(insertion)
            added += [f"{key}: {item}" for item in new]
    if relation and "base_model" in wanted and tree.find("base_model_relation") is None:
        insertion, expected = editor.new_word("base_model_relation", relation, expected)
        insertions.append(insertion)
        added.append(f"base_model_relation: {relation}")
    if not added:
        return Edit(card, ())
    if block is None:
        insertions = [_new_block(text, insertions)]
    return Edit(_apply(text, insertions, expected).encode("utf-8"), tuple(added))


# --- reading the card -------------------------------------------------------------------------


def decode(card: bytes) -> str:
    """The card's text.

    Raises:
        CardNotEditable: it is not UTF-8, or no text.
    """
    try:
        text = card.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CardNotEditable(f"the card is not UTF-8 at byte {error.start}") from None
    if "\0" in text:
        raise CardNotEditable("the card holds a NUL character")
    return text


def body_start(text: str) -> int:
    """Where the card's own text begins, after its front matter.

    Raises:
        CardNotEditable: there is no telling.
    """
    block = _locate(text)
    return _after_line(text, block.end) if block else len(BOM) * text.startswith(BOM)


def _locate(text: str) -> _Block | None:
    """The front matter's place, or None where there is none at all."""
    top = len(BOM) if text.startswith(BOM) else 0
    body = text[top:]
    if not OPENING.match(body):
        if ALMOST_OPENING.match(body) or STRAY.search(body):
            raise CardNotEditable("its front matter does not begin with a bare `---` at the very top")
        return None
    start = _after_line(text, top)
    closing = CLOSING.search(text, start)
    if start == len(text) or closing is None:
        raise CardNotEditable("its front matter has no end")
    later = CLOSING.search(text, closing.end())
    if closing.start() == start and later:
        raise CardNotEditable("its front matter is empty, and parsers disagree on where it ends")
    if STRAY.search(text, closing.end()):
        raise CardNotEditable("it has a second front matter")
    return _Block(start, closing.start())


def _missing(tree: Node, key: str, items: Iterable[str]) -> list[str]:
    found = tree.find(key)
    values = found[1] if found else None
    present = {child.value.strip().casefold() for child in (values.children if values else ())}
    if values and values.is_text:
        present.add(values.value.strip().casefold())
    new: dict[str, str] = {}
    for item in items:
        if item.casefold() not in present:
            new.setdefault(item.casefold(), item)
    return list(new.values())


def _after_line(text: str, at: int) -> int:
    """Where the next line begins."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


# --- writing into it --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Editor:
    """Finds where in the text a list can grow, in the style of what stands around it."""

    text: str
    tree: Node
    block: _Block | None

    def grow(self, key: str, items: Sequence[str], expected: Node) -> tuple[_Insertion, Node]:
        """What to insert so that `key` has these items too, and the tree that must result."""
        found = self.tree.find(key)
        if found is None:
            return self.new_key(key, items, expected)
        name, values = found
        if name.anchored or values.anchored:
            raise CardNotEditable(f"its {key} carry a YAML anchor")
        if values.kind == "scalar" and values.value == "" and values.style == "":
            return self.fill(name, items, expected)
        if values.kind != "sequence" or not all(item.is_text for item in values.children):
            raise CardNotEditable(f"its {key} are no list of texts")
        if values.style == "flow":
            return self.into_brackets(name, values, items, expected)
        return self.below(name, values, items, expected)

    def new_key(self, key: str, items: Sequence[str], expected: Node) -> tuple[_Insertion, Node]:
        at, indent = self.bottom()
        lines, nodes = self.lines(self.dash(), "", items, at)
        text = f"{indent}{key}:{self.line_end(at)}{lines}"
        pair = (Node("scalar", key), Node("sequence", style="block", children=nodes))
        return _Insertion(at, text), replace(expected, children=(*expected.children, *pair))

    def new_word(self, key: str, word: str, expected: Node) -> tuple[_Insertion, Node]:
        at, indent = self.bottom()
        text, value = _scalar(word, "")
        children = (*expected.children, Node("scalar", key), value)
        inserted = _Insertion(at, f"{indent}{key}: {text}{self.line_end(at)}")
        return inserted, replace(expected, children=children)

    def bottom(self) -> tuple[int, str]:
        """Where a new key goes, and what stands before it on its line."""
        last = self.tree
        while last.children:
            last = last.children[-1]
        if last.style in ("|", ">"):
            raise CardNotEditable(
                "its front matter ends with a block of text, which would grow by a line end"
            )
        indent = " " * self.column(self.tree.children[0]) if self.tree.children else ""
        return self.block.end if self.block else 0, indent

    def fill(self, name: Node, items: Sequence[str], expected: Node) -> tuple[_Insertion, Node]:
        """A key without a value."""
        at = _after_line(self.text, self.place(name.end))
        lines, nodes = self.lines(self.dash(), "", items, at)
        return _Insertion(at, lines), _with(expected, name, Node("sequence", style="block", children=nodes))

    def below(
        self, name: Node, values: Node, items: Sequence[str], expected: Node
    ) -> tuple[_Insertion, Node]:
        """A list with a dash before each item."""
        last = values.children[-1]
        if last.style in ("|", ">"):
            raise CardNotEditable(f"its {name.value} end with a block of text")
        dash = self.before(last)
        if not re.fullmatch(r" *- +", dash):
            raise CardNotEditable(f"its {name.value} are written in an unusual way")
        at = _after_line(self.text, self.place(last.end))
        lines, nodes = self.lines(dash, last.style, items, at)
        return _Insertion(at, lines), _with(expected, name, _longer(values, nodes))

    def into_brackets(
        self, name: Node, values: Node, items: Sequence[str], expected: Node
    ) -> tuple[_Insertion, Node]:
        """A list as in `[a, b]`."""
        last = values.children[-1] if values.children else None
        at = self.place(last.end if last else values.start + 1)
        written = [_scalar(item, last.style if last else "") for item in items]
        text = ", ".join(text for text, _ in written)
        nodes = tuple(node for _, node in written)
        return _Insertion(at, f", {text}" if last else text), _with(expected, name, _longer(values, nodes))

    def lines(self, dash: str, style: str, items: Sequence[str], at: int) -> tuple[str, tuple[Node, ...]]:
        written = [_scalar(item, style) for item in items]
        text = "".join(f"{dash}{text}{self.line_end(at)}" for text, _ in written)
        return text, tuple(node for _, node in written)

    def dash(self) -> str:
        """What stands before the items of the first list that the owner wrote line by line."""
        for value in self.tree.children[1::2]:
            if value.style == "block" and value.kind == "sequence":
                dash = self.before(value.children[-1])
                if re.fullmatch(r" *- +", dash):
                    return dash
        return " " * (self.column(self.tree.children[0]) if self.tree.children else 0) + "- "

    def place(self, index: int) -> int:
        """From the YAML's index to the card's."""
        return index + (self.block.start if self.block else 0)

    def before(self, node: Node) -> str:
        at = self.place(node.start)
        return self.text[self.text.rfind("\n", 0, at) + 1 : at]

    def column(self, node: Node) -> int:
        return len(self.before(node))

    def line_end(self, at: int) -> str:
        """The one of the line before; in a card without front matter, its first."""
        line_feed = self.text.rfind("\n", 0, at) if self.block else self.text.find("\n")
        return "\r\n" if line_feed > 0 and self.text[line_feed - 1] == "\r" else "\n"


def _new_block(text: str, insertions: Sequence[_Insertion]) -> _Insertion:
    end = _Editor(text, Node("mapping"), None).line_end(0)
    inside = "".join(insertion.text for insertion in insertions)
    return _Insertion(len(BOM) if text.startswith(BOM) else 0, f"---{end}{inside}---{end}")


def _apply(text: str, insertions: Sequence[_Insertion], expected: Node) -> str:
    """Insert, and do not believe it: the old bytes and the new data are both compared.

    Raises:
        CardNotEditable: the result is not the old card and what was added.
    """
    new, places = text, []
    for insertion in sorted(insertions, key=lambda i: i.at):  # stable: two at one place keep their order
        at = insertion.at + len(new) - len(text)
        new = new[:at] + insertion.text + new[at:]
        places.append((at, at + len(insertion.text)))
    old = new
    for start, end in reversed(places):
        old = old[:start] + old[end:]
    block = _locate(new)
    if old != text or block is None or parse(block.yaml(new)) != expected:
        raise CardNotEditable("an edit would change more than it adds")
    return new


def _with(tree: Node, name: Node, value: Node) -> Node:
    """The mapping with another value under that key."""
    children = list(tree.children)
    index = next(i for i in range(0, len(children), 2) if children[i].value == name.value)
    children[index + 1] = value
    return replace(tree, children=tuple(children))


def _longer(values: Node, nodes: Sequence[Node]) -> Node:
    return replace(values, children=(*values.children, *nodes))


def _scalar(item: str, style: str) -> tuple[str, Node]:
    """An item as YAML, quoted as its neighbour is, or where it must be."""
    if style == "'":
        return "'" + item.replace("'", "''") + "'", Node("scalar", item, "'")
    plain = PLAIN.fullmatch(item) and plain_is_text(item, (1, 1)) and plain_is_text(item, (1, 2))
    if plain and style == "":
        return item, Node("scalar", item)
    return json.dumps(item, ensure_ascii=False), Node("scalar", item, '"')


def _checked_tag(tag: str) -> str:
    if not tag or tag != tag.strip() or not tag.isprintable() or len(tag) > MAX_TAG:
        raise CardError(f"{tag[:MAX_TAG]!r} is no tag")
    return tag


def _checked_id(name: str) -> str:
    if not REPO_ID.fullmatch(name) or len(name) > MAX_TAG:
        raise CardError(f"{name[:MAX_TAG]!r} is no id of a repo on the Hub")
    return name
