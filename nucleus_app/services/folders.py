"""Files on a disk as the fields of a case, without a database: what the command line does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nucleus_app import __version__
from nucleus_app.domain.line import count_of, to_line
from nucleus_app.domain.rules import RULES
from nucleus_app.domain.sheet import MAX_TEXT, CaseSheet, FieldPlan, Role, find_role
from nucleus_app.errors import InvalidCase
from nucleus_app.imaging.reader import read_image
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.reports.assembly import FieldImage, list_case_warnings, report_field, score_fields
from nucleus_app.reports.case_report import FORMAT, CaseReport
from nucleus_app.reports.record import ImageRecord
from nucleus_app.services.scoring import score_image


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """A file and what was found in it; its pixels are read again when they are needed."""

    path: Path
    record: ImageRecord

    @property
    def role(self) -> Role:
        return role_of(self.path)


def role_of(path: Path) -> Role:
    """Of the folder that a file lies in, where that is named after a role."""
    return find_role(path.absolute().parent.name) or Role.FIELD


def score_file(
    predictor: Predictor, path: Path, mpp: float | None, max_megapixels: int, *, anyway: bool = False
) -> ScoredFile:
    """Score one file. Raises InvalidImage, UnknownPixelSize."""
    image = read_image(path, max_megapixels=max_megapixels)
    record = score_image(predictor, image, mpp, max_megapixels=max_megapixels, anyway=anyway)
    return ScoredFile(path, record)


class FolderCase:
    """Scored files as one case. Its report names no file unless that is asked for: reports travel, and files are often
    named after patients.
    """

    def __init__(
        self,
        sheet: CaseSheet,
        files: Sequence[ScoredFile],
        max_megapixels: int,
        lost: Sequence[Path] = (),
        *,
        with_names: bool = False,
    ) -> None:
        """``lost``: images of the case that could not be scored. Its report says so."""
        self._lost = lost
        self._files = files
        self._with_names = with_names
        self._max_megapixels = max_megapixels
        names = [to_line(f.path.stem, MAX_TEXT) if with_names else f"Field {n}" for n, f in enumerate(files, 1)]
        plans = tuple(FieldPlan(n, n, name, f.role) for n, (name, f) in enumerate(zip(names, files, strict=True), 1))
        self.sheet = replace(sheet, fields=plans)

    def report(self) -> CaseReport:
        """The report of the case, a draft: nobody has looked at it. Raises InvalidCase where all images of a role were
        lost: others would be scored in their place.
        """
        if missing := {role_of(path) for path in self._lost} - {file.role for file in self._files}:
            names = " and ".join(sorted(role.value for role in missing))
            raise InvalidCase(
                f"no {names} image could be scored, and the report would be of the others: mend or remove it"
            )
        images = tuple(self._to_field_image(n, file) for n, file in enumerate(self._files, 1))
        fields = tuple(
            report_field(plan, image, number=plan.id) for plan, image in zip(self.sheet.fields, images, strict=True)
        )
        score = score_fields(self.sheet, fields)
        return CaseReport(
            format=FORMAT,
            case_id=0,
            revision=1,
            reopened=None,
            rule=RULES[self.sheet.protocol], sheet=self.sheet, score=score, fields=fields, warnings=(*self._say_lost(), *list_case_warnings(self.sheet, score, fields, images)),
            edits=0, readers=(), app_version=__version__, made=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip

    def read_pixels(self, blob: str) -> Rgb:
        """Pixels (H, W, 3) of the file with that SHA-256."""
        path = next(file.path for file in self._files if file.record.image_sha256 == blob)
        return read_image(path, max_megapixels=self._max_megapixels).rgb

    def _say_lost(self) -> Iterator[str]:
        if self._lost:
            are = "is" if len(self._lost) == 1 else "are"
            yield f"{count_of(len(self._lost), 'image')} of this case could not be scored and {are} not in this report."

    def _to_field_image(self, number: int, file: ScoredFile) -> FieldImage:
        record = file.record
        label = to_line(file.path.name, MAX_TEXT) if self._with_names else f"Image {number}"
        return FieldImage(
            number, label, record.image_sha256, record.image_sha256, record.width_px, record.height_px,
            record.pixel_size.mpp, record.pixel_size.source, record,
        )  # fmt: skip
