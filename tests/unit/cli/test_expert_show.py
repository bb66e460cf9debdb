"""`hubbot expert show` on an expert that ships with hubbot."""

from __future__ import annotations

from typer.testing import CliRunner

from hubbot.cli import app
from hubbot.experts.artifact import describe
from hubbot.experts.router import shipped
from hubbot.experts.trust import trust


def test_baselines_stand_on_a_line_of_their_own() -> None:
    info = describe(shipped()[0])
    done = CliRunner().invoke(app, ["expert", "show", info.name], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    baselines = [rest for word, *rest in lines if word == "baselines"]
    assert baselines == [[", ".join(f"{name} {value:.3f}" for name, value in info.baselines.items())]]
    assert len([line for line in done.stdout.splitlines() if "held out" in line]) == len(info.scores)


def test_what_percentages_are_worth_is_shown_where_it_was_measured() -> None:
    for folder in shipped():
        found = trust(folder).reliability
        done = CliRunner().invoke(app, ["expert", "show", folder.name], env={"COLUMNS": "120"})
        assert done.exit_code == 0
        assert "stands by a label from 9" in done.stdout
        if found is None:
            assert "percentages were not measured" in done.stdout
        else:
            assert f"off by {found.error:.3f} on average" in done.stdout
            assert f"{found.bins[-1].meant:.3f}" in done.stdout
