"""Cases as JSON types, for the page: whole, and in brief for the list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from db.cases import StoredCase, StoredSignOff, list_case_records, list_sign_offs
from db.engine import session_scope
from db.images import StoredImage
from nucleus_app.domain.protocols import CaseScore, score_case
from nucleus_app.domain.scores import CountedField
from nucleus_app.domain.sheet import FieldPlan, sheet_to_mapping
from nucleus_app.reports.case_report import CaseReport, FieldReport
from nucleus_app.services.casework import CaseDesk, CaseView
from nucleus_app.services.memory import Memory
from nucleus_app.services.scored_images import ScoredImage
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
        "state": scoring.state.value if scoring else "needs pixel size",
        "blob": image.blob[:12],
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
        return [self._brief(cases[id_], last.get(id_), own) for id_, own in by_case.items()]

    def _brief(self, case: StoredCase, last: StoredSignOff | None, images: list[ScoredImage]) -> Mapping:
        if last is not None and last.is_signed:
            return _to_brief(case, images, "signed", last.shown, last.class_name)
        listed = {c.image.id for c in images}
        if any(field.box or field.image not in listed for field in case.sheet.fields):
            score = self._desk.summarise(self._desk.view(case.id)).score  # which remembers its fields
            return _to_brief(case, images, "open", score.primary.shown if score.primary else None, score.class_name)
        # Whole images need no nuclei, and a list has hundreds of cases.
        seen = tuple((c.image.id, c.scoring and c.scoring.id, c.state, c.review and c.review.rev) for c in images)
        return self._briefs.get((case.id, case.rev, seen), lambda: _score_whole(case, images))


def _score_whole(case: StoredCase, images: list[ScoredImage]) -> Mapping:
    by_id = {c.image.id: c for c in images}
    score = score_case(case.sheet, [_count_whole(by_id[plan.image], plan) for plan in case.sheet.fields])
    return _to_brief(case, images, "open", score.primary.shown if score.primary else None, score.class_name)


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
