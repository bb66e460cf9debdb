"""The benchmark of bytes runs, reaches its target on a few models already, and keeps no smoke."""

from __future__ import annotations

import json
import sys
from math import prod
from pathlib import Path

import pytest

from benchmarks import bytes as benchmark
from benchmarks.bytes import SD, SUPVIT, TARGET, lora_shapes, vit_shapes
from hubbot.training.far import choose_layers

ROOT = Path(__file__).parents[3]


def test_the_shapes_are_those_of_the_real_models() -> None:
    vit, lora = vit_shapes(1000), lora_shapes()
    assert sum(map(prod, vit.values())) == 86_567_656  # google/vit-base-patch16-224
    assert len(lora) == 2 * 128
    [layer], [pair] = choose_layers(SUPVIT.layers, [vit]), choose_layers(SD.layers, [lora])
    assert 4 * prod(layer.shape or ()) == SUPVIT.layer_bytes
    assert pair.shape == (1280, 1280)
    stored = [prod(shape) for name, shape in lora.items() if name.startswith(f"{pair.name}.")]
    assert 4 * sum(stored) == SD.layer_bytes


def test_the_benchmark_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.read_bytes() for file in (ROOT / "docs" / "results").glob("bytes.*")}
    monkeypatch.setattr(sys, "argv", ["bytes", "--smoke", "--json"])
    benchmark.main()
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert all(row.keys() == {"name", "value", "unit", "target", "baseline", "holds"} for row in rows)
    sent = next(row for row in rows if row["name"] == "SupViT bytes sent")
    assert 1.0 < sent["value"] <= sent["target"] == TARGET
    assert {file: file.read_bytes() for file in (ROOT / "docs" / "results").glob("bytes.*")} == before
