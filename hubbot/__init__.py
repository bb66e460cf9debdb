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
    scheduler | orders
    rounds | training | library
    batches | searching
    visits | growth | promotion | review
    pipeline
    courtesy
    bot
    engine | descent
    hub | store | index | card | policy | trees | experts | encoders | zoo | localhub
    weights
    settings
    records
    errors

`import hubbot` is light: what is named in `__all__` is imported when it is first asked for, and torch
only when something is computed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubbot.app import open_desk, open_library, tell
    from hubbot.desk import Desk
    from hubbot.errors import HubbotError
    from hubbot.library import Library, ModelPage
    from hubbot.records import ExpertInfo, Hit, Prediction, Reading, Suggestion, Upload

__version__ = "0.1.0"

_HOMES = {
    "Desk": "hubbot.desk",
    "ExpertInfo": "hubbot.records",
    "Hit": "hubbot.records",
    "HubbotError": "hubbot.errors",
    "Library": "hubbot.library",
    "ModelPage": "hubbot.library",
    "Prediction": "hubbot.records",
    "Reading": "hubbot.records",
    "Suggestion": "hubbot.records",
    "Upload": "hubbot.records",
    "open_desk": "hubbot.app",
    "open_library": "hubbot.app",
    "tell": "hubbot.app",
}

__all__ = [
    "Desk",
    "ExpertInfo",
    "Hit",
    "HubbotError",
    "Library",
    "ModelPage",
    "Prediction",
    "Reading",
    "Suggestion",
    "Upload",
    "open_desk",
    "open_library",
    "tell",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hubbot' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
