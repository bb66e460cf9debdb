"""What the indexes of different trees found, as one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubbot.records import Hit


@dataclass(frozen=True, slots=True)
class Found:
    """What one index found.

    Args:
        hits: the best first.
        understood: what the text was taken for, with the chance that it means that, the likeliest first.
        clear: whether that is about one thing that is known, or about any of several.
    """

    hits: tuple[Hit, ...] = ()
    understood: tuple[tuple[str, float], ...] = ()
    clear: bool = True


def mixed(found: Sequence[Found], limit: int) -> Found:
    """One answer, ranked by chance, whichever the tree; equal ones by name.

    It is understood as those understood it who found something, and as clear as its best hit is.
    """
    giving = [one for one in found if one.hits] or list(found)
    hits = sorted((hit for one in giving for hit in one.hits), key=lambda hit: (-hit.score, hit.repo))
    first = next((one for one in giving if hits and hits[0] in one.hits), Found())
    shares: dict[str, float] = {}
    for text, share in (pair for one in giving for pair in one.understood):
        shares[text] = max(share, shares.get(text, 0.0))
    understood = sorted(shares.items(), key=lambda pair: -pair[1])
    return Found(tuple(hits[:limit]), tuple(understood), first.clear)
