"""hubbot reads off the weights what a model on the Hub was trained on.

The path of one upload, which `hubbot/pipeline.py` is in code:

    Hub ──► notice ──► place ──► fetch ──► probe ──► record ──┬──► suggest ──► pull request
            Upload     Placement  Tensors   Reading   (store)  └──► index ───► text search, Space

The rooms, from the street door down to the ground. A room imports only from rows below its own, the
rooms of one row do not know each other, and a lint says so (`make quality`):

    __main__
    cli
    demo
    admin
    app
    desk
    service
    scheduler | orders | following
    rounds | training | library | publishing
    batches | searching | indexing | surveying
    understanding
    shelves
    visits | growth | promotion | review
    judging
    pipeline
    courtesy
    bot
    making
    engine | descent | embedding
    hub | store | index | card | policy | trees | experts | sane | encoders | zoo | localhub | atlas
    weights | keeping | drawing
    settings
    records
    errors | version

`import hubbot` is light: what is named in `__all__` is imported when it is first asked for, and torch
only when something is computed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hubbot.version import VERSION

if TYPE_CHECKING:
    from hubbot.app import open_library, search, tell
    from hubbot.errors import HubbotError
    from hubbot.library import ExpertVersion, Library, ModelPage
    from hubbot.records import (
        Bin,
        Estimate,
        ExpertInfo,
        Glance,
        Hit,
        Judgement,
        LayerScore,
        Prediction,
        Reading,
        Reliability,
        Suggestion,
        Trust,
        Upload,
    )
    from hubbot.searching import Facet, SearchAnswer
    from hubbot.surveying import Concept, Crown, Forest, Group, Mark, TreeMap, TreePicture

__version__ = VERSION

_HOMES = {
    "Bin": "hubbot.records",
    "Concept": "hubbot.surveying",
    "Crown": "hubbot.surveying",
    "Desk": "hubbot.desk",
    "Estimate": "hubbot.records",
    "ExpertInfo": "hubbot.records",
    "ExpertVersion": "hubbot.library",
    "Facet": "hubbot.searching",
    "Forest": "hubbot.surveying",
    "Glance": "hubbot.records",
    "Group": "hubbot.surveying",
    "Hit": "hubbot.records",
    "HubbotError": "hubbot.errors",
    "Judgement": "hubbot.records",
    "LayerScore": "hubbot.records",
    "Library": "hubbot.library",
    "Mark": "hubbot.surveying",
    "ModelPage": "hubbot.library",
    "Prediction": "hubbot.records",
    "Reading": "hubbot.records",
    "Reliability": "hubbot.records",
    "SearchAnswer": "hubbot.searching",
    "Suggestion": "hubbot.records",
    "TreeMap": "hubbot.surveying",
    "TreePicture": "hubbot.surveying",
    "Trust": "hubbot.records",
    "Upload": "hubbot.records",
    "open_desk": "hubbot.app",
    "open_library": "hubbot.app",
    "search": "hubbot.app",
    "tell": "hubbot.app",
}

__all__ = [
    "Bin",
    "Concept",
    "Crown",
    "Desk",
    "Estimate",
    "ExpertInfo",
    "ExpertVersion",
    "Facet",
    "Forest",
    "Glance",
    "Group",
    "Hit",
    "HubbotError",
    "Judgement",
    "LayerScore",
    "Library",
    "Mark",
    "ModelPage",
    "Prediction",
    "Reading",
    "Reliability",
    "SearchAnswer",
    "Suggestion",
    "TreeMap",
    "TreePicture",
    "Trust",
    "Upload",
    "open_desk",
    "open_library",
    "search",
    "tell",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hubbot' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
