"""The deployment files only say what hubbot understands."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from hubbot.settings import Settings, load, variable

ROOT = Path(__file__).parents[2]
FILES = ["Dockerfile", "deploy/compose.yaml", "deploy/hubbot.service"]
KNOWN = {variable(f.name) for f in fields(Settings)}


@pytest.mark.parametrize("file", FILES)
def test_every_variable_is_a_setting(file):
    named = set(re.findall(r"HUBBOT_[A-Z_]+", (ROOT / file).read_text()))
    assert named, "the file configures nothing"
    assert named <= KNOWN


def test_the_composed_bot_starts_with_settings_it_accepts():
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    for service in compose["services"].values():
        environ = {
            name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value))
            for name, value in service["environment"].items()
        }
        load(environ)


def test_the_units_settings_are_accepted():
    unit = (ROOT / "deploy/hubbot.service").read_text()
    settings = load(dict(re.findall(r"^Environment=(\w+)=(.*)$", unit, re.MULTILINE)))
    assert settings.mode == "draft", "a fresh installation lets nothing leave the house"


def test_no_deployed_command_opens_pull_requests_unasked():
    for file in FILES:
        assert not re.search(r"HUBBOT_MODE[=: ]+auto", (ROOT / file).read_text())
