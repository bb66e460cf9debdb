"""The house is as drawn: folders, lint contract and docstring agree, and the front door is light."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hubbot

HERE = Path(hubbot.__file__).parent
HEAVY = ("torch", "transformers", "gradio", "sqlalchemy", "huggingface_hub", "sentence_transformers")


def rooms() -> set[str]:
    names = {path.name.removesuffix(".py") for path in HERE.iterdir() if not path.name.startswith("__pyc")}
    return names - {"__init__"}


def contract() -> list[str]:
    pyproject = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    return next(c["layers"] for c in contracts if c["id"] == "layers")


def drawing() -> list[str]:
    rows = (hubbot.__doc__ or "").split("(`make quality`):")[1].split("`import hubbot`")[0]
    return [row.strip() for row in rows.splitlines() if row.strip()]


def test_the_drawing_is_the_contract():
    assert drawing() == contract()


def test_every_room_is_drawn():
    assert {room for row in contract() for room in row.split(" | ")} == rooms()


def test_imports_run_one_way():
    lint = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout


def test_what_is_exported_is_there_and_sorted():
    assert hubbot.__all__ == sorted(hubbot.__all__)
    for name in hubbot.__all__:
        assert getattr(hubbot, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        _ = hubbot.nonsense


def imported_by(statement: str) -> tuple[float, set[str]]:
    """Processor seconds and heavy modules that a fresh interpreter spends on a statement."""
    code = (
        f"import sys, time; t = time.process_time(); {statement}; t = time.process_time() - t;"
        f"print(t, *[m for m in {HEAVY!r} if m in sys.modules])"
    )
    seconds, *heavy = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    return float(seconds), set(heavy)


@pytest.mark.parametrize("statement", ["import hubbot", "import hubbot.records, hubbot.settings"])
def test_import_is_light(statement):
    runs = [imported_by(statement) for _ in range(3)]
    assert all(heavy == set() for _, heavy in runs)
    assert min(seconds for seconds, _ in runs) < 0.3


def test_the_command_line_is_light():
    _, heavy = imported_by("import hubbot.cli")
    assert heavy == set()


def test_the_bots_own_process_never_imports_torch():
    _, heavy = imported_by("import hubbot.rounds, hubbot.orders, hubbot.scheduler, hubbot.app")
    assert "torch" not in heavy


def test_the_light_import_test_can_fail():
    _, heavy = imported_by("import hubbot, torch")
    assert "torch" in heavy
