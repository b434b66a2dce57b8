"""Store of the network's maps of tumour, one a scoring, made when asked for. Functions never commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.tables import RoiMapRow


@dataclass(frozen=True, slots=True)
class StoredRoiMap:
    """``cells``: the map as a region's geometry in JSON types, once done; ``error``: why there is none."""

    cells: dict[str, Any] | None
    error: str | None
    attempt: int

    @property
    def is_open(self) -> bool:
        """Asked for, and neither done nor failed."""
        return self.cells is None and self.error is None


def ask_for_roi_map(session: Session, scoring_id: int, now: datetime) -> int | None:
    """Note that the map is wanted. Returns the number of the attempt to start, None where one is on its way or done.

    The scoring must be locked.
    """
    row = session.get(RoiMapRow, scoring_id)
    if row is None:
        session.add(RoiMapRow(scoring_id=scoring_id, attempt=1, created=now))
        session.flush()
        return 1
    if row.error is None:
        return None
    row.error, row.attempt, row.created = None, row.attempt + 1, now
    return row.attempt


def finish_roi_map(session: Session, scoring_id: int, cells: dict[str, Any]) -> None:
    """Again is fine: the same map replaces itself."""
    row = session.get(RoiMapRow, scoring_id)
    if row is not None:
        row.cells, row.error = cells, None


def fail_roi_map(session: Session, scoring_id: int, reason: str, attempt: int | None = None) -> None:
    """A map that is done stays, and so does one of which a later attempt than the given one is on its way."""
    row = session.get(RoiMapRow, scoring_id)
    if row is not None and row.cells is None and row.error is None and attempt in (None, row.attempt):
        row.error = reason[:1000]


def find_roi_map(session: Session, scoring_id: int) -> StoredRoiMap | None:
    row = session.get(RoiMapRow, scoring_id)
    return StoredRoiMap(row.cells, row.error, row.attempt) if row else None
