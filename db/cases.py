"""Store of cases: their sheets with every revision, and who signed what. Functions never commit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import CaseChangeRow, CaseRow, SignOffRow
from nucleus_app.domain.sheet import CaseSheet, parse_sheet, sheet_to_mapping
from nucleus_app.errors import NotFound

SIGNED, REOPENED = "signed", "reopened"


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case with its sheet as of ``rev``."""

    id: int
    rev: int
    sheet: CaseSheet
    created: datetime


@dataclass(frozen=True, slots=True)
class StoredSignOff:
    """The last thing that happened to a case's signature. ``report``: SHA-256 of the frozen report, None when reopened."""

    case_id: int
    revision: int
    is_signed: bool
    reader: str
    reason: str
    at: datetime
    report: str | None
    shown: str | None = None
    class_name: str | None = None


@dataclass(frozen=True, slots=True)
class FrozenReport:
    """What a signature is for: SHA-256 of the frozen report, and its index and class as a list shows them."""

    sha256: str
    shown: str
    class_name: str | None


def add_case(session: Session, sheet: CaseSheet, now: datetime, reader: str = "") -> StoredCase:
    """A new case. One without a label gets a pseudonym, so that no file's name stands for a patient."""
    row = CaseRow(rev=0, sheet={}, created=now)
    session.add(row)
    session.flush()
    sheet = sheet if sheet.label else replace(sheet, label=pseudonym(row.id))
    _keep(session, row, sheet, reader, now)
    return _stored(row)


def pseudonym(case_id: int) -> str:
    """What a case is called until a person names it."""
    return f"Case {case_id}"


def get_case_record(session: Session, case_id: int) -> StoredCase:
    """Raises NotFound."""
    return _stored(_get_row(session, case_id))


def lock_case(session: Session, case_id: int) -> StoredCase:
    """A case whose other writers wait until this transaction ends. Raises NotFound."""
    session.execute(select(CaseRow.id).where(CaseRow.id == case_id).with_for_update())
    return get_case_record(session, case_id)


def list_case_records(session: Session, case_ids: list[int]) -> dict[int, StoredCase]:
    return {row.id: _stored(row) for row in session.scalars(select(CaseRow).where(CaseRow.id.in_(case_ids)))}


def list_labels(session: Session) -> dict[int, str]:
    """What persons call each case that there is; nothing where only the store named it."""
    labels = {id_: str(sheet["label"]) for id_, sheet in session.execute(select(CaseRow.id, CaseRow.sheet))}
    return {id_: "" if label == pseudonym(id_) else label for id_, label in labels.items()}


def list_images_ever(session: Session) -> dict[int, set[int]]:
    """The images that each case ever held in a field, by every revision of its sheet: they may have been moved since."""
    held: defaultdict[int, set[int]] = defaultdict(set)
    for case_id, sheet in session.execute(select(CaseChangeRow.case_id, CaseChangeRow.sheet)):
        held[case_id].update(field["image"] for field in sheet.get("fields", ()))
    return dict(held)


def find_sheet_before(session: Session, case_id: int, moment: datetime) -> CaseSheet | None:
    """A case's sheet as it was right before a moment."""
    earlier = select(CaseChangeRow.sheet).where(CaseChangeRow.case_id == case_id, CaseChangeRow.at < moment)
    sheet = session.scalar(earlier.order_by(CaseChangeRow.rev.desc()).limit(1))
    return parse_sheet(sheet) if sheet is not None else None


def change_sheet(session: Session, case_id: int, sheet: CaseSheet, reader: str, now: datetime) -> StoredCase:
    """The next revision of a case's sheet. The case must be locked. Raises NotFound."""
    row = _get_row(session, case_id)
    _keep(session, row, sheet, reader, now)
    return _stored(row)


def add_sign_off(
    session: Session, case_id: int, revision: int, reader: str, now: datetime, frozen: FrozenReport
) -> None:
    """Note that a revision was signed. The case must be locked."""
    session.add(
        SignOffRow(
            case_id=case_id, revision=revision, kind=SIGNED, reader=reader, reason="", at=now, report=frozen.sha256,
            shown=frozen.shown, class_name=frozen.class_name,
        )
    )  # fmt: skip
    session.flush()


def add_reopening(session: Session, case_id: int, revision: int, reader: str, reason: str, now: datetime) -> None:
    """Note that a case was reopened as ``revision``. The case must be locked."""
    session.add(
        SignOffRow(case_id=case_id, revision=revision, kind=REOPENED, reader=reader, reason=reason, at=now, report=None)
    )
    session.flush()


def list_sign_offs(session: Session, case_ids: list[int]) -> dict[int, StoredSignOff]:
    """What last happened to the signatures of those of the given cases that ever had one."""
    latest = select(func.max(SignOffRow.id)).where(SignOffRow.case_id.in_(case_ids)).group_by(SignOffRow.case_id)
    return {row.case_id: _sign_off(row) for row in session.scalars(select(SignOffRow).where(SignOffRow.id.in_(latest)))}


def find_sign_off(session: Session, case_id: int) -> StoredSignOff | None:
    return list_sign_offs(session, [case_id]).get(case_id)


def _keep(session: Session, row: CaseRow, sheet: CaseSheet, reader: str, now: datetime) -> None:
    row.rev, row.sheet = row.rev + 1, sheet_to_mapping(sheet)
    session.flush()
    session.add(CaseChangeRow(case_id=row.id, rev=row.rev, reader=reader, at=now, sheet=row.sheet))
    session.flush()


def _get_row(session: Session, case_id: int) -> CaseRow:
    row = session.get(CaseRow, case_id, populate_existing=True)
    if row is None:
        raise NotFound(f"There is no case {case_id}: choose one from the list.")
    return row


def _stored(row: CaseRow) -> StoredCase:
    return StoredCase(row.id, row.rev, parse_sheet(row.sheet), row.created)


def _sign_off(row: SignOffRow) -> StoredSignOff:
    return StoredSignOff(
        row.case_id,
        row.revision,
        row.kind == SIGNED,
        row.reader,
        row.reason,
        row.at,
        row.report,
        row.shown,
        row.class_name,
    )
