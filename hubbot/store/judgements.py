"""Judgements: written once per weights and version of an autoencoder, however often they are recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hubbot.errors import StoreError
from hubbot.records import Abstention, Estimate, Judgement
from hubbot.store import changes, uploads
from hubbot.store.readings import contents_hash
from hubbot.store.tables import JudgementRow


def hold(session: Session, repo: str, said: Sequence[Judgement]) -> None:
    """Write down those that are not there; they alone hold now for their repo.

    An abstention is no last word on its weights: what comes after it takes its place.

    Raises:
        StoreError: a number in one is no number.
    """
    rows = {_key(row): row for row in session.scalars(select(JudgementRow).where(JudgementRow.repo == repo))}
    holding = {key for key, row in rows.items() if row.holds}
    for judgement in said:
        _check(judgement)
        key = contents_hash(judgement.content_ids), judgement.autoencoder, judgement.version
        known = rows.get(key)
        if known is None or (known.abstention_code is not None and record_of(known) != judgement):
            if known is not None:
                session.delete(known)
                session.flush()
                holding.discard(key)
            rows[key] = _row(key[0], judgement)
            session.add(rows[key])
    now = {(contents_hash(j.content_ids), j.autoencoder, j.version) for j in said}
    for key, row in rows.items():
        row.holds = key in now
    if now != holding:
        changes.touch(session, [repo])


def forget(session: Session, repo: str) -> None:
    """Its owner took it down."""
    hold(session, repo, ())
    uploads.forget(session, repo)


def ever(session: Session, repo: str) -> list[Judgement]:
    """All that were ever recorded, the oldest first."""
    query = select(JudgementRow).where(JudgementRow.repo == repo).order_by(JudgementRow.id)
    return [record_of(row) for row in session.scalars(query)]


def holding(session: Session, repos: Sequence[str]) -> dict[str, tuple[Judgement, ...]]:
    """Those that hold, by repo."""
    query = select(JudgementRow).where(JudgementRow.repo.in_(repos), JudgementRow.holds)
    found: dict[str, tuple[Judgement, ...]] = {}
    for row in session.scalars(query.order_by(JudgementRow.id)):
        found[row.repo] = (*found.get(row.repo, ()), record_of(row))
    return found


def _key(row: JudgementRow) -> tuple[str, str, str]:
    return row.contents, row.autoencoder, row.version


def _check(judgement: Judgement) -> None:
    for one in judgement.estimates:
        if not all(map(math.isfinite, (one.value, one.low, one.high, one.coverage))):
            raise StoreError(f"the estimate of {one.name!r} is no number", repo=judgement.repo)


def _row(contents: str, judgement: Judgement) -> JudgementRow:
    why = judgement.abstention
    return JudgementRow(
        repo=judgement.repo,
        contents=contents,
        autoencoder=judgement.autoencoder,
        version=judgement.version,
        holds=True,
        commit=judgement.commit,
        content_ids=list(judgement.content_ids),
        estimates=[asdict(one) for one in judgement.estimates],
        abstention_code=why.code if why else None,
        abstention_text=why.text if why else None,
        bytes_read=judgement.bytes_read,
        judged_at=datetime.now(UTC),
    )


def record_of(row: JudgementRow) -> Judgement:
    silent = row.abstention_code is not None
    return Judgement(
        repo=row.repo,
        commit=row.commit,
        content_ids=tuple(row.content_ids),
        autoencoder=row.autoencoder,
        version=row.version,
        estimates=tuple(Estimate(**one) for one in row.estimates),
        abstention=Abstention(row.abstention_code or "", row.abstention_text or "") if silent else None,
        bytes_read=row.bytes_read,
    )
