"""Excel workbooks of case reports. A text is written as a text whatever it begins with, a number as a number."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import xlsxwriter

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.reports.case_report import CaseReport
from nucleus_app.reports.tables import (
    CASE_COLUMNS,
    FIELD_COLUMNS,
    NUCLEUS_COLUMNS,
    Cell,
    Column,
    Row,
    list_field_rows,
    list_nucleus_rows,
)

MAX_NUCLEI = 100_000
"""With more of them the workbook has no sheet of nuclei: nuclei.csv holds them."""
CREATED = datetime(2000, 1, 1, tzinfo=UTC)
"""Of every workbook, so that the same report is the same bytes; when its numbers were made is in it."""
NARROWEST, WIDEST = 8, 48
MAX_CELL = 32_000
HEADER_ROW = 1
OPTIONS = {
    "in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
    "nan_inf_to_errors": True,
}  # fmt: skip


def cases_to_xlsx(rows: Iterable[CaseReport]) -> bytes:
    """One row a case. Nuclei are not read, so reports without them will do."""
    return _make_workbook([("Cases", lambda book, name: _write_table(book, name, CASE_COLUMNS, list(rows)))])


def report_to_xlsx(report: CaseReport) -> bytes:
    """Sheets Case, Fields and, up to MAX_NUCLEI of them, Nuclei."""
    nuclei = list_nucleus_rows(report)
    sheets = [
        ("Case", lambda book, name: _write_case(book, name, report)),
        ("Fields", lambda book, name: _write_table(book, name, FIELD_COLUMNS, list_field_rows(report))),
    ]
    if len(nuclei) <= MAX_NUCLEI:
        sheets.append(("Nuclei", lambda book, name: _write_table(book, name, NUCLEUS_COLUMNS, nuclei)))
    return _make_workbook(sheets)


def _make_workbook(sheets: Sequence[tuple[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, OPTIONS) as book:
        book.set_properties({"title": "Ki67 report", "comments": RESEARCH_USE_ONLY, "created": CREATED})
        for name, write in sheets:
            write(book, name)
    return buffer.getvalue()


def _write_table(book: Any, name: str, columns: Sequence[Column[Row]], rows: Sequence[Row]) -> None:
    """The research-use line, the headings, which stay in sight, and one line a row."""
    sheet, bold = _add_sheet(book, name)
    for at, column in enumerate(columns):
        sheet.write_string(HEADER_ROW, at, column.title, bold)
        widest = len(column.title)
        for line, row in enumerate(rows, HEADER_ROW + 1):
            cell = column.of(row)
            _write_cell(sheet, line, at, cell)
            widest = max(widest, min(WIDEST, len(str(cell))))
        sheet.set_column(at, at, max(NARROWEST, widest + 2))
    sheet.freeze_panes(HEADER_ROW + 1, 0)
    if rows:
        sheet.autofilter(HEADER_ROW, 0, HEADER_ROW + len(rows), len(columns) - 1)


def _write_case(book: Any, name: str, report: CaseReport) -> None:
    """One line a thing said of the case, then every score that its fields allow."""
    sheet, bold = _add_sheet(book, name)
    wrap = book.add_format({"text_wrap": True, "valign": "top", "align": "left"})
    sheet.write_string(HEADER_ROW, 0, "what", bold)
    sheet.write_string(HEADER_ROW, 1, "value", bold)
    for line, column in enumerate(CASE_COLUMNS, HEADER_ROW + 1):
        sheet.write_string(line, 0, column.title)
        _write_cell(sheet, line, 1, column.of(report), wrap)
    line = HEADER_ROW + len(CASE_COLUMNS) + 2
    titles = ("score", "index_percent", "low_percent", "high_percent", "positive", "tumour", "method")
    for at, title in enumerate(titles):
        sheet.write_string(line, at, title, bold)
    for score in (*([report.score.primary] if report.score.primary else []), *report.score.others):
        line += 1
        cells: tuple[Cell, ...] = (
            score.name,
            score.percent,
            score.low_percent,
            score.high_percent,
            score.positive,
            score.tumour,
            score.method,
        )
        for at, cell in enumerate(cells):
            _write_cell(sheet, line, at, cell, wrap if at == 1 else None)
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 60)
    sheet.set_column(2, len(titles) - 1, 16)
    sheet.freeze_panes(HEADER_ROW + 1, 1)


def _add_sheet(book: Any, name: str) -> tuple[Any, Any]:
    sheet = book.add_worksheet(name)
    sheet.write_string(0, 0, RESEARCH_USE_ONLY, book.add_format({"italic": True}))
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.set_footer(f"&L{RESEARCH_USE_ONLY}&RPage &P of &N")
    return sheet, book.add_format({"bold": True, "bottom": 1})


def _write_cell(sheet: Any, row: int, column: int, cell: Cell, style: Any = None) -> None:
    if isinstance(cell, str):
        sheet.write_string(row, column, cell[:MAX_CELL], style)
    elif cell is not None:
        sheet.write_number(row, column, cell, style)
