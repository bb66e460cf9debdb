"""What every test stands on: nothing of the person who runs them, and the option for a real Hub."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# How long an example takes says something of the machine, not of the code.
settings.register_profile("hubbot", deadline=None)
settings.load_profile("hubbot")

# Read by huggingface_hub at import: no telemetry, and no token that lies in somebody's home.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--endpoint",
        help="run the read-only wire tests against this Hub; needs --force-enable-socket as well",
    )
