"""A case report as PDF/A: the case on its first page, then each field with its nuclei marked, as a printed photograph."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.reviewed import Origin
from nucleus_app.reports.case_report import CaseReport, FieldReport
from nucleus_app.reports.fonts import FAMILIES, typeset
from nucleus_app.reports.marks import PALETTES, Look, Palette, crop_field, draw_field, draw_mark
from nucleus_app.reports.printable import make_printable
from nucleus_app.reports.printed import print_case

TEMPLATE = Path(__file__).with_name("report.typ")
PHOTO_MM = (180.0, 180.0)
"""Room for a field's picture on its page, width and height."""
THUMBNAIL_PX = 160
JPEG_QUALITY = 86
BARS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BAR_MM = 36.0
"""A scale bar is at most so long on paper."""
LEGEND_PX = 40.0


class Picture(NamedTuple):
    """A field's picture on paper, in mm; ``bar`` in µm, None without a pixel size."""

    width_mm: float
    height_mm: float
    bar_um: int | None
    bar_mm: float


def render_pdf(
    report: CaseReport,
    read_pixels: Callable[[str], NDArray[np.uint8]],
    palette: str = "paper",
    sha256: str | None = None,
) -> bytes:
    """The report as PDF/A-2u, the same bytes for the same report and pixels.

    ``read_pixels`` gives the whole image (H, W, 3) of a field's ``blob``; one image is held at a time. ``palette`` is a key
    of PALETTES, ``sha256`` the hash of the frozen report. What people typed enters as data only, never as typst code.
    """
    chosen = PALETTES[palette]
    with tempfile.TemporaryDirectory(prefix="nucleus-report-") as folder:
        root = Path(folder)
        pictures = _draw_pictures(root, report, read_pixels, chosen)
        data = _make_printable(print_case(report, sha256))
        data["families"] = list(FAMILIES)
        data["legend"] = _draw_legend(root, chosen)
        for n, (field, picture) in enumerate(zip(data["fields"], pictures, strict=True)):
            field |= picture._asdict() | {"photo": f"field-{n}.jpg", "thumbnail": f"small-{n}.jpg"}
        (root / "data.json").write_text(json.dumps(data), "utf-8")
        shutil.copyfile(TEMPLATE, root / TEMPLATE.name)
        return typeset(root / TEMPLATE.name, _find_time(report))


def _draw_pictures(
    root: Path, report: CaseReport, read_pixels: Callable[[str], NDArray[np.uint8]], palette: Palette
) -> list[Picture]:
    """Write each field's picture and thumbnail; fields of one image follow one another, so that it is read once."""
    pictures: dict[int, Picture] = {}
    order = sorted(enumerate(report.fields), key=lambda item: item[1].blob)
    for blob, fields in groupby(order, key=lambda item: item[1].blob):
        pixels = read_pixels(blob)
        for n, field in fields:
            drawn = draw_field(pixels, field.box, field.nuclei, field.mpp, palette)
            drawn.save(root / f"field-{n}.jpg", quality=JPEG_QUALITY, subsampling=0)
            crop, _ = crop_field(pixels, field.box)
            small = Image.fromarray(np.ascontiguousarray(crop))
            small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), reducing_gap=2.0)
            small.save(root / f"small-{n}.jpg", quality=JPEG_QUALITY)
            pictures[n] = _place(field, crop.shape[1], crop.shape[0])
    return [pictures[n] for n in range(len(report.fields))]


def _place(field: FieldReport, width_px: int, height_px: int) -> Picture:
    mm_per_px = min(PHOTO_MM[0] / width_px, PHOTO_MM[1] / height_px)
    width_mm, height_mm = width_px * mm_per_px, height_px * mm_per_px
    if field.mpp is None:
        return Picture(width_mm, height_mm, None, 0.0)
    mm_per_um = mm_per_px / field.mpp
    bar_um = max((um for um in BARS_UM if um * mm_per_um <= BAR_MM), default=BARS_UM[0])
    return Picture(width_mm, height_mm, bar_um, bar_um * mm_per_um)


def _draw_legend(root: Path, palette: Palette) -> dict[str, Any]:
    looks = [(kind.title, Look(kind)) for kind in NucleusClass]
    looks.append(("changed by a person", Look(NucleusClass.NEGATIVE, Origin.EDITED.value)))
    looks.append(("placed by a person", Look(NucleusClass.NEGATIVE, Origin.PLACED.value)))
    looks.append(("left out, not counted", Look(NucleusClass.NEGATIVE, left_out=True)))
    for n, (_, look) in enumerate(looks):
        draw_mark(look, palette, LEGEND_PX).save(root / f"legend-{n}.png")
    return {
        "palette": palette.title,
        "marks": [{"text": text, "file": f"legend-{n}.png"} for n, (text, _) in enumerate(looks)],
    }


def _make_printable(data: dict[str, Any]) -> dict[str, Any]:
    """Every text of the data, wherever it lies, as it can be printed."""
    texts: set[str] = set()

    def note(text: str) -> str:
        texts.add(text)
        return text

    def visit(value: Any, say: Callable[[str], str]) -> Any:
        if isinstance(value, str):
            return say(value)
        if isinstance(value, dict):
            return {key: visit(part, say) for key, part in value.items()}
        return [visit(part, say) for part in value] if isinstance(value, list) else value

    visit(data, note)
    shown = make_printable(texts)
    printable: dict[str, Any] = visit(data, lambda text: shown[text].replace(" %", "\u00a0%"))
    return printable


def _find_time(report: CaseReport) -> int:
    """Seconds since 1970 of the signature, else of the numbers: the document's date is part of the report."""
    said = report.signature.at if report.signature else report.made
    try:
        time = datetime.fromisoformat(said)
    except ValueError:
        return 0
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
