"""Store of versions and of which one is in service: an append-only pointer. Functions never commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine import take_turns
from db.tables import ActivationRow, VersionRow
from nucleus_app.errors import NotFound

PROMOTED, CHOSEN, REFUSED = "promoted", "chosen", "refused"
"""Why a row of ``activation`` was added: the gate promoted it, a person chose it, or a worker could not open it."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A set of weights; its file is the blob of that name. ``parent``: the version it was trained from. ``learned``: from
    what, as JSON types. ``run_id`` is None for weights that no run of this store made.
    """

    sha256: str
    name: str
    parent: str | None
    run_id: int | None
    created: datetime
    size_bytes: int
    learned: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredActivation:
    """One row of the pointer. A ``refused`` one says that the version could not be opened, and points nowhere."""

    id: int
    sha256: str
    actor: str
    reason: str
    at: datetime
    run_id: int | None


def add_version(session: Session, version: StoredVersion) -> None:
    """Keep a version. Again is fine: the first row stays as it is."""
    take_turns(session, VersionRow.__tablename__)
    if session.get(VersionRow, version.sha256) is None:
        session.add(
            VersionRow(
                sha256=version.sha256, name=version.name, parent=version.parent, run_id=version.run_id,
                created=version.created, size_bytes=version.size_bytes, learned=version.learned,
            )
        )  # fmt: skip
        session.flush()


def find_version(session: Session, sha256: str) -> StoredVersion | None:
    row = session.get(VersionRow, sha256)
    return _stored(row) if row else None


def list_versions(session: Session) -> list[StoredVersion]:
    """All versions, latest first."""
    return [_stored(row) for row in session.scalars(select(VersionRow).order_by(VersionRow.created.desc()))]


def activate(
    session: Session, sha256: str, actor: str, now: datetime, reason: str, run_id: int | None = None
) -> StoredActivation:
    """Add a row to the pointer: from now on this version is in service, unless ``reason`` is ``refused``.

    Raises NotFound for a version that is not there.
    """
    if session.get(VersionRow, sha256) is None:
        raise NotFound(f"There is no version {sha256[:12]}: choose one from the list.")
    row = ActivationRow(sha256=sha256, actor=actor, reason=reason, at=now, run_id=run_id)
    session.add(row)
    session.flush()
    return _activation(row)


def hold_active(session: Session) -> StoredActivation | None:
    """What is in service, and stays so until the end of this transaction unless it changes that itself."""
    take_turns(session, ActivationRow.__tablename__)
    return find_active(session)


def find_active(session: Session) -> StoredActivation | None:
    """What is in service; None while nothing was ever activated, so that the weights of the settings are."""
    pointers = select(ActivationRow).where(ActivationRow.reason != REFUSED).order_by(ActivationRow.id.desc())
    row = session.scalars(pointers.limit(1)).first()
    return _activation(row) if row else None


def list_activations(session: Session) -> list[StoredActivation]:
    """Every row, refusals included, latest first."""
    return [_activation(row) for row in session.scalars(select(ActivationRow).order_by(ActivationRow.id.desc()))]


def list_refused(session: Session, active: StoredActivation) -> set[str]:
    """The versions that could not be opened since this pointer was set: itself, or those before it that were tried."""
    since = select(ActivationRow.sha256).where(ActivationRow.id > active.id, ActivationRow.reason == REFUSED)
    return set(session.scalars(since))


def _stored(row: VersionRow) -> StoredVersion:
    return StoredVersion(row.sha256, row.name, row.parent, row.run_id, row.created, row.size_bytes, row.learned)


def _activation(row: ActivationRow) -> StoredActivation:
    return StoredActivation(row.id, row.sha256, row.actor, row.reason, row.at, row.run_id)
