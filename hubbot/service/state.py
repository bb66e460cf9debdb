"""What a running bot knows of itself, beside what its database tells anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hubbot.scheduler import JobState

if TYPE_CHECKING:
    from hubbot.hub.rates import Rate

LATE = 10
"""A job is late when it has not ended well for so many of its intervals,"""
PATIENCE_S = 900.0
"""and for so long: a slice of uploads takes minutes where the Hub is slow."""


@dataclass(frozen=True, slots=True)
class Live:
    """A running bot at one moment.

    Args:
        jobs: what each did last, and when it runs again.
        events: how many uploads were noticed, placed, read ... since it started.
        workers_lost: workers that died or hung over a batch.
        rates: how the Hub's limits stand, kind by kind.
        reachable: whether owners could reach whoever runs it; without that it opens nothing.
    """

    started_at: datetime
    mode: str
    jobs: Sequence[JobState]
    events: Mapping[str, int]
    workers_lost: int
    rates: Sequence[Rate] = ()
    reachable: bool = False

    def ailing(self, now: datetime | None = None) -> list[str]:
        """What is wrong, a sentence each; nothing of a bot in good health."""
        now = now or datetime.now(UTC)
        late = []
        for job in self.jobs:
            silent = (now - (job.ended_well_at or self.started_at)).total_seconds()
            if silent > max(PATIENCE_S, LATE * job.every_s):
                why = f": {job.error}" if job.error else ""
                late.append(f"{job.id} has not ended well for {silent:.0f} s{why}")
        return late
