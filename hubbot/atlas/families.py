"""Families of concepts: where an expert knows hundreds, those of one meaning share a colour.

Ward's clustering of the concepts' text embeddings, which needs no start and so gives the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hubbot.records import Floats


def families(texts: Floats, most: int) -> list[int]:
    """To which family each concept belongs, the largest family first.

    Args:
        texts: embeddings of the concepts, (k, d).
        most: how many families there are, if there are as many concepts.
    """
    from scipy.cluster.hierarchy import fcluster, ward

    if len(texts) <= most:
        return list(range(len(texts)))
    unit = texts / np.maximum(np.linalg.norm(texts, axis=1, keepdims=True), 1e-12)
    found = fcluster(ward(unit), most, "maxclust") - 1
    order = np.argsort(-np.bincount(found), kind="stable")
    return [int(rank) for rank in np.argsort(order)[found]]
