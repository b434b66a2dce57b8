"""Store of the sides of signed cases in the learning loop. Functions never commit."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.engine import take_turns
from db.tables import LearningCaseRow
from nucleus_app.domain.split import Split, assign_split


def learn_from(session: Session, case_id: int, now: datetime) -> Split:
    """Put a case on its side at its first signature; again is fine, and changes nothing. The case must be locked."""
    row = session.get(LearningCaseRow, case_id)
    if row is None:
        # Two cases that are signed at once must not get the same place.
        take_turns(session, LearningCaseRow.__tablename__)
        place = session.scalar(select(func.coalesce(func.max(LearningCaseRow.place) + 1, 0))) or 0
        row = LearningCaseRow(case_id=case_id, place=place, split=assign_split(place).value, at=now)
        session.add(row)
        session.flush()
    return Split(row.split)


def list_splits(session: Session, case_ids: list[int] | None = None) -> dict[int, Split]:
    """The sides of those of the given cases that were ever signed; of all, where none are given, also of those that hold no
    image any more.
    """
    rows = select(LearningCaseRow.case_id, LearningCaseRow.split).order_by(LearningCaseRow.case_id)
    if case_ids is not None:
        rows = rows.where(LearningCaseRow.case_id.in_(case_ids))
    return {case_id: Split(split) for case_id, split in session.execute(rows)}
