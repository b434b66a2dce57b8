"""Store of corrections: an append-only log a scoring, and what it comes to. Functions never commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import EditRow, ReviewRow
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.reviewed import Tally


@dataclass(frozen=True, slots=True)
class LoggedEdit:
    """One accepted edit. ``op`` is the edit as JSON types, ``was`` what it changed."""

    rev: int
    client: str
    seq: int
    author: str
    reader: str
    at: datetime
    op: dict[str, Any]
    was: Any


@dataclass(frozen=True, slots=True)
class StoredReview:
    """What the edits up to ``rev`` come to."""

    rev: int
    tally: Tally
    updated: datetime


@dataclass(frozen=True, slots=True)
class KnownClient:
    """The last ``seq`` that is kept of a client, and whose it is."""

    seq: int
    author: str


def append_edits(session: Session, scoring_id: int, edits: Iterable[LoggedEdit]) -> None:
    """Add edits to a scoring's log. The scoring must be locked, and ``rev`` go on from the last."""
    session.add_all(
        EditRow(
            scoring_id=scoring_id, rev=e.rev, client=e.client, seq=e.seq, author=e.author, reader=e.reader, at=e.at,
            op=e.op, was=e.was,
        )
        for e in edits
    )  # fmt: skip
    session.flush()


def list_edits(session: Session, scoring_id: int, after: int) -> list[LoggedEdit]:
    """The edits of a scoring with a ``rev`` above ``after``, in order."""
    rows = select(
        EditRow.rev, EditRow.client, EditRow.seq, EditRow.author, EditRow.reader, EditRow.at, EditRow.op, EditRow.was
    ).where(EditRow.scoring_id == scoring_id, EditRow.rev > after)
    return [LoggedEdit(*row) for row in session.execute(rows.order_by(EditRow.rev))]


def find_client(session: Session, scoring_id: int, client: str) -> KnownClient | None:
    """What is kept of a client in a scoring; None before its first edit."""
    row = session.execute(
        select(EditRow.seq, EditRow.author)
        .where(EditRow.scoring_id == scoring_id, EditRow.client == client)
        .order_by(EditRow.seq.desc())
        .limit(1)
    ).first()
    return KnownClient(*row) if row else None


def list_readers(session: Session, scoring_ids: list[int]) -> list[str]:
    """Names under which edits of these scorings were made, in order of the alphabet; unnamed ones are left out."""
    named = select(EditRow.reader).where(EditRow.scoring_id.in_(scoring_ids), EditRow.reader != "").distinct()
    return list(session.scalars(named.order_by(EditRow.reader)))


def put_review(session: Session, scoring_id: int, rev: int, tally: Tally, now: datetime) -> None:
    """Keep what the log comes to. Must be in the transaction that appends to it."""
    session.merge(
        ReviewRow(
            scoring_id=scoring_id, rev=rev, **tally.counts._asdict(), left_out=tally.left_out, edited=tally.edited,
            placed=tally.placed, deleted=tally.deleted, updated=now,
        )
    )  # fmt: skip


def find_review(session: Session, scoring_id: int) -> StoredReview | None:
    """None for a scoring that nobody edited."""
    return list_reviews(session, [scoring_id]).get(scoring_id)


def list_reviews(session: Session, scoring_ids: list[int]) -> dict[int, StoredReview]:
    """Reviews of those of the given scorings that have one."""
    rows = session.scalars(select(ReviewRow).where(ReviewRow.scoring_id.in_(scoring_ids)))
    return {
        row.scoring_id: StoredReview(
            row.rev,
            Tally(Counts(row.positive, row.negative, row.other), row.left_out, row.edited, row.placed, row.deleted),
            row.updated,
        )
        for row in rows
    }
