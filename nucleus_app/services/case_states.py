"""Cases as JSON types, for the page: whole, and in brief for the list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from db.cases import StoredCase, StoredSignOff, list_case_records, list_sign_offs
from db.engine import session_scope
from db.images import StoredImage, list_images_of
from nucleus_app.domain.protocols import CaseScore, score_case
from nucleus_app.domain.scores import CountedField
from nucleus_app.domain.sheet import FieldPlan, sheet_to_mapping
from nucleus_app.reports.case_report import CaseReport, FieldReport
from nucleus_app.services.casework import CaseDesk, CaseView
from nucleus_app.services.memory import Memory
from nucleus_app.services.scored_images import NEEDS_PIXEL_SIZE, ScoredImage, find_results
from nucleus_app.services.workplace import Workplace

Mapping = dict[str, Any]
_SCORE, _FIELD = TypeAdapter(CaseScore), TypeAdapter(FieldReport)
KEPT_BRIEFS = 2000


def state_to_mapping(view: CaseView, report: CaseReport) -> Mapping:
    """``CaseState`` of decision 0009. ``report`` is what :meth:`CaseDesk.summarise` makes of the view."""
    return {
        "id": view.case.id,
        "rev": view.case.rev,
        "revision": view.revision,
        "sheet": sheet_to_mapping(report.sheet),
        "images": [_image_to_mapping(view, image) for image in view.images],
        "score": _SCORE.dump_python(report.score, mode="json") | {"sparse": report.score.is_sparse},
        "fields": [_FIELD.dump_python(field, mode="json", exclude={"nuclei"}) for field in report.fields],
        "warnings": list(report.warnings),
        "digest": view.digest,
        "signature": _signature_to_mapping(view.last, report),
        "rule": {"title": report.rule.title, "text": report.rule.text, "cutoffs": list(report.rule.cutoffs)},
        "busy": view.is_busy,
    }


def _image_to_mapping(view: CaseView, image: StoredImage) -> Mapping:
    scoring = view.scorings.get(image.id)
    size = scoring.pixel_size if scoring else image.pixel_size
    return {
        "id": image.id,
        "label": image.label,
        "width_px": image.width_px,
        "height_px": image.height_px,
        "mpp": size.mpp if size else None,
        "state": scoring.state.value if scoring else NEEDS_PIXEL_SIZE,
        "blob": image.blob[:12],
        "slide": view.cuts[image.id].slide_id if image.id in view.cuts else None,
    }


def _signature_to_mapping(last: StoredSignOff | None, report: CaseReport) -> Mapping | None:
    if last is None or not last.is_signed:
        return None
    return {
        "revision": last.revision, "reader": last.reader, "at": last.at.isoformat(timespec="seconds"),
        "reason": report.reopened.reason if report.reopened else "", "sha256": last.report,
    }  # fmt: skip


class CaseList:
    """The cases of a list of images, in brief."""

    def __init__(self, workplace: Workplace, desk: CaseDesk) -> None:
        self._workplace = workplace
        self._desk = desk
        self._briefs: Memory[Mapping] = Memory(KEPT_BRIEFS)

    def list_briefs(self, images: Iterable[ScoredImage]) -> list[Mapping]:
        """``Brief`` of decision 0009 for each case that these images belong to, in their order."""
        by_case: dict[int, list[ScoredImage]] = defaultdict(list)
        for image in images:
            by_case[image.image.case_id].append(image)
        with session_scope(self._workplace.engine) as session:
            cases = list_case_records(session, list(by_case))
            last = list_sign_offs(session, list(by_case))
            far = _find_far(session, cases.values(), by_case)
        return [self._brief(cases[id_], last.get(id_), own, far.get(id_, [])) for id_, own in by_case.items()]

    def _brief(
        self, case: StoredCase, last: StoredSignOff | None, listed: list[ScoredImage], far: list[ScoredImage]
    ) -> Mapping:
        if last is not None and last.is_signed:
            return _to_brief(case, listed, "signed", last.shown, last.class_name)

        def score() -> Mapping:
            made = self._score(case, [*listed, *far])
            return _to_brief(case, listed, "open", made.primary.shown if made.primary else None, made.class_name)

        images = [(c.image.id, c.scoring and c.scoring.id, c.state, c.review and c.review.rev) for c in [*listed, *far]]
        return self._briefs.get((case.id, case.rev, tuple(images)), score)

    def _score(self, case: StoredCase, images: list[ScoredImage]) -> CaseScore:
        if any(field.box for field in case.sheet.fields):
            return self._desk.summarise(self._desk.view(case.id)).score
        by_id = {c.image.id: c for c in images}  # whole images need no nuclei, and a list has hundreds of cases
        plans = [plan for plan in case.sheet.fields if plan.image in by_id]
        return score_case(case.sheet, [_count_whole(by_id[plan.image], plan) for plan in plans])


def _find_far(
    session: Session, cases: Iterable[StoredCase], listed: dict[int, list[ScoredImage]]
) -> dict[int, list[ScoredImage]]:
    """Images in the fields of these cases that are too old to be listed."""
    ids = {case.id: {f.image for f in case.sheet.fields} - {c.image.id for c in listed[case.id]} for case in cases}
    wanted = [id_ for id_, missing in ids.items() if missing]
    found: dict[int, list[ScoredImage]] = defaultdict(list)
    if not wanted:  # as nearly always, and the page asks often
        return found
    for image in find_results(session, [i for i in list_images_of(session, wanted) if i.id in ids[i.case_id]]):
        found[image.image.case_id].append(image)
    return found


def _count_whole(image: ScoredImage, plan: FieldPlan) -> CountedField:
    counted = image.tally is not None and not image.is_refused
    return CountedField(plan.name, plan.role, image.tally.counts if counted and image.tally else None, None)


def _to_brief(
    case: StoredCase, images: list[ScoredImage], state: str, shown: str | None, class_name: str | None
) -> Mapping:
    return {
        "id": case.id, "label": case.sheet.label, "rev": case.rev, "protocol": case.sheet.protocol.value,
        "images": [c.image.id for c in images], "state": state, "shown": shown, "class_name": class_name,
    }  # fmt: skip
