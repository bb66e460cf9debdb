"""CLIP through open_clip, with a small checkpoint made here and loaded by its real path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hubbot.encoders.clip import CONFIG, WEIGHTS, ClipEncoder
from hubbot.encoders.loading import load
from hubbot.errors import EncoderError

MODEL: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import open_clip

    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clip")
    model = open_clip.CLIP(**MODEL)
    save_file(model.state_dict(), path / WEIGHTS)
    (path / CONFIG).write_text(json.dumps({"model_cfg": MODEL}))
    return path


def test_a_folder_is_loaded_by_its_path(folder: Path) -> None:
    encoder = load(f"clip:{folder}")
    rows = encoder.encode(["a dog", "a cat", "a dog"])
    assert rows.shape == (3, encoder.dimension) == (3, 24)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(rows[0], rows[2])
    assert not np.allclose(rows[0], rows[1])
    assert encoder.encode([]).shape == (0, 24)


def test_it_gives_what_open_clip_gives(folder: Path) -> None:
    import open_clip

    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a photo of a dog"])
    with torch.inference_mode():
        theirs = model.eval().encode_text(tokens, normalize=True).numpy()
    assert ClipEncoder(str(folder)).encode(["a photo of a dog"]) == pytest.approx(theirs, abs=1e-6)


def test_an_architecture_with_a_checkpoint_of_its_own(folder: Path, tmp_path: Path) -> None:
    import open_clip

    (tmp_path / "tiny-clip.json").write_text(json.dumps(MODEL))
    open_clip.add_model_config(tmp_path)
    by_architecture = ClipEncoder(f"tiny-clip/{folder / WEIGHTS}").encode(["seven"])
    assert by_architecture == pytest.approx(ClipEncoder(str(folder)).encode(["seven"]), abs=1e-6)
    with pytest.raises(EncoderError, match="cannot be loaded"):
        ClipEncoder(f"RN50/{folder / WEIGHTS}")


def test_pickles_are_never_opened(tmp_path: Path, folder: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    (tmp_path / CONFIG).write_text((folder / CONFIG).read_text())
    for name in ("open_clip_pytorch_model.bin", "model.pt"):
        torch.save({"state_dict": Bomb()}, tmp_path / name)
    with pytest.raises(EncoderError, match="safetensors"):
        ClipEncoder(str(tmp_path))
    with pytest.raises(EncoderError, match="pickle"):
        ClipEncoder(f"ViT-B-32/{tmp_path / 'model.pt'}")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "spec", ["", "ViT-L-14", "ViT-L-14/unheard-of", "/nowhere", "x//nowhere.safetensors"]
)
def test_what_is_not_there_is_said(spec: str) -> None:
    with pytest.raises(EncoderError):
        load(f"clip:{spec}")
