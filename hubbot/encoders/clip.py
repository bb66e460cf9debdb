"""CLIP text towers through open_clip, which is what the ProbeX paper aligned its experts with.

Learning Transferable Visual Models From Natural Language Supervision (arXiv 2103.00020). Only safetensors
checkpoints are opened, whatever else lies beside them.

Honesty: where hubbot was written no published CLIP weights could be had. The tests exercise this module with
a small checkpoint of their own, loaded by its path; `clip:ViT-L-14/openai` takes the same way after open_clip
has fetched it, and has never been run here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubbot.errors import EncoderError

if TYPE_CHECKING:
    from hubbot.records import Floats

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
BATCH = 256  # texts in one pass


@dataclass(frozen=True, slots=True)
class _Source:
    """What open_clip calls the model, and the checkpoint to load into it."""

    model: str
    weights: Path
    quick_gelu: bool = False


class ClipEncoder:
    """The text tower of one CLIP model, on the CPU.

    Args:
        spec: `ARCH/TAG` as open_clip lists them (`ViT-L-14/openai`), `ARCH/PATH.safetensors` with a path of
            your own, or the absolute path of a folder with the two files named above.

    Raises:
        EncoderError: no such model, no safetensors checkpoint, or one that does not fit the architecture.
    """

    def __init__(self, spec: str) -> None:
        self.name = f"clip:{spec}"
        source = _find(spec)
        if source.weights.suffix != ".safetensors":
            hint = "only safetensors checkpoints are opened"
            raise EncoderError("this checkpoint is a pickle", file=str(source.weights), hint=hint)
        import open_clip

        try:
            # Weights are loaded by ourselves: open_clip would take a .bin from the same folder.
            model = open_clip.create_model(
                source.model, load_weights=False, pretrained_text=False, force_quick_gelu=source.quick_gelu
            )
            open_clip.load_checkpoint(model, str(source.weights))
            self._tokenize = open_clip.get_tokenizer(source.model)
        except Exception as error:  # open_clip and torch raise whatever the layer below raised
            raise EncoderError(f"cannot be loaded: {error}", file=str(source.weights)) from error
        del model.visual  # three quarters of the memory, and only texts are encoded here
        self._model = model.eval()
        self.dimension = len(self._pass(["a"])[0])

    def encode(self, texts: Sequence[str]) -> Floats:
        import numpy as np

        parts = [self._pass(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    def _pass(self, texts: Sequence[str]) -> Floats:
        import numpy as np
        import torch

        with torch.inference_mode():
            vectors = self._model.encode_text(self._tokenize(list(texts)), normalize=True)
        return np.asarray(vectors.float().numpy(), np.float32)


def _find(spec: str) -> _Source:
    if Path(spec).is_absolute():
        folder = Path(spec)
        for needed in (CONFIG, WEIGHTS):
            if not (folder / needed).is_file():
                raise EncoderError(f"there is no {needed}", file=str(folder))
        return _Source(f"local-dir:{folder}", folder / WEIGHTS)
    architecture, _, pretrained = spec.partition("/")
    if Path(pretrained).suffix:
        return _Source(architecture, _existing(Path(pretrained)))
    import open_clip

    tag = open_clip.get_pretrained_cfg(architecture, pretrained)
    if not tag:
        hint = "`ARCH/TAG` as `open_clip.list_pretrained()` gives them, or a path"
        raise EncoderError(f"open_clip knows no model {spec!r}", hint=hint)
    try:
        fetched = Path(open_clip.download_pretrained(tag))
    except Exception as error:  # a dead line, a full disk, a missing file: all mean no encoder
        raise EncoderError(f"{spec} could not be fetched: {error}", hint="or name a local path") from error
    return _Source(architecture, fetched, bool(tag.get("quick_gelu")))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise EncoderError("there is no such checkpoint", file=str(path))
    return path
