"""Which expert reads which tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hubbot.experts.schema import CONFIG
from hubbot.records import ExpertInfo
from hubbot.weights import pairs


def shipped() -> tuple[Path, ...]:
    """The folders of the experts that come with hubbot, in the order of their names."""
    home = Path(__file__).parent / "shipped"
    return tuple(sorted(file.parent for file in home.glob(f"*/{CONFIG}")))


class Router:
    """Finds the expert of a tree: of several the one that was chosen, else the last one given.

    Args:
        experts: those at hand; a tree may have several, and an expert several versions.
        chosen: names and versions. May be changed while other threads ask.
    """

    def __init__(self, experts: Iterable[ExpertInfo], chosen: Iterable[tuple[str, str]] = ()) -> None:
        self.experts = tuple(experts)
        self.choose(chosen)

    def choose(self, chosen: Iterable[tuple[str, str]]) -> None:
        """Have these read their trees; one that is not at hand leaves its tree as if nothing were chosen."""
        at_hand = {(info.name, info.version): info for info in self.experts}
        last = [at_hand[which] for which in chosen if which in at_hand]
        self._by_root = {root: info for info in (*self.experts, *last) for root in info.roots}

    def for_tree(self, root: str) -> ExpertInfo | None:
        return self._by_root.get(root)

    def for_form(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[ExpertInfo, ...]:
        """The experts that could read an adapter of this form, one for each tree.

        An adapter holds no row of its root: its form is all that speaks for a tree, and several trees may
        have the same. Whether it is like those that an expert learned from is for the expert to say.
        """
        trees = {info.tree: info for info in self._by_root.values() if info.reads_adapters}
        return tuple(info for info in trees.values() if _fits(info, shapes))


def _fits(info: ExpertInfo, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether all factors that the expert reads are there, and of a form that it can read."""
    for want in info.wanted:
        names = pairs.pair(want.name, shapes)
        if names is None or pairs.fault(want.name, want.shape, *(shapes[name] for name in names)):
            return False
    return True
