"""What training needs of the models of one tree, wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from hubbot.experts.train import Sample
    from hubbot.records import Floats, Label, Wanted


class Source(Protocol):
    """The models of one tree; `trees` has those of a zoo on this disk, `far` those on a Hub.

    Attributes:
        roots: equivalent roots; the first one is the tree's name.
        labels: what the columns of the truth stand for.
        prompt: how a text encoder is asked for one of them, where each model has exactly one; empty: labels
            are told apart as such, and a model may have several.
        wanted: the layers that a probe may read, by name, as an expert asks a file for them.
        origin: of those that the root has, its matrix (d_H, d_W).
        fingerprint: rows of the root's tensors, by which its children are known; nothing where it has none.
        story: what the models are and were trained on, for people.
        provenance: the same exactly, for whoever wants to do it again.
    """

    @property
    def roots(self) -> tuple[str, ...]: ...
    @property
    def labels(self) -> tuple[Label, ...]: ...
    @property
    def prompt(self) -> str: ...
    @property
    def wanted(self) -> Mapping[str, Wanted]: ...
    @property
    def origin(self) -> Mapping[str, Tensor]: ...
    @property
    def fingerprint(self) -> Mapping[str, Floats]: ...
    @property
    def story(self) -> str: ...
    @property
    def provenance(self) -> Mapping[str, object]: ...

    def sample(self, split: str, layers: Sequence[str]) -> Sample:
        """The weights and the truth of a split's models.

        Raises:
            ExpertError: there are none.
        """

    def hashes(self, split: str) -> tuple[str, ...]:
        """The sha256 of the weight files of a split, in the order of `sample`."""

    def unseen(self, split: str) -> tuple[Label, ...]:
        """The labels of `SPLIT-unseen`, models of what no training model knows; none where there are none."""
