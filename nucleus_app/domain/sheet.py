"""What a reader fills in of a case: specimen, protocol, and the fields that are counted. JSON ↔ one frozen value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.domain.line import to_line
from nucleus_app.errors import InvalidCase

MAX_FIELDS = 500
MIN_SIDE_PX = 1
MAX_TEXT, MAX_COMMENT = 120, 1000
SHARES_SUM_TO = 100.0
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class Protocol(StrEnum):
    """How the fields of a case become one number."""

    INDEX_ONLY = "index only"
    NET_HOT_SPOT = "net hot spot"
    BREAST_GLOBAL = "breast global"
    BREAST_WEIGHTED = "breast weighted"
    BREAST_HOT_SPOT = "breast hot spot"

    @property
    def is_hot_spot(self) -> bool:
        return self in (Protocol.NET_HOT_SPOT, Protocol.BREAST_HOT_SPOT)

    @property
    def is_global(self) -> bool:
        return self in (Protocol.BREAST_GLOBAL, Protocol.BREAST_WEIGHTED)


class Role(StrEnum):
    """What a field stands for. The four categories are of the International Ki67 Working Group."""

    FIELD = "field"
    HOT_SPOT = "hot spot"
    NEGLIGIBLE = "negligible"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


CATEGORIES = (Role.NEGLIGIBLE, Role.LOW, Role.MEDIUM, Role.HIGH)


def find_role(name: str) -> Role | None:
    """The role that a folder is named after: ``hot spot``, ``Hot-Spot``, ``high`` …"""
    plain = name.lower().replace("-", " ").replace("_", " ")
    return next((role for role in Role if role.value == plain), None)


class FieldBox(NamedTuple):
    """An upright rectangle in image pixels, pixel centres at integers: left <= x < right, top <= y < bottom."""

    left: float
    top: float
    right: float
    bottom: float


def _check_box(box: FieldBox) -> FieldBox:
    if not (box.right - box.left >= MIN_SIDE_PX and box.bottom - box.top >= MIN_SIDE_PX):
        raise ValueError(f"a field is at least {MIN_SIDE_PX} px wide and high, from left to right and top to bottom")
    return box


def _to_line(text: str) -> str:
    return to_line(text, MAX_TEXT)


Text = Annotated[str, Field(max_length=4 * MAX_TEXT), AfterValidator(_to_line)]
Id = Annotated[int, Field(ge=1, le=MAX_ID, strict=True)]


@dataclass(frozen=True, config=STRICT)
class FieldPlan:
    """A field that is counted: the whole of an image, or a rectangle in it. ``id`` is unique within its case."""

    id: Id
    image: Id
    name: Text = ""
    role: Role = Role.FIELD
    box: Annotated[FieldBox, AfterValidator(_check_box)] | None = None


@dataclass(frozen=True, config=STRICT)
class Shares:
    """Percent of the invasive tumour area in each category, as the reader estimates it."""

    negligible: Annotated[float, Field(ge=0, le=100)] = 0.0
    low: Annotated[float, Field(ge=0, le=100)] = 0.0
    medium: Annotated[float, Field(ge=0, le=100)] = 0.0
    high: Annotated[float, Field(ge=0, le=100)] = 0.0

    def of(self, category: Role) -> float:
        share: float = getattr(self, category.value)
        return share

    @property
    def total(self) -> float:
        return math.fsum(self.of(category) for category in CATEGORIES)

    @property
    def is_whole(self) -> bool:
        return abs(self.total - SHARES_SUM_TO) < 1e-6


@dataclass(frozen=True, config=STRICT)
class CaseSheet:
    """All that a reader says of a case. Fields keep the reader's order."""

    label: Text = ""
    specimen: Text = ""
    block: Text = ""
    tumour_type: Text = ""
    antibody: Text = ""
    platform: Text = ""
    scanner: Text = ""
    comment: Annotated[str, Field(max_length=MAX_COMMENT)] = ""
    protocol: Protocol = Protocol.INDEX_ONLY
    target: Annotated[int, Field(ge=100, le=100_000)] = 500
    """Tumour nuclei to count in a hot spot."""
    well_differentiated: bool | None = None
    mitoses_per_2mm2: Annotated[float, Field(ge=0, le=10_000)] | None = None
    shares: Shares | None = None
    fields: Annotated[tuple[FieldPlan, ...], Field(max_length=MAX_FIELDS)] = ()

    def __post_init__(self) -> None:
        twice = [id_ for id_, n in Counter(field.id for field in self.fields).items() if n > 1]
        if twice:
            raise ValueError(f"two fields have the id {twice[0]}: give each its own")

    def without_image(self, image_id: int) -> CaseSheet:
        """The sheet without the fields of one image."""
        return replace(self, fields=tuple(field for field in self.fields if field.image != image_id))

    def with_fields(self, fields: Iterable[FieldPlan]) -> CaseSheet:
        """The sheet with fields that it had once, at its end; another id for each whose own is taken since. Raises InvalidCase for
        a case that is full.
        """
        sheet = self
        for field in fields:
            sheet = sheet._with(field)
        return sheet

    def with_whole_image(self, image_id: int, name: str = "") -> CaseSheet:
        """The sheet with one field more: all of an image. Raises InvalidCase for a case that is full."""
        return self._with(FieldPlan(1, image_id, name))

    def _with(self, field: FieldPlan) -> CaseSheet:
        if len(self.fields) >= MAX_FIELDS:
            raise InvalidCase(
                f"This case has {MAX_FIELDS} fields, the most there can be: put the image into another case."
            )
        taken = {other.id for other in self.fields}
        free = next(id_ for id_ in (field.id, *range(1, MAX_FIELDS + 2)) if id_ not in taken)
        return replace(self, fields=(*self.fields, replace(field, id=free)))


_SHEET = TypeAdapter(CaseSheet)


def parse_sheet(value: object) -> CaseSheet:
    """JSON types as a sheet. Raises InvalidCase with the first thing that is wrong and where."""
    try:
        return _SHEET.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the sheet"
        raise InvalidCase(f"{where}: {first['msg']}. Correct it and save again.") from error


def sheet_to_mapping(sheet: CaseSheet) -> dict[str, Any]:
    """A sheet as JSON types; the inverse of :func:`parse_sheet`."""
    mapping: dict[str, Any] = _SHEET.dump_python(sheet, mode="json")
    return mapping
