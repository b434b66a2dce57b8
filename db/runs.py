"""Store of training runs: one open at a time, held by one trainer, with what each state made. Functions never commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.cases import SIGNED
from db.tables import CaseRow, ImageRow, RunEventRow, RunRow, SignOffRow, TrainerRow
from nucleus_app.domain.learning import RunState, Trigger, Verdict, parse_verdict, verdict_to_mapping
from nucleus_app.errors import LostRun, NotFound, StaleRevision

STILL_OPEN = "A training run is still open: wait until it is done, or cancel it, then start another."


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A training run. ``last_sign_off``: the newest signature that it has seen. ``snapshot``: the blob with everything it
    used. ``beat`` goes up for as long as its holder lives.
    """

    id: int
    state: RunState
    trigger: Trigger
    requested_by: str
    queued: datetime
    started: datetime | None
    finished: datetime | None
    holder: str | None
    beat: int
    last_sign_off: int
    snapshot: str | None
    start_sha256: str | None
    candidate_sha256: str | None
    verdict: Verdict | None
    error: str | None
    is_cancelled: bool
    summary: dict[str, Any]
    device: str | None


@dataclass(frozen=True, slots=True)
class StoredTrainer:
    """What a trainer said last of itself, and when."""

    slot: str
    doing: str
    at: datetime


def request_run(session: Session, trigger: Trigger, requested_by: str, now: datetime, last_sign_off: int) -> int:
    """A new run, queued; returns its id. Raises StaleRevision while one is open, also one that is asked for this moment."""
    row = RunRow(
        state=RunState.QUEUED.value, is_open=True, cause=trigger.value, requested_by=requested_by, queued=now, beat=0,
        last_sign_off=last_sign_off, is_cancelled=False, summary={},
    )  # fmt: skip
    if find_open_run(session) is not None:
        raise StaleRevision(STILL_OPEN)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise StaleRevision(STILL_OPEN) from error
    return row.id


def find_open_run(session: Session) -> StoredRun | None:
    row = session.scalars(select(RunRow).where(RunRow.is_open.is_(True))).first()
    return _stored(row) if row else None


def get_run(session: Session, run_id: int) -> StoredRun:
    """Raises NotFound."""
    row = session.get(RunRow, run_id)
    if row is None:
        raise NotFound(f"There is no training run {run_id}.")
    return _stored(row)


def list_runs(session: Session, limit: int) -> list[StoredRun]:
    """The latest runs, latest first."""
    return [_stored(row) for row in session.scalars(select(RunRow).order_by(RunRow.id.desc()).limit(limit))]


def take_run(session: Session, run_id: int, holder: str, seen_beat: int) -> StoredRun | None:
    """Become the holder of an open run: one's own again, or one whose beat is still ``seen_beat``, so that of two trainers
    that wait for a third to be gone one gets it. None where it beats, or is over. Raises NotFound.
    """
    row = _lock(session, run_id)
    if not row.is_open or (row.holder != holder and row.beat != seen_beat):
        return None
    row.holder, row.beat = holder, row.beat + 1
    session.flush()
    return _stored(row)


def beat_run(session: Session, run_id: int, holder: str) -> StoredRun:
    """Say that the holder lives; a run that is over stays as it is. Raises LostRun when another holds it; NotFound."""
    row = _lock_own(session, run_id, holder)
    if row.is_open:
        row.beat += 1
        session.flush()
    return _stored(row)


def advance_run(
    session: Session,
    run_id: int,
    holder: str,
    state: RunState,
    now: datetime,
    *,
    snapshot: str | None = None,
    start_sha256: str | None = None,
    candidate_sha256: str | None = None,
    verdict: Verdict | None = None,
    error: str | None = None,
    summary: dict[str, Any] | None = None,
    device: str | None = None,
    last_sign_off: int | None = None,
) -> StoredRun:
    """Note that a run reached ``state``, and what the one before made; None leaves as it was, ``summary`` adds its entries.

    Returns the run as it stands: of one that was cancelled every state that is not final is ``cancelled``, and one that
    is over stays as it is. Raises LostRun when another holds it; NotFound.
    """
    row = _lock_own(session, run_id, holder)
    if not row.is_open:
        return _stored(row)
    made = {
        "snapshot": snapshot, "start_sha256": start_sha256, "candidate_sha256": candidate_sha256,
        "verdict": verdict_to_mapping(verdict) if verdict else None, "error": error[:1000] if error else None,
        "summary": row.summary | summary if summary else None, "device": device, "last_sign_off": last_sign_off,
    }  # fmt: skip
    for name, value in made.items():
        if value is not None:
            setattr(row, name, value)
    _set_state(row, RunState.CANCELLED if row.is_cancelled and state.is_open else state, now)
    row.beat += 1
    session.flush()
    return _stored(row)


def cancel_run(session: Session, run_id: int, now: datetime | None = None) -> StoredRun:
    """Have an open run stop: at once while it is queued, else when its holder next looks. One that is over stays as it is.
    ``now``: default this moment. Raises NotFound.
    """
    row = _lock(session, run_id)
    if row.is_open:
        row.is_cancelled = True
        if row.state == RunState.QUEUED.value:
            _set_state(row, RunState.CANCELLED, now or datetime.now(UTC))
        session.flush()
    return _stored(row)


def add_event(session: Session, run_id: int, event: dict[str, Any], now: datetime) -> None:
    """Add to what happened in a run."""
    session.add(RunEventRow(run_id=run_id, at=now, event=event))
    session.flush()


def list_events(session: Session, run_id: int) -> list[dict[str, Any]]:
    """What happened in a run, in order, as JSON types."""
    return list(session.scalars(select(RunEventRow.event).where(RunEventRow.run_id == run_id).order_by(RunEventRow.id)))


def note_trainer(session: Session, slot: str, doing: str, now: datetime) -> None:
    """Keep what a trainer says of itself."""
    session.merge(TrainerRow(slot=slot, doing=doing[:200], at=now))


def list_trainers(session: Session) -> list[StoredTrainer]:
    """Every trainer that ever said something, the latest first."""
    rows = session.scalars(select(TrainerRow).order_by(TrainerRow.at.desc()))
    return [StoredTrainer(row.slot, row.doing, row.at) for row in rows]


def find_newest_sign_off(session: Session) -> int:
    """Id of the newest signature, 0 where nothing was ever signed."""
    return session.scalar(select(func.max(SignOffRow.id)).where(SignOffRow.kind == SIGNED)) or 0


def count_newly_signed_fields(session: Session, after: int) -> int:
    """Fields of the cases that are signed now, and were so after the signature ``after``; not those of images that the app
    drew itself, which teach nothing.
    """
    last = select(func.max(SignOffRow.id)).group_by(SignOffRow.case_id)
    newly = select(SignOffRow.case_id).where(SignOffRow.id.in_(last), SignOffRow.kind == SIGNED, SignOffRow.id > after)
    sheets = session.scalars(select(CaseRow.sheet).where(CaseRow.id.in_(newly)))
    drawn = set(session.scalars(select(ImageRow.id).where(ImageRow.is_synthetic)))
    return sum(field["image"] not in drawn for sheet in sheets for field in sheet.get("fields", []))


def _lock(session: Session, run_id: int) -> RunRow:
    """A run whose other writers wait until this transaction ends, as it stands now."""
    found = select(RunRow).where(RunRow.id == run_id).with_for_update().execution_options(populate_existing=True)
    row = session.scalars(found).first()
    if row is None:
        raise NotFound(f"There is no training run {run_id}.")
    return row


def _lock_own(session: Session, run_id: int, holder: str) -> RunRow:
    row = _lock(session, run_id)
    if row.holder != holder:
        raise LostRun(f"Training run {run_id} is held by {row.holder or 'nobody'}, not by {holder}: leave it alone.")
    return row


def _set_state(row: RunRow, state: RunState, now: datetime) -> None:
    row.state, row.is_open = state.value, True if state.is_open else None
    if state is not RunState.QUEUED:
        row.started = row.started or now
    if not state.is_open:
        row.finished = now


def _stored(row: RunRow) -> StoredRun:
    return StoredRun(
        row.id, RunState(row.state), Trigger(row.cause), row.requested_by, row.queued, row.started, row.finished,
        row.holder, row.beat, row.last_sign_off, row.snapshot, row.start_sha256, row.candidate_sha256,
        parse_verdict(row.verdict) if row.verdict else None, row.error, row.is_cancelled, row.summary, row.device,
    )  # fmt: skip
