"""Reading what was written, with readers that are not ours."""

from __future__ import annotations

import csv
import io
import zipfile
from xml.etree import ElementTree

import pypdfium2

NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def read_pdf(pdf: bytes) -> list[str]:
    """The text of each page, with plain spaces and without the places where words may break."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        pages = []
        for page in document:
            text = page.get_textpage().get_text_range()
            pages.append(" ".join(text.replace("\u200b", "").replace("\xa0", " ").replace("\ufffe", "").split()))
        return pages
    finally:
        document.close()


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read_xlsx(workbook: bytes) -> dict[str, list[list[str | float | None]]]:
    """Sheet → rows of cells; a text is a str, a number a float. A formula anywhere raises AssertionError."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        shared = [
            "".join(t.text or "" for t in item.iter(f"{NAMESPACE}t"))
            for item in ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
        ]
        names = [
            s.attrib["name"] for s in ElementTree.fromstring(archive.read("xl/workbook.xml")).iter(f"{NAMESPACE}sheet")
        ]
        sheets = {}
        for n, name in enumerate(names, 1):
            tree = ElementTree.fromstring(archive.read(f"xl/worksheets/sheet{n}.xml"))
            assert not list(tree.iter(f"{NAMESPACE}f")), "a formula"
            sheets[name] = [_read_row(row, shared) for row in tree.iter(f"{NAMESPACE}row")]
    return sheets


def _read_row(row: ElementTree.Element, shared: list[str]) -> list[str | float | None]:
    cells: dict[int, str | float] = {}
    for cell in row:
        column = 0
        for letter in cell.attrib["r"].rstrip("0123456789"):
            column = 26 * column + ord(letter) - 64
        value = cell.find(f"{NAMESPACE}v")
        if value is not None and value.text is not None:
            cells[column] = shared[int(value.text)] if cell.attrib.get("t") == "s" else float(value.text)
    return [cells.get(column) for column in range(1, max(cells, default=0) + 1)]


def read_table(rows: list[list[str | float | None]]) -> list[dict[str, str | float | None]]:
    """Rows under their headings; the line above these is the research-use line."""
    titles = rows[1]
    return [dict(zip(titles, [*row, *[None] * (len(titles) - len(row))], strict=True)) for row in rows[2:]]
