from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from db.edits import StoredReview
from db.engine import session_scope
from db.learning_cases import list_splits
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.reviewed import Tally
from nucleus_app.domain.split import Split, assign_split
from nucleus_app.errors import InvalidCase, SignedOff, StaleRevision
from nucleus_app.services.intake import score_at
from nucleus_app.services.qupath import import_annotations
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.sheets import move_images
from nucleus_app.services.signing import reopen, sign_off
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from tests.conftest import OpenWorkplace
from tests.services.casefolder import POINT, Folder
from tests.services.reviewing import add_image, add_scoring, body, reclass

NONE = StoredReview(0, Tally.untouched(Counts(0, 0, 0)), datetime(2026, 1, 1, tzinfo=UTC))


def test_a_signed_case_is_frozen_under_one_hash(case: Folder, image_id: int, scoring_id: int) -> None:
    case.change(specimen="pancreas")
    sha256 = case.sign("Dr. Å  Ω")
    report, signed = case.desk.report(case.id)
    assert signed == sha256 == hashlib.sha256(case.desk.freeze(case.id)).hexdigest()
    assert (report.signature.reader, report.revision, report.sheet.specimen) == ("Dr. Å Ω", 1, "pancreas")
    assert len(report.fields[0].nuclei) == 4
    for change in (
        lambda: case.reviews.take_edits(scoring_id, body(reclass(0, c=1))),
        lambda: score_at(case.workplace, image_id, 0.5),
        lambda: case.change(specimen="liver"),
        lambda: move_images(case.workplace, case.id, case.rev, "", [image_id]),
        lambda: case.sign("Dr. B"),
        lambda: import_annotations(case.workplace, image_id, POINT, {"Positive": "positive"}, "Dr. B"),
    ):
        with pytest.raises(SignedOff, match=r"signed off by Dr\. Å Ω"):
            change()
    assert case.desk.report(case.id) == (report, sha256)
    assert case.state()["signature"]["sha256"] == sha256


def test_a_reopened_case_is_the_next_revision_and_says_why(case: Folder, scoring_id: int) -> None:
    first = case.sign()
    with pytest.raises(InvalidCase, match="needs a name"):
        reopen(case.workplace, case.id, " ", "why")
    with pytest.raises(InvalidCase, match="needs a reason"):
        reopen(case.workplace, case.id, "Dr. B", "  ")
    reopen(case.workplace, case.id, "Dr. B", "lymphocytes were counted")
    assert case.state()["signature"] is None
    case.reviews.take_edits(scoring_id, body(reclass(0, c=1)))
    second = case.sign("Dr. B")
    report, _ = case.desk.report(case.id)
    assert (report.revision, report.reopened.reader, report.reopened.reason) == (2, "Dr. B", "lymphocytes were counted")
    assert second != first
    assert case.workplace.blobs.get(first)  # what was signed first is kept
    with pytest.raises(StaleRevision, match="not signed"):
        Folder(case.workplace, case.id) and reopen_twice(case)


def test_a_case_teaches_from_its_first_signature_on_and_stays_on_its_side(case: Folder, scoring_id: int) -> None:
    def sides() -> dict[int, Split]:
        with session_scope(case.workplace.engine) as session:
            return list_splits(session, [case.id])

    with pytest.raises(StaleRevision):
        sign_off(case.workplace, case.id, "another digest", "Dr. A")
    assert sides() == {}
    case.sign()
    first = sides()
    assert first == {case.id: assign_split(0)}
    reopen(case.workplace, case.id, "Dr. B", "a recount")
    case.reviews.take_edits(scoring_id, body(reclass(0, c=1)))
    case.sign()
    assert sides() == first


def test_a_case_of_nothing_but_fields_that_the_app_drew_takes_no_side(case: Folder) -> None:
    with session_scope(case.workplace.engine, write=True) as session:
        session.execute(text("UPDATE image SET is_synthetic = true"))
    case.sign()
    with session_scope(case.workplace.engine) as session:
        assert list_splits(session) == {}


def reopen_twice(case: Folder) -> None:
    reopen(case.workplace, case.id, "Dr. B", "a")
    reopen(case.workplace, case.id, "Dr. B", "b")


def test_what_is_signed_is_what_was_seen(case: Folder, scoring_id: int) -> None:
    seen = case.desk.view(case.id).digest
    case.reviews.take_edits(scoring_id, body(reclass(0, c=1)))
    with pytest.raises(StaleRevision, match="has changed"):
        sign_off(case.workplace, case.id, seen, "Dr. A")
    with pytest.raises(InvalidCase, match="name"):
        sign_off(case.workplace, case.id, case.desk.view(case.id).digest, " ")
    assert case.state()["signature"] is None


def test_a_case_that_is_being_scored_or_has_no_score_cannot_be_signed(
    workplace: Workplace, case: Folder, image_id: int
) -> None:
    case.change(fields=[])
    with pytest.raises(InvalidCase, match="no field yet"):
        case.sign()
    score_at(workplace, image_id, 0.4)
    with pytest.raises(StaleRevision, match="still being scored"):
        case.sign()


def test_of_two_readers_who_sign_while_a_third_corrects_one_signs_and_all_is_in_it_or_refused(
    database_url: str, settings: Settings, open_at: OpenWorkplace, tmp_path: Path
) -> None:
    workplace = open_at(settings, database_url=database_url)
    image_id = add_image(workplace, tmp_path)
    scoring_id = add_scoring(workplace, image_id)
    case = Folder(workplace, get_scored_image(workplace, image_id).image.case_id)
    outcomes: list[str] = []

    def try_to(do: Callable[[], object], name: str) -> None:
        try:
            do()
            outcomes.append(name)
        except (SignedOff, StaleRevision) as error:
            outcomes.append(type(error).__name__)

    def correct() -> None:
        for n in range(20):
            op = reclass(0, c=n % 2)
            try_to(lambda op=op, n=n: ReviewDesk(workplace).take_edits(scoring_id, body(op, first=n + 1)), "corrected")

    def sign(reader: str) -> None:
        while "SignedOff" not in outcomes:  # until somebody has signed
            digest = case.desk.view(case.id).digest
            try_to(lambda digest=digest: sign_off(workplace, case.id, digest, reader), f"signed by {reader}")

    threads = [threading.Thread(target=correct), *(threading.Thread(target=sign, args=(r,)) for r in ("A", "B"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    signed = [outcome for outcome in outcomes if outcome.startswith("signed")]
    report, _ = case.desk.report(case.id)
    assert signed == [f"signed by {report.signature.reader}"]
    assert report.edits == outcomes.count("corrected") == case.desk.view(case.id).reviews.get(scoring_id, NONE).rev
    workplace.engine.dispose()
