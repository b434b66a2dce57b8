"""An image that is scored again keeps its corrections."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from db.edits import LoggedEdit, append_edits, find_review, list_edits, put_review
from db.scorings import StoredScoring, find_result_before, get_scoring
from nucleus_app.domain.carry import carry_over
from nucleus_app.domain.edits import SignedEdit, edit_to_mapping
from nucleus_app.domain.qupath import IMPORT_NAME
from nucleus_app.services.reviews import open_review

CARRIED = "carried-"
"""So begins what stands in the place of the sender of an edit that was carried over."""


def carry_corrections(session: Session, scoring_id: int, now: datetime) -> int:
    """Begin a finished scoring's log with what was corrected in an earlier one; returns how many edits that took.

    Belongs into the transaction that finishes the scoring: then it happens once.
    """
    scoring = get_scoring(session, scoring_id)
    before = _list_corrected(session, scoring)
    if not before or scoring.is_refused:
        return 0
    new = open_review(session, scoring)
    readers = {logged.author: logged.reader for each in before for logged in list_edits(session, each.id, 0)}
    carried: list[LoggedEdit] = []
    old = [open_review(session, each).review for each in before]
    for seq, (author, edit) in enumerate(carry_over(old, new.review.candidates, scoring.pixel_size.mpp), 1):
        client = f"{CARRIED}{before[-1].id}-{author}"[:64]
        was = new.review.apply(SignedEdit(client, seq, author, edit))
        op = edit_to_mapping(edit)
        carried.append(LoggedEdit(new.review.rev, client, seq, author, readers.get(author, ""), now, op, was))
    if carried:
        append_edits(session, scoring_id, carried)
        put_review(session, scoring_id, new.review.rev, new.review.tally, now)
    return len(carried)


def _list_corrected(session: Session, scoring: StoredScoring) -> list[StoredScoring]:
    """The last earlier result of the network that was corrected, and the imports since that were, earliest first. Results
    in between may have been refused for a mistyped pixel size. An import begins without what was corrected before it, so
    that alone it would not be all that was said.
    """
    corrected: list[StoredScoring] = []
    before = find_result_before(session, scoring.id)
    while before is not None:
        if find_review(session, before.id) is not None:
            corrected.insert(0, before)
            if before.version is None or before.version.name != IMPORT_NAME:
                break
        before = find_result_before(session, before.id)
    return corrected
