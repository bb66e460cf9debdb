"""Where a classifier's classes are, in its weights and in its config.json, and both for other classes.

No code of a repo is run, so names, shapes and config.json have to agree on which layer it is; where they do
not, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubbot.errors import UsageError
from hubbot.sane.tokens import Layout

SORTS = "Classification"
"""In the name of every architecture of transformers whose labels are classes."""
UNSAID = 2
"""How many labels a config of transformers means that names none."""


def head_of(config: Mapping[str, Any], layout: Layout) -> tuple[str, ...]:
    """The tensors that have a row for each class: those of the last layer that is more than a vector.

    Args:
        config: the repo's config.json, as a stranger wrote it.

    Raises:
        UsageError: it sorts nothing into classes, or which layer does so is not clear.
    """
    count = _classes(config)
    layers = [one for one in layout.layers if len(one.pieces[0].shape) > 1]
    shapes = [[piece.shape for piece in one.pieces] for one in layers]
    clear = bool(layers) and len(shapes[-1][0]) == 2 and layers[-1].rows == count
    if not clear or shapes.count(shapes[-1]) > 1:
        raise UsageError(
            f"which layer its {count} classes come from is not clear",
            hint="it has to be the last, a matrix with a row for each class, and no other like it",
        )
    return tuple(piece.tensor for piece in layers[-1].pieces)


def relabelled(config: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """The config of a model with other classes, whose names nobody knows yet."""
    names = {str(i): f"LABEL_{i}" for i in range(classes)}
    count = {"num_labels": classes} if "num_labels" in config else {}
    back = {name: int(i) for i, name in names.items()}
    return {**config, **count, "id2label": names, "label2id": back}


def _classes(config: Mapping[str, Any]) -> int:
    """How many there are."""
    kinds, names = config.get("architectures"), config.get("id2label")
    kinds = kinds if isinstance(kinds, list) else []
    count = len(names) if isinstance(names, dict) else config.get("num_labels", UNSAID if kinds else None)
    sorts = all(SORTS in str(kind) for kind in kinds) and config.get("problem_type") != "regression"
    if not sorts or type(count) is not int or count < 2:
        told = f", it is a {', '.join(map(str, kinds))}" if kinds else ""
        raise UsageError(f"it does not say that it sorts into classes{told}", hint="leave out --classes")
    return count
