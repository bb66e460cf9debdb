"""What the Space's repo holds: the Hub's conventions, and pins for all that it needs."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from hubbot.localhub.metadata import complaints, read_card
from hubbot.publishing.space import HOUSE, files

ROOT = Path(__file__).parents[3]
WITH_TORCH = ("nvidia-", "cuda-", "triton")
"""Torch pins these itself, to the last digit; a torch for the CPU has none of them."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    return {plain(line.split("==")[0]): line for line in lines if line and not line.startswith("#")}


def needed(roots: list[str]) -> set[str]:
    """All that is installed for the sake of these requirements, here on this machine."""
    found: set[tuple[str, str]] = set()

    def walk(text: str, extra: str) -> None:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            return
        for more in ("", *wanted.extras):
            if (plain(wanted.name), more) not in found:
                found.add((plain(wanted.name), more))
                for further in distribution(wanted.name).requires or ():
                    walk(further, more)

    for root in roots:
        walk(root, "")
    return {name for name, _ in found}


def test_the_requirements_pin_all_that_hubbot_needs_to_what_the_tests_passed_with():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    constraints = pins("constraints.txt")
    wanted = needed(project["dependencies"]) - {"setuptools"}
    expected = sorted(constraints[name] for name in wanted if not name.startswith(WITH_TORCH))
    stated = sorted(pins("space/requirements.txt").values())
    assert stated == expected, "space/requirements.txt is to pin:\n" + "\n".join(expected)


def test_the_card_is_one_that_the_hub_starts_a_space_by():
    text = (ROOT / "space/README.md").read_text()
    card = read_card(text)
    assert complaints(text, "spaces") == ([], [])
    assert card["sdk"] == "gradio"
    assert pins("constraints.txt")["gradio"] == f"gradio=={card['sdk_version']}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={card['python_version']}"
    assert card["hf_oauth"] is True
    assert card["app_file"] in files()
    assert {"title", "emoji", "colorFrom", "colorTo", "license", "short_description"} <= card.keys()


def test_no_file_of_ours_is_left_behind_that_the_space_imports():
    shipped = files("lab/readings")
    assert shipped["hubbot.toml"] == b'snapshot = "lab/readings"\n'
    assert {"README.md", "requirements.txt", "app.py", "hubbot/app.py", "space/app.py"} <= shipped.keys()
    assert "space/style.css" in shipped
    assert {f"hubbot/store/migrations/{path.name}" for path in (HOUSE / "store/migrations").glob("*.py")} <= (
        shipped.keys()
    )
    assert not [path for path in shipped if "demo" in path or "__pycache__" in path or "localhub" in path]
    sizes = sum(len(f) if isinstance(f, bytes) else f.stat().st_size for f in shipped.values())
    assert sizes < 2_000_000, "source, and no weights"
