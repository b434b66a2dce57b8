"""Files that a case can be downloaded as. All are written from one report value."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from db.edits import list_edits
from db.engine import session_scope
from db.images import list_case_ids
from db.scorings import list_scoring_ids
from db.slides import list_cuts
from nucleus_app.errors import InvalidCase, NotFound
from nucleus_app.imaging.reader import decode_png
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.reports.case_report import CaseReport
from nucleus_app.reports.coco import report_to_coco
from nucleus_app.reports.geojson import features_to_geojson, list_features, report_to_geojson
from nucleus_app.reports.marks import PALETTES
from nucleus_app.reports.pdf import render_pdf
from nucleus_app.reports.tables import (
    EditRow,
    edits_to_csv,
    report_to_fields_csv,
    report_to_nuclei_csv,
    reports_to_cases_csv,
)
from nucleus_app.reports.workbook import cases_to_xlsx, report_to_xlsx
from nucleus_app.services.carrying import CARRIED
from nucleus_app.services.casework import CaseDesk
from nucleus_app.services.workplace import Workplace

logger = logging.getLogger(__name__)
UNREADABLE = (
    "Signed, but the signed report is missing or damaged: restore it from a backup. These numbers were computed anew."
)
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
JSON, CSV, PDF, GEOJSON = "application/json", "text/csv; charset=utf-8", "application/pdf", "application/geo+json"


@dataclass(frozen=True, slots=True)
class Download:
    """A file. Its name holds numbers only: labels may carry anything, and files travel."""

    name: str
    media_type: str
    content: bytes


KINDS = {
    "report.pdf": PDF, "report.json": JSON, "report.xlsx": EXCEL, "case.csv": CSV, "fields.csv": CSV,
    "nuclei.csv": CSV, "edits.csv": CSV, "coco.json": JSON,
}  # fmt: skip
WRITERS: dict[str, Callable[[CaseReport], str]] = {
    "case.csv": lambda report: reports_to_cases_csv([report]), "fields.csv": report_to_fields_csv, "nuclei.csv": report_to_nuclei_csv, "coco.json": report_to_coco,
}  # fmt: skip


class CaseWriter:
    """Writes one PDF at a time: each holds a whole image and its pages."""

    def __init__(self, workplace: Workplace, desk: CaseDesk) -> None:
        self._workplace = workplace
        self._desk = desk
        self._pdf = threading.Lock()

    def write(self, case_id: int, kind: str, palette: str = "paper") -> Download:
        """A case as ``kind``, the end of the file's name. Raises NotFound for a case or a kind that there is not, InvalidCase
        for a palette that there is not.
        """
        if kind not in KINDS:
            raise NotFound(f"A case is no {kind[:40]}: ask for one of {', '.join(KINDS)}.")
        return Download(f"case-{case_id}-{kind}", KINDS[kind], self._make(case_id, kind, palette))

    def _make(self, case_id: int, kind: str, palette: str) -> bytes:
        if kind == "report.json":
            return self._desk.freeze(case_id)
        if kind == "edits.csv":
            return edits_to_csv(self._list_edits(case_id)).encode()
        report, signed = self._desk.report(case_id)
        if kind == "report.xlsx":
            return report_to_xlsx(report)
        if kind != "report.pdf":
            return WRITERS[kind](report).encode()
        if palette not in PALETTES:
            raise InvalidCase(f"There is no palette {palette[:40]}: use one of {', '.join(PALETTES)}.")
        with self._pdf:
            return render_pdf(report, self._read_pixels, palette, signed)

    def _list_edits(self, case_id: int) -> list[EditRow]:
        """Of all scorings of its images, imports among them: image by image, each in the order in which they were made."""
        images = enumerate(self._desk.view(case_id).images, 1)
        with session_scope(self._workplace.engine) as session:
            return [
                EditRow(
                    f"Image {n}", scoring_id, edit.rev, f"{edit.client}:{edit.seq}", edit.at, edit.reader,
                    edit.client.startswith(CARRIED), edit.op, edit.was,
                )
                for n, image in images
                for scoring_id in list_scoring_ids(session, image.id)
                for edit in list_edits(session, scoring_id, 0)
            ]  # fmt: skip

    def _read_pixels(self, blob: str) -> Rgb:
        return decode_png(self._workplace.blobs.get(blob))


def write_geojson(desk: CaseDesk, case_id: int, image_id: int, *, multipoint: bool) -> Download:
    """One image of a case for QuPath. Raises NotFound for an image that no field of the case is in."""
    report, _ = desk.report(case_id)
    if all(field.image_id != image_id for field in report.fields):
        raise NotFound(f"No field of case {case_id} is in image {image_id}.")
    content = report_to_geojson(report, image_id, multipoint).encode()
    return Download(f"case-{case_id}-image-{image_id}.geojson", GEOJSON, content)


def write_slide_geojson(workplace: Workplace, desk: CaseDesk, slide_id: int) -> Download:
    """What was counted in the fields of a slide, at their places on it, for QuPath with that slide open; also of a slide whose file is
    gone. Raises NotFound.
    """
    with session_scope(workplace.engine) as session:
        cuts = list_cuts(session, [slide_id])
    if not cuts:
        raise NotFound(f"No field was cut out of slide {slide_id}: choose one first.")
    features = []
    for case_id in dict.fromkeys(cut.case_id for cut in cuts):
        report, _ = desk.report(case_id)
        counted = {field.image_id for field in report.fields}
        for cut in cuts:
            if cut.case_id == case_id and cut.image_id in counted:
                features += list_features(report, cut.image_id, corner=cut.box[:2])
    return Download(f"slide-{slide_id}.geojson", GEOJSON, features_to_geojson(features).encode())


def write_cases(workplace: Workplace, desk: CaseDesk) -> Download:
    """A table of all cases that have an image, a row each, latest first."""
    with session_scope(workplace.engine) as session:
        case_ids = list_case_ids(session)
    return Download("cases.xlsx", EXCEL, cases_to_xlsx(_summarise(desk, id_) for id_ in case_ids))


def _summarise(desk: CaseDesk, case_id: int) -> CaseReport:
    """One signed report that is lost costs no other case its row."""
    view = desk.view(case_id)
    try:
        return desk.summarise(view)
    except (NotFound, ValueError):
        logger.warning("case %d: its signed report is missing or damaged", case_id)
        report = desk.stand(view)
        return replace(report, score=replace(report.score, advice=UNREADABLE))
