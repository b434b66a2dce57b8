"""Tables of a case report: what each column is, and CSV. The workbook writes the same columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.reports.case_report import CaseReport, FieldReport, NucleusMark, Tallies

Cell = str | int | float | bool | None
Row = TypeVar("Row")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""A cell that begins so is a formula to a spreadsheet, the wide ones too in East Asian settings."""

LONGEST_LIST = 1000
"""A cell of a spreadsheet holds 32,767 characters."""


class Column(NamedTuple, Generic[Row]):
    title: str
    of: Callable[[Row], Cell]


class FieldRow(NamedTuple):
    n: int
    field: FieldReport


class EditRow(NamedTuple):
    """A correction. ``key`` names it, as others name it that undo it, or the nucleus it placed; ``op`` and ``was``: the edit
    and what it changed, as JSON types (decision 0008). ``is_carried``: taken over from an earlier scoring at that time.
    """

    image: str
    scoring: int
    number: int
    key: str
    at: datetime
    reader: str
    is_carried: bool
    op: dict[str, Any]
    was: Any


class NucleusRow(NamedTuple):
    n: int
    field: FieldReport
    nucleus: NucleusMark


def _tally(of: Callable[[Tallies], int]) -> Callable[[FieldRow], Cell]:
    return lambda row: None if row.field.tallies is None else of(row.field.tallies)


def _network(kind: NucleusClass) -> Callable[[FieldRow], Cell]:
    return lambda row: None if row.field.network is None or row.field.is_imported else row.field.network[kind]


def _cut(kind: NucleusClass) -> Callable[[FieldRow], Cell]:
    """Empty for imported annotations, which no cut chose."""
    return lambda row: row.field.cuts[kind] if kind < len(row.field.cuts) and not row.field.is_imported else None


def _by_network(of: Callable[[NucleusMark], float | None]) -> Callable[[NucleusRow], Cell]:
    """What the network said of a nucleus, four decimals. Of imported annotations it said nothing, whoever edited them since."""

    def say(row: NucleusRow) -> Cell:
        value = None if row.field.is_imported else of(row.nucleus)
        return None if value is None else round(value, 4)

    return say


def _name_source(row: FieldRow) -> Cell:
    if row.field.tallies is None:
        return ""
    return "imported" if row.field.is_imported else "network"


CASE_COLUMNS: tuple[Column[CaseReport], ...] = (
    Column("case", lambda r: r.case_id),
    Column("label", lambda r: r.sheet.label),
    Column("specimen", lambda r: r.sheet.specimen),
    Column("block", lambda r: r.sheet.block),
    Column("tumour_type", lambda r: r.sheet.tumour_type),
    Column("antibody", lambda r: r.sheet.antibody),
    Column("platform", lambda r: r.sheet.platform),
    Column("scanner", lambda r: r.sheet.scanner),
    Column("protocol", lambda r: r.rule.title),
    Column("score", lambda r: r.score.primary.name if r.score.primary else ""),
    Column("index_percent", lambda r: r.score.primary.percent if r.score.primary else None),
    Column("index_shown", lambda r: r.score.primary.shown if r.score.primary else ""),
    Column("low_percent", lambda r: r.score.primary.low_percent if r.score.primary else None),
    Column("high_percent", lambda r: r.score.primary.high_percent if r.score.primary else None),
    Column("method", lambda r: r.score.primary.method if r.score.primary else ""),
    Column("positive", lambda r: r.score.primary.positive if r.score.primary else None),
    Column("tumour", lambda r: r.score.primary.tumour if r.score.primary else None),
    Column("class", lambda r: r.score.class_name or ""),
    Column("class_text", lambda r: r.score.class_text),
    Column("advice", lambda r: r.score.advice or r.score.missing),
    Column("note", lambda r: r.score.note),
    Column("other_scores", lambda r: "; ".join(f"{s.name} {s.shown} %" for s in r.score.others)),
    Column("hot_spot_minus_average", lambda r: r.score.hot_spot_minus_average),
    Column("between_fields_low_percent", lambda r: r.score.between_fields[0] if r.score.between_fields else None),
    Column("between_fields_high_percent", lambda r: r.score.between_fields[1] if r.score.between_fields else None),
    Column("target", lambda r: r.score.target),
    Column("fields", lambda r: len(r.fields)),
    Column("edits", lambda r: r.edits),
    Column("readers", lambda r: ", ".join(r.readers)),
    Column("state", lambda r: "signed" if r.signature else "draft, not signed"),
    Column("revision", lambda r: r.revision),
    Column("signed_by", lambda r: r.signature.reader if r.signature else ""),
    Column("signed_at", lambda r: r.signature.at if r.signature else ""),
    Column("reopened_by", lambda r: r.reopened.reader if r.reopened else ""),
    Column("reopened_at", lambda r: r.reopened.at if r.reopened else ""),
    Column("reopened_because", lambda r: r.reopened.reason if r.reopened else ""),
    Column("numbers_made", lambda r: r.made),
    Column("positivity_rule", lambda r: r.positivity_rule),
    Column("warnings", lambda r: " | ".join(r.warnings)),
    Column("comment", lambda r: r.sheet.comment),
    Column("app_version", lambda r: r.app_version),
)
FIELD_COLUMNS: tuple[Column[FieldRow], ...] = (
    Column("field", lambda r: r.n),
    Column("name", lambda r: r.field.name),
    Column("role", lambda r: r.field.role.value),
    Column("image", lambda r: r.field.image_id),
    Column("image_label", lambda r: r.field.image_label),
    Column("left_px", lambda r: r.field.box.left),
    Column("top_px", lambda r: r.field.box.top),
    Column("right_px", lambda r: r.field.box.right),
    Column("bottom_px", lambda r: r.field.box.bottom),
    Column("area_mm2", lambda r: r.field.area_mm2),
    Column("positive", _tally(lambda t: t.positive)),
    Column("negative", _tally(lambda t: t.negative)),
    Column("tumour", _tally(lambda t: t.tumour)),
    Column("other", _tally(lambda t: t.other)),
    Column("left_out", _tally(lambda t: t.left_out)),
    Column("index_percent", lambda r: r.field.percent),
    Column("low_percent", lambda r: r.field.low_percent),
    Column("high_percent", lambda r: r.field.high_percent),
    Column("edited", _tally(lambda t: t.edited)),
    Column("placed", _tally(lambda t: t.placed)),
    Column("nuclei_from", _name_source),
    Column("network_positive", _network(NucleusClass.POSITIVE)),
    Column("network_negative", _network(NucleusClass.NEGATIVE)),
    Column("network_other", _network(NucleusClass.OTHER)),
    Column("mpp", lambda r: r.field.mpp),
    Column("mpp_source", lambda r: r.field.mpp_source),
    Column("cut_positive", _cut(NucleusClass.POSITIVE)),
    Column("cut_negative", _cut(NucleusClass.NEGATIVE)),
    Column("cut_other", _cut(NucleusClass.OTHER)),
    Column("version", lambda r: r.field.version.name if r.field.version else ""),
    Column("version_sha256", lambda r: r.field.version.sha256 if r.field.version else ""),
    Column("image_sha256", lambda r: r.field.image_sha256),
    Column("slide", lambda r: r.field.slide.slide if r.field.slide else None),
    Column("slide_left_px", lambda r: r.field.slide.left_px if r.field.slide else None),
    Column("slide_top_px", lambda r: r.field.slide.top_px if r.field.slide else None),
    Column("warnings", lambda r: " | ".join(r.field.warnings)),
)
NUCLEUS_COLUMNS: tuple[Column[NucleusRow], ...] = (
    Column("field", lambda r: r.n),
    Column("field_name", lambda r: r.field.name),
    Column("image", lambda r: r.field.image_id),
    Column("nucleus", lambda r: r.nucleus.id),
    Column("x_px", lambda r: round(r.nucleus.x_px, 2)),
    Column("y_px", lambda r: round(r.nucleus.y_px, 2)),
    Column("x_um", lambda r: _to_um(r.nucleus.x_px, r.field.mpp)),
    Column("y_um", lambda r: _to_um(r.nucleus.y_px, r.field.mpp)),
    Column("class", lambda r: r.nucleus.kind),
    Column("class_name", lambda r: NucleusClass(r.nucleus.kind).slug),
    Column("score", _by_network(lambda n: n.score)),
    Column("confidence", _by_network(lambda n: n.confidence)),
    Column("origin", lambda r: r.nucleus.origin),
    Column("left_out", lambda r: int(r.nucleus.left_out)),
)

EDIT_COLUMNS: tuple[Column[EditRow], ...] = (
    Column("image", lambda r: r.image),
    Column("scoring", lambda r: r.scoring),
    Column("edit", lambda r: r.number),
    Column("key", lambda r: r.key),
    Column("at", lambda r: r.at.isoformat(timespec="seconds")),
    Column("reader", lambda r: r.reader),
    Column("carried_over", lambda r: int(r.is_carried)),
    Column("operation", lambda r: str(r.op["op"])),
    Column("what", lambda r: _to_text({k: v for k, v in r.op.items() if k != "op"})),
    Column("before", lambda r: "" if r.was is None else _to_text(r.was)),
)


def list_field_rows(report: CaseReport) -> list[FieldRow]:
    return [FieldRow(n, field) for n, field in enumerate(report.fields, 1)]


def list_nucleus_rows(report: CaseReport) -> list[NucleusRow]:
    """Every nucleus of every field, those left out included; one that lies in two fields is listed in both."""
    return [NucleusRow(n, field, nucleus) for n, field in list_field_rows(report) for nucleus in field.nuclei]


def reports_to_cases_csv(reports: Iterable[CaseReport]) -> str:
    """One row a case. The last column's heading is the research-use line."""
    return _write_csv(CASE_COLUMNS, reports)


def report_to_fields_csv(report: CaseReport) -> str:
    """One row a field. The last column's heading is the research-use line."""
    return _write_csv(FIELD_COLUMNS, list_field_rows(report))


def edits_to_csv(rows: Iterable[EditRow]) -> str:
    """One row a correction, in the order of the rows. The last heading is the research-use line."""
    return _write_csv(EDIT_COLUMNS, rows)


def report_to_nuclei_csv(report: CaseReport) -> str:
    """One row a nucleus, in pixels of its image (centres at integers) and µm. The last heading is the research-use line."""
    return _write_csv(NUCLEUS_COLUMNS, list_nucleus_rows(report))


def _to_text(value: Any) -> str:
    """JSON types for a cell: of a long list, as the points of a region, only how many there are."""

    def shorten(part: Any) -> Any:
        return f"{len(part)} values" if isinstance(part, list) and len(part) > LONGEST_LIST else part

    short = {k: shorten(v) for k, v in value.items()} if isinstance(value, dict) else shorten(value)
    return json.dumps(short, ensure_ascii=False)


def guard_cell(cell: Cell) -> Cell:
    """The cell as a spreadsheet may read it: a text that would be a formula gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def _write_csv(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")  # RFC 4180; so a return within a text is quoted too
    writer.writerow([*(column.title for column in columns), RESEARCH_USE_ONLY])
    writer.writerows([*(guard_cell(column.of(row)) for column in columns), ""] for row in rows)
    return buffer.getvalue()


def _to_um(value_px: float, mpp: float | None) -> float | None:
    return None if mpp is None else round(value_px * mpp, 2)
