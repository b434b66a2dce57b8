"""Signing a case off, and reopening it."""

from __future__ import annotations

from datetime import UTC, datetime

from db.cases import FrozenReport, add_reopening, add_sign_off, lock_case
from db.engine import session_scope
from db.learning_cases import learn_from
from db.scorings import lock_scoring
from nucleus_app.domain.line import to_line
from nucleus_app.errors import InvalidCase, StaleRevision
from nucleus_app.reports.case_report import Signature, report_to_json
from nucleus_app.services.casework import assemble, view_case
from nucleus_app.services.locks import lock_open_case
from nucleus_app.services.records import record_review
from nucleus_app.services.reviews import open_review
from nucleus_app.services.submissions import MAX_READER
from nucleus_app.services.workplace import Workplace

MAX_REASON = 1000


def sign_off(workplace: Workplace, case_id: int, digest: str, reader: str) -> str:
    """Freeze a case as its reader saw it, ``digest`` says what that was; returns the SHA-256 of the frozen report.

    Raises NotFound; InvalidCase without a reader's name, or where there is nothing to sign; StaleRevision when the case is
    no longer what was seen, or an image is being scored; SignedOff when another reader was first.
    """
    name = to_line(reader, MAX_READER)
    if not name:
        raise InvalidCase("A signature needs a name: give yours in the field Reader.")
    now = datetime.now(UTC)
    with session_scope(workplace.engine) as session:  # a large case takes a while, and nobody must wait for that
        seen = view_case(session, case_id)
        signature = Signature(name, now.isoformat(timespec="seconds"))
        report = assemble(seen, lambda s: record_review(open_review(session, s)), now, signature)
    content, score = report_to_json(report), report.score
    with session_scope(workplace.engine, write=True) as session:
        lock_open_case(session, case_id)
        for scoring in sorted(seen.scorings.values(), key=lambda s: s.id):
            lock_scoring(session, scoring.id)  # corrections wait, and are refused once it is signed
        view = view_case(session, case_id)
        if view.is_busy:
            raise StaleRevision("An image of this case is still being scored: wait for it, look at it, then sign.")
        if not view.digest == seen.digest == digest:
            raise StaleRevision("The case has changed since this window showed it: look at it again, then sign.")
        if score.primary is None:
            raise InvalidCase(f"There is no score to sign. {score.missing}")
        frozen = workplace.blobs.put(content)
        shown = FrozenReport(frozen, score.primary.shown, score.class_name)
        add_sign_off(session, case_id, view.revision, name, now, shown)
        if any(not image.is_synthetic for image in view.images):  # the app's own drawings teach nothing
            learn_from(session, case_id, now)
    return frozen


def reopen(workplace: Workplace, case_id: int, reader: str, reason: str) -> None:
    """Make a signed case changeable as its next revision. What was signed is kept.

    Raises NotFound; InvalidCase without a reason or a reader's name; StaleRevision for a case that is not signed.
    """
    why, name = to_line(reason, MAX_REASON), to_line(reader, MAX_READER)
    if not name:
        raise InvalidCase("Reopening needs a name: give yours in the field Reader.")
    if not why:
        raise InvalidCase("Reopening needs a reason: it stands in the next report.")
    with session_scope(workplace.engine, write=True) as session:
        lock_case(session, case_id)
        view = view_case(session, case_id)
        if not view.is_signed:
            raise StaleRevision("This case is not signed (any more): there is nothing to reopen.")
        add_reopening(session, case_id, view.revision + 1, name, why, datetime.now(UTC))
