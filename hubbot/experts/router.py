"""Which expert reads which tree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hubbot.experts.schema import CONFIG
from hubbot.records import ExpertInfo


def shipped() -> tuple[Path, ...]:
    """The folders of the experts that come with hubbot, in the order of their names."""
    home = Path(__file__).parent / "shipped"
    return tuple(sorted(file.parent for file in home.glob(f"*/{CONFIG}")))


class Router:
    """Finds the expert of a tree. Of several for one tree the last one given reads it."""

    def __init__(self, experts: Iterable[ExpertInfo]) -> None:
        self.experts = tuple(experts)
        self._by_root = {root: info for info in self.experts for root in info.roots}

    def for_tree(self, root: str) -> ExpertInfo | None:
        return self._by_root.get(root)
