"""The report value of a case: every number of every format. It holds plain types only, so that it goes to JSON and back
unchanged; that JSON is what a sign-off freezes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

from pydantic import Field, TypeAdapter

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.domain.protocols import CaseScore
from nucleus_app.domain.rules import Rule
from nucleus_app.domain.sheet import CaseSheet, FieldBox, Role

FORMAT = 1
POSITIVITY_RULE = "Any nuclear stain of a tumour nucleus counts as positive, whatever its intensity."

LEFT_OUT_IF_NONE = Field(exclude_if=lambda value: not value)
"""Of what came after the first format: a report that was signed before stays the same to the byte."""


class NucleusMark(NamedTuple):
    """One nucleus of a field, in pixels of its image. ``kind`` is a value of :class:`NucleusClass`."""

    id: int | str
    x_px: float
    y_px: float
    kind: int
    score: float
    confidence: float | None
    origin: str
    """``network``, ``imported``, ``edited`` or ``placed``."""
    left_out: bool


@dataclass(frozen=True, slots=True)
class PaintedArea:
    """One piece of what is painted on an image, as it stands after all corrections. No two of a kind overlap."""

    image_id: int
    label: str
    """A value of :class:`RegionLabel`."""
    rings: tuple[tuple[float, ...], ...]
    """Its outer ring, then its holes: x0, y0, x1, y1, … in pixels of the image."""


@dataclass(frozen=True, slots=True)
class VersionOfNetwork:
    name: str
    sha256: str
    app_version: str
    thresholds: tuple[float, ...]
    """Per class; ``FieldReport.cuts`` are what the reader made of them."""


@dataclass(frozen=True, slots=True)
class Tallies:
    """Nuclei per class and what persons did. ``left_out`` are shown but not counted."""

    positive: int
    negative: int
    other: int
    left_out: int
    edited: int
    placed: int

    @property
    def tumour(self) -> int:
        return self.positive + self.negative


@dataclass(frozen=True, slots=True)
class SlidePlace:
    """A place on a slide, in pixels of its full resolution from its own corner. ``slide``: its number in the store. ``overview``:
    blob of a small picture of the slide, which has that size; empty and 0 for fields that were cut before there were such.
    """

    slide: int
    left_px: float
    top_px: float
    width_px: Annotated[int, LEFT_OUT_IF_NONE] = 0
    height_px: Annotated[int, LEFT_OUT_IF_NONE] = 0
    overview: Annotated[str, LEFT_OUT_IF_NONE] = ""


@dataclass(frozen=True, slots=True)
class FieldReport:
    """One field. ``box`` is within the image; ``tallies`` and ``network`` are None where nothing was counted."""

    id: int
    name: str
    role: Role
    image_id: int
    image_label: str
    image_sha256: str
    """Of the file as it came."""
    blob: str
    """Of its pixels as stored."""
    width_px: int
    height_px: int
    is_whole_image: bool
    box: FieldBox
    mpp: float | None
    mpp_source: str
    area_mm2: float | None
    """Counted area: the box without what non-tumour and excluded regions cover."""
    tallies: Tallies | None
    network: tuple[int, int, int] | None
    """What the network alone counted in the field, per class; None for imported annotations."""
    is_imported: bool
    """The nuclei are annotations of a file, not the network's; ``version`` names that file."""
    percent: float | None
    low_percent: float | None
    high_percent: float | None
    cuts: tuple[float, ...]
    version: VersionOfNetwork | None
    nuclei: tuple[NucleusMark, ...]
    warnings: tuple[str, ...]
    slide: Annotated[SlidePlace | None, LEFT_OUT_IF_NONE] = None
    """Where on a slide the field's upper left corner lies, if its image was cut out of one."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, and when (ISO 8601, UTC)."""

    reader: str
    at: str


@dataclass(frozen=True, slots=True)
class Reopening:
    """Who reopened a signed case, when (ISO 8601, UTC) and why; that began the report's revision."""

    reader: str
    at: str
    reason: str


@dataclass(frozen=True, slots=True)
class CaseReport:
    """A case as it is printed. ``signature`` is None for a draft."""

    format: int
    """Of this value, so that a report that was frozen long ago is told from a later one."""
    case_id: int
    revision: int
    """1, and one more for each time the case was reopened."""
    reopened: Reopening | None
    """How this revision began; None for the first."""
    sheet: CaseSheet
    rule: Rule
    """The protocol's words and cut-offs, as they were when the numbers were made."""
    score: CaseScore
    fields: tuple[FieldReport, ...]
    warnings: tuple[str, ...]
    """Of the case and of its score."""
    edits: int
    """Accepted corrections in all images of the case."""
    readers: tuple[str, ...]
    app_version: str
    made: str
    """When the numbers were put together, ISO 8601, UTC."""
    signature: Signature | None = None
    positivity_rule: str = POSITIVITY_RULE
    notice: str = RESEARCH_USE_ONLY
    painted: Annotated[tuple[PaintedArea, ...], LEFT_OUT_IF_NONE] = ()
    """On all images of the case, also outside of its fields."""

    def without_nuclei(self) -> CaseReport:
        """Without what is painted, too: the numbers."""
        return replace(self, fields=tuple(replace(field, nuclei=()) for field in self.fields), painted=())

    def list_painted(self, image_id: int) -> list[PaintedArea]:
        return [area for area in self.painted if area.image_id == image_id]


_REPORT = TypeAdapter(CaseReport)


def report_to_json(report: CaseReport) -> bytes:
    """The report as JSON, always the same bytes for the same report."""
    return _REPORT.dump_json(report)


def json_to_report(frozen: bytes) -> CaseReport:
    """The inverse of :func:`report_to_json`. Raises pydantic.ValidationError for anything else."""
    return _REPORT.validate_json(frozen)
