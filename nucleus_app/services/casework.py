"""Reading a case: its sheet, the latest results of its images, and the report that follows from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from db.cases import StoredCase, StoredSignOff, find_sign_off, get_case_record
from db.edits import StoredReview, list_readers, list_reviews
from db.engine import session_scope
from db.images import StoredImage, list_images_of
from db.scorings import StoredScoring, list_latest_scorings
from db.slides import CutField, find_cuts_of
from nucleus_app import __version__
from nucleus_app.domain.rules import RULES
from nucleus_app.domain.sheet import CaseSheet, FieldPlan
from nucleus_app.reports.assembly import FieldImage, list_case_warnings, list_painted, report_field, score_fields
from nucleus_app.reports.case_report import (
    FORMAT,
    CaseReport,
    FieldReport,
    Reopening,
    Signature,
    SlidePlace,
    json_to_report,
    report_to_json,
)
from nucleus_app.reports.record import ImageRecord
from nucleus_app.services.memory import Memory
from nucleus_app.services.records import record_review
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.workplace import Workplace

KEPT_FIELDS, KEPT_FROZEN = 5000, 500


@dataclass(frozen=True, slots=True)
class CaseView:
    """All that the database says of a case at one moment, but for nuclei."""

    case: StoredCase
    last: StoredSignOff | None
    images: tuple[StoredImage, ...]
    scorings: dict[int, StoredScoring]
    reviews: dict[int, StoredReview]
    readers: tuple[str, ...]
    cuts: dict[int, CutField]
    """How images were cut out of slides."""

    @property
    def is_signed(self) -> bool:
        return self.last is not None and self.last.is_signed

    @property
    def revision(self) -> int:
        """1, and one more for each time the case was reopened."""
        return self.last.revision if self.last else 1

    @property
    def reopened(self) -> Reopening | None:
        """How this revision began."""
        if self.last is None or self.last.is_signed:
            return None
        return Reopening(self.last.reader, self.last.at.isoformat(timespec="seconds"), self.last.reason)

    @property
    def is_busy(self) -> bool:
        return any(scoring.is_open for scoring in self.scorings.values())

    @property
    def digest(self) -> str:
        """Changes with anything that a reader could have seen otherwise."""
        seen = [
            (image.id, s.id, s.state.value, self.rev_of(s)) if s else (image.id,)
            for image in self.images
            for s in [self.scorings.get(image.id)]
        ]
        return hashlib.sha256(repr((self.case.id, self.case.rev, self.revision, seen)).encode()).hexdigest()[:16]

    def rev_of(self, scoring: StoredScoring) -> int:
        review = self.reviews.get(scoring.id)
        return review.rev if review else 0


def view_case(session: Session, case_id: int) -> CaseView:
    """Raises NotFound."""
    case = get_case_record(session, case_id)
    images = list_images_of(session, [case_id])
    scorings = list_latest_scorings(session, [image.id for image in images])
    ids = [scoring.id for scoring in scorings.values()]
    return CaseView(
        case, find_sign_off(session, case_id), tuple(images), scorings, list_reviews(session, ids),
        tuple(list_readers(session, ids)), find_cuts_of(session, [image.id for image in images]),
    )  # fmt: skip


ReadRecord = Callable[[StoredScoring], ImageRecord]


def assemble(view: CaseView, read_record: ReadRecord, now: datetime, signature: Signature | None = None) -> CaseReport:
    """The report of a case as it stands, nuclei included."""
    images = _list_field_images(view, read_record)
    sheet = view.case.sheet
    fields = tuple(
        report_field(plan, images[plan.image], number=n)
        for n, plan in enumerate(sheet.fields, 1)
        if plan.image in images
    )
    painted = tuple(area for image in images.values() for area in list_painted(image))
    return replace(_finish(view, sheet, fields, tuple(images.values()), now, signature), painted=painted)


def _finish(
    view: CaseView,
    sheet: CaseSheet,
    fields: tuple[FieldReport, ...],
    images: tuple[FieldImage, ...],
    now: datetime,
    signature: Signature | None,
) -> CaseReport:
    score = score_fields(sheet, fields)
    return CaseReport(
        format=FORMAT,
        case_id=view.case.id,
        revision=view.revision,
        reopened=view.reopened,
        sheet=sheet,
        rule=RULES[sheet.protocol],
        score=score,
        fields=fields,
        warnings=list_case_warnings(sheet, score, fields, images),
        edits=sum(review.rev for review in view.reviews.values()),
        readers=view.readers,
        app_version=__version__,
        made=now.isoformat(timespec="seconds"),
        signature=signature,
    )


def _list_field_images(view: CaseView, read_record: ReadRecord | None) -> dict[int, FieldImage]:
    """``read_record`` None leaves the results out. Images are numbered, not named: a label may be a file's name, and reports
    travel.
    """
    images = {}
    for number, image in enumerate(view.images, 1):
        scoring = view.scorings.get(image.id)
        size = scoring.pixel_size if scoring else image.pixel_size
        record = read_record(scoring) if read_record and scoring and scoring.version else None
        cut = view.cuts.get(image.id)
        images[image.id] = FieldImage(
            image.id, f"Image {number}", image.sha256, image.blob, image.width_px, image.height_px,
            size.mpp if size else None, size.source if size else "", record,
            SlidePlace(cut.slide_id, *cut.box[:2], *cut.slide_size_px, cut.overview) if cut else None,
        )  # fmt: skip
    return images


class CaseDesk:
    """Reads cases for pages and downloads. What it remembers is keyed by everything it follows from."""

    def __init__(self, workplace: Workplace, desk: ReviewDesk) -> None:
        self._workplace = workplace
        self._desk = desk
        self._fields: Memory[FieldReport] = Memory(KEPT_FIELDS)
        self._frozen: Memory[CaseReport] = Memory(KEPT_FROZEN)

    def view(self, case_id: int) -> CaseView:
        """Raises NotFound."""
        with session_scope(self._workplace.engine) as session:
            return view_case(session, case_id)

    def summarise(self, view: CaseView) -> CaseReport:
        """The report without nuclei: the frozen one of a signed case, else as it stands."""
        if view.last is not None and view.last.report:
            frozen = view.last.report
            return self._frozen.get(frozen, lambda: json_to_report(self._workplace.blobs.get(frozen)).without_nuclei())
        return self.stand(view)

    def stand(self, view: CaseView) -> CaseReport:
        """The report without nuclei as the case stands now, signed or not."""
        images = _list_field_images(view, None)
        sheet = view.case.sheet
        fields = tuple(
            self._field(view, plan, images[plan.image], n)
            for n, plan in enumerate(sheet.fields, 1)
            if plan.image in images
        )
        return _finish(view, sheet, fields, tuple(images.values()), datetime.now(UTC), None)

    def report(self, case_id: int) -> tuple[CaseReport, str | None]:
        """The whole report, and the hash that was signed; None for a draft. Raises NotFound."""
        view = self.view(case_id)
        if view.last is not None and view.last.report:
            return json_to_report(self._workplace.blobs.get(view.last.report)), view.last.report
        return assemble(view, self._read_record, datetime.now(UTC)), None

    def freeze(self, case_id: int) -> bytes:
        """The report as JSON: of a signed case the very bytes whose hash was signed. Raises NotFound."""
        view = self.view(case_id)
        if view.last is not None and view.last.report:
            return self._workplace.blobs.get(view.last.report)
        return report_to_json(assemble(view, self._read_record, datetime.now(UTC)))

    def _read_record(self, scoring: StoredScoring) -> ImageRecord:
        return self._desk.look(scoring.id, record_review)

    def _field(self, view: CaseView, plan: FieldPlan, image: FieldImage, number: int) -> FieldReport:
        scoring = view.scorings.get(image.id)

        def count() -> FieldReport:
            record = self._read_record(scoring) if scoring and scoring.version else None
            return report_field(plan, replace(image, record=record), number=number, with_nuclei=False)

        state = (scoring.id, scoring.state, view.rev_of(scoring)) if scoring else None
        return self._fields.get((state, plan, image, number), count)
