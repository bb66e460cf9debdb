"""What several shelves found, as one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubbot.index.meaning import Understood
from hubbot.records import Hit


@dataclass(frozen=True, slots=True)
class Found:
    """What one shelf found.

    Args:
        hits: the best first.
        understood: what the text was taken for.
        clear: whether that is about one thing that is known, or about any of several.
    """

    hits: tuple[Hit, ...] = ()
    understood: Understood = ()
    clear: bool = True


def mixed(found: Sequence[Found], limit: int) -> Found:
    """One answer, ranked by chance, whichever the tree; equal ones by name.

    It is understood as those understood it who found something, the likelier ways, and as clear as its best
    hit is.
    """
    giving = [one for one in found if one.hits] or list(found)
    hits = sorted((hit for one in giving for hit in one.hits), key=lambda hit: (-hit.score, hit.repo))
    first = [one for one in giving if hits[0] in one.hits] if hits else giving
    shares: dict[str, float] = {}
    for text, share in (pair for one in giving for pair in one.understood):
        shares[text] = max(share, shares.get(text, 0.0))
    least = max(shares.values(), default=0.0) / 3
    understood = sorted((pair for pair in shares.items() if pair[1] >= least), key=lambda pair: -pair[1])
    return Found(tuple(hits[:limit]), tuple(understood), all(one.clear for one in first))
