"""The versions of a store, the base among them, and which of them scores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from db.versions import (
    REFUSED,
    StoredActivation,
    StoredVersion,
    find_active,
    find_version,
    list_activations,
    list_refused,
    list_versions,
)


@dataclass(frozen=True, slots=True)
class InService:
    """The version that scores. ``since``: None for a base that nobody chose. ``refused``: the pointer that ought to count,
    where its version could not be opened.
    """

    version: StoredVersion
    since: datetime | None
    refused: StoredActivation | None = None


def list_with_base(session: Session, base: StoredVersion | None) -> list[StoredVersion]:
    """All versions, latest first, and the base, kept already or not."""
    versions = list_versions(session)
    if base is None or any(version.sha256 == base.sha256 for version in versions):
        return versions
    return sorted([*versions, base], key=lambda version: version.created, reverse=True)


def find_in_service(session: Session, base: StoredVersion | None) -> InService | None:
    """What scores now; None only where there are no weights at all. Where the version that was put in service last cannot
    be opened, the one before it goes on.
    """
    active = find_active(session)
    if active is None:
        return InService(base, None) if base else None
    refused = list_refused(session, active)
    if active.sha256 not in refused:
        return _to_service(session, active)
    for row in list_activations(session):
        if row.id < active.id and row.reason != REFUSED and row.sha256 not in refused:
            return _to_service(session, row, active)
    return InService(base, None, active) if base else _to_service(session, active)


def _to_service(session: Session, row: StoredActivation, refused: StoredActivation | None = None) -> InService | None:
    version = find_version(session, row.sha256)
    return InService(version, row.at, refused) if version else None
