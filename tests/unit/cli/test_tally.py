"""Progress bars count uploads, each of them once."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from hubbot.cli.tally import Tally
from hubbot.records import How, Placement, Upload

ANN, BEN, OLD = (Upload(f"{name}/net", "1", datetime.now(UTC)) for name in ("ann", "ben", "old"))


def unplaced(upload: Upload) -> Placement:
    return Placement(upload.repo, upload.commit, None, None, How.UNPLACED)


def test_an_upload_that_is_placed_again_makes_no_bar_overflow():
    shown = io.StringIO()
    tally = Tally()
    with tally.progress(Console(file=shown, width=100)):
        for event in (ANN, BEN, *map(unplaced, (ANN, BEN, ANN, OLD))):
            tally(event)
    assert tally.counts["placed"] == 4
    last = [line for line in shown.getvalue().splitlines() if "placed" in line][-1]
    assert " 3/3 " in last
