"""`hubbot expert show` on an expert that ships with hubbot."""

from __future__ import annotations

from typer.testing import CliRunner

from hubbot.cli import app
from hubbot.experts.artifact import describe
from hubbot.experts.router import shipped


def test_baselines_stand_on_a_line_of_their_own() -> None:
    info = describe(shipped()[0])
    done = CliRunner().invoke(app, ["expert", "show", info.name], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    baselines = [rest for word, *rest in lines if word == "baselines"]
    assert baselines == [[", ".join(f"{name} {value:.3f}" for name, value in info.baselines.items())]]
    assert len([line for line in done.stdout.splitlines() if "held out" in line]) == len(info.scores)
