"""What comes from the Hub is data in the terminal, and a fault is one line."""

from hubbot.cli.console import complain, emit, jsonable, percent, plain, say, size, table
from hubbot.records import Evidence, Prediction, Source

NASTY = "evil\x1b[31m/red\r\n[bold]name[/bold]\u202e"


def test_control_characters_never_reach_the_terminal(capsys):
    say(NASTY)
    table(["[red]model"], [(NASTY,)], empty="")
    complain(NASTY, NASTY)
    shown = "".join(capsys.readouterr())
    assert "\x1b[31m/red" not in shown
    assert "\u202e" not in shown
    assert "[bold]name[/bold]" in shown, "brackets are data, not markup"


def test_plain_is_one_line():
    assert plain("a\nb\tc\x00") == "a b\ufffdc\ufffd"


def test_json_knows_records(capsys):
    emit({"evidence": Evidence(Source.CARD, "said so"), "known": (Prediction("seven", 0.5, True),)})
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert '"source": "card"' in shown
    assert jsonable({1: {2}}) == {"1": [2]}


def test_numbers_for_people():
    assert [size(n) for n in (0, 999, 1500, 2_400_000)] == ["0 B", "999 B", "1.5 kB", "2.4 MB"]
    assert [percent(p) for p in (0.999, 0.5, 0.001)] == [">99%", "50%", "<1%"]
