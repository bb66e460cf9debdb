"""What the docs list is what there is: commands, settings, reasons, and the README's commands run."""

import re
from dataclasses import fields
from pathlib import Path

import typer

from hubbot import errors
from hubbot.cli import app
from hubbot.errors import HubbotError
from hubbot.settings import Settings, variable

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference.md").read_text()


def section(title: str) -> str:
    return REFERENCE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def listed(title: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE))


def commands() -> set[str]:
    def walk(group: typer.main.TyperGroup, before: str):
        for name, command in group.commands.items():
            if isinstance(command, typer.core.TyperGroup):
                yield from walk(command, f"{before} {name}")
            else:
                yield f"{before} {name}"

    return set(walk(typer.main.get_command(app), "hubbot"))


def test_every_command_is_listed():
    assert listed("Commands") == commands()


def test_every_setting_is_listed_with_its_default():
    assert listed("Settings") == {variable(f.name) for f in fields(Settings)}
    for f in fields(Settings):
        assert re.search(rf"\| `{variable(f.name)}` \| `{re.escape(str(f.default))}` \|", REFERENCE), f.name


def test_every_error_is_listed():
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, HubbotError)]
    assert listed("Errors and reasons") >= {kind.code for kind in kinds}


def test_every_recorded_reason_is_listed():
    said = set()
    for path in (ROOT / "hubbot").rglob("*.py"):
        said |= set(re.findall(r"Abstention\(\s*\"([a-z-]+)\"", path.read_text()))
    assert {"unplaced", "no-expert", "adapter"} <= said
    assert said <= listed("Errors and reasons")


def test_links_lead_somewhere():
    for page in [
        ROOT / "README.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").glob("*.md"),
        ROOT / "deploy/README.md",
    ]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_what_the_threat_model_names_is_there():
    named = set(
        re.findall(
            r"`((?:hubbot|space|tests|benchmarks)/[\w/]+(?:\.py)?)`", (ROOT / "SECURITY.md").read_text()
        )
    )
    assert len(named) > 30
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
