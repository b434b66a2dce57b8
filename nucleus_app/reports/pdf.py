"""A case report as PDF/A: the case on its first page, then each field with its nuclei marked, as a printed photograph."""

from __future__ import annotations

import json
import math
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
from nucleus_app.reports.areas import PRINTED, draw_sample, select_printed
from nucleus_app.reports.case_report import CaseReport, FieldReport, PaintedArea
from nucleus_app.reports.fonts import FAMILIES, forget, typeset
from nucleus_app.reports.marks import MAX_SIDE_PX, PALETTES, Look, Palette, crop_field, draw_field, draw_mark
from nucleus_app.reports.printable import make_printable
from nucleus_app.reports.printed import print_case

TEMPLATE = Path(__file__).with_name("report.typ")
PHOTO_MM = (180.0, 180.0)
"""Room for a field's picture on its page, width and height."""
THUMBNAIL_PX = 160
OVERVIEW_MM = (44.0, 30.0)
"""Room for the slide or the whole image beside the facts of a field."""
OVERVIEW_PX = 480
"""Longest side of that picture, about 270 dpi."""
SMALLEST_PLACE_MM = 1.6
"""A field is drawn at least so large on the overview, or it would not be found on a whole slide."""
JPEG_QUALITY = 86
MANY_FIELDS, MANY_SIDE_PX = 40, 1200
"""With more fields than the first their pictures have at most so many pixels a side (170 dpi), or the file grows too large."""
ALL_PICTURES_PX = 120_000_000
"""So many pixels have all pictures of very many fields: 150 fields take 1.5 GB while they are set."""
BARS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BAR_MM = 36.0
"""A scale bar is at most so long on paper."""
LEGEND_PX = 40.0
SAMPLE_PX = 72


class Overview(NamedTuple):
    """A field's slide or whole image on paper, and the place of the field on it: left, top, width and height in mm."""

    title: str
    file: str
    width_mm: float
    height_mm: float
    place_mm: tuple[float, float, float, float]


class Picture(NamedTuple):
    """A field's picture on paper, in mm; ``bar`` in µm, None without a pixel size. A field that is its image has no overview, unless that was cut out
    of a slide.
    """

    width_mm: float
    height_mm: float
    bar_um: int | None
    bar_mm: float
    overview: Overview | None


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
        data["legend"] = _draw_legend(root, chosen, select_printed(report.painted))
        for n, (field, picture) in enumerate(zip(data["fields"], pictures, strict=True)):
            field |= picture._asdict() | {
                "overview": picture.overview and picture.overview._asdict(),
                "photo": f"field-{n}.jpg",
                "thumbnail": f"small-{n}.jpg",
            }
        (root / "data.json").write_text(json.dumps(data), "utf-8")
        shutil.copyfile(TEMPLATE, root / TEMPLATE.name)
        try:
            return typeset(root / TEMPLATE.name, _find_time(report))
        finally:
            forget()


def _draw_pictures(
    root: Path, report: CaseReport, read_pixels: Callable[[str], NDArray[np.uint8]], palette: Palette
) -> list[Picture]:
    """Write each field's picture and thumbnail; fields of one image follow one another, so that it is read once."""
    pictures: dict[int, Picture] = {}
    n_fields = max(1, len(report.fields))
    longest_px = min(MAX_SIDE_PX if n_fields <= MANY_FIELDS else MANY_SIDE_PX, math.isqrt(ALL_PICTURES_PX // n_fields))
    order = sorted(enumerate(report.fields), key=lambda item: item[1].blob)
    for n_image, (blob, fields) in enumerate(groupby(order, key=lambda item: item[1].blob)):
        pixels, own = read_pixels(blob), ""
        for n, field in fields:
            areas = select_printed(report.list_painted(field.image_id))
            drawn = draw_field(pixels, field.box, field.nuclei, field.mpp, palette, longest_px, areas)
            drawn.save(root / f"field-{n}.jpg", quality=JPEG_QUALITY, subsampling=0)
            crop, _ = crop_field(pixels, field.box)
            small = Image.fromarray(np.ascontiguousarray(crop))
            small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), reducing_gap=2.0)
            small.save(root / f"small-{n}.jpg", quality=JPEG_QUALITY)
            if field.slide and field.slide.overview:
                overview = _draw_slide(root, field.slide.overview, read_pixels)
            elif field.is_whole_image:
                overview = ""
            else:
                overview = own = own or _save_overview(root, f"overview-{n_image}.jpg", pixels)
            pictures[n] = _place(field, crop.shape[1], crop.shape[0], overview)
    return [pictures[n] for n in range(len(report.fields))]


def _draw_slide(root: Path, blob: str, read_pixels: Callable[[str], NDArray[np.uint8]]) -> str:
    """The picture of a slide, written once."""
    file = f"slide-{blob}.jpg"
    return file if (root / file).exists() else _save_overview(root, file, read_pixels(blob))


def _save_overview(root: Path, file: str, pixels: NDArray[np.uint8]) -> str:
    _shrink(pixels, OVERVIEW_PX).save(root / file, quality=JPEG_QUALITY)
    return file


def _shrink(pixels: NDArray[np.uint8], longest_px: int) -> Image.Image:
    """The image, small. Of a large one every few pixels are enough, and Pillow need not copy it."""
    step = max(1, max(pixels.shape[:2]) // (4 * longest_px))
    small = Image.fromarray(np.ascontiguousarray(pixels[::step, ::step]))
    small.thumbnail((longest_px, longest_px))
    return small


def _place(field: FieldReport, width_px: int, height_px: int, overview: str) -> Picture:
    mm_per_px = min(PHOTO_MM[0] / width_px, PHOTO_MM[1] / height_px)
    width_mm, height_mm = width_px * mm_per_px, height_px * mm_per_px
    found = place_on_overview(field, overview) if overview else None
    if field.mpp is None:
        return Picture(width_mm, height_mm, None, 0.0, found)
    mm_per_um = mm_per_px / field.mpp
    bar_um = max((um for um in BARS_UM if um * mm_per_um <= BAR_MM), default=BARS_UM[0])
    return Picture(width_mm, height_mm, bar_um, bar_um * mm_per_um, found)


def place_on_overview(field: FieldReport, file: str) -> Overview:
    """Where the field lies on its slide, or else in its image, in mm from the corner; a tiny one is drawn larger about its middle,
    within the picture.
    """
    box, slide = field.box, field.slide if field.slide and field.slide.overview else None
    # Pixel centres lie at integers: the image's corner is at -0.5. Places on a slide go by corners.
    corner = (slide.left_px, slide.top_px) if slide else (box.left + 0.5, box.top + 0.5)
    width_px, height_px = (slide.width_px, slide.height_px) if slide else (field.width_px, field.height_px)
    mm_per_px = min(OVERVIEW_MM[0] / width_px, OVERVIEW_MM[1] / height_px)
    width_mm, height_mm = width_px * mm_per_px, height_px * mm_per_px

    def span(low_px: float, length_px: float, whole_mm: float) -> tuple[float, float]:
        size = min(whole_mm, max(SMALLEST_PLACE_MM, length_px * mm_per_px))
        middle = (low_px + length_px / 2) * mm_per_px
        return min(max(0.0, middle - size / 2), whole_mm - size), size

    left, width = span(corner[0], box.right - box.left, width_mm)
    top, height = span(corner[1], box.bottom - box.top, height_mm)
    return Overview("The slide" if slide else "The whole image", file, width_mm, height_mm, (left, top, width, height))


def _draw_legend(root: Path, palette: Palette, areas: list[PaintedArea]) -> dict[str, Any]:
    looks = [(kind.title, Look(kind)) for kind in NucleusClass]
    looks.append(("changed or confirmed by a person", Look(NucleusClass.NEGATIVE, Origin.EDITED.value)))
    looks.append(("placed by a person", Look(NucleusClass.NEGATIVE, Origin.PLACED.value)))
    looks.append(("left out, not counted", Look(NucleusClass.NEGATIVE, left_out=True)))
    samples = [(text, draw_mark(look, palette, LEGEND_PX)) for text, look in looks]
    painted = {area.label for area in areas}
    samples += [(text, draw_sample(label, SAMPLE_PX)) for label, text in PRINTED.items() if label in painted]
    for n, (_, sample) in enumerate(samples):
        sample.save(root / f"legend-{n}.png")
    return {
        "palette": palette.title,
        "marks": [{"text": text, "file": f"legend-{n}.png"} for n, (text, _) in enumerate(samples)],
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
    printable: dict[str, Any] = visit(data, lambda text: _hold_together(shown[text]))
    return printable


def _hold_together(text: str) -> str:
    """No line ends between a number and its sign."""
    return text.replace(" %", "\u00a0%").replace(" × ", "\u00a0×\u00a0")


def _find_time(report: CaseReport) -> int:
    """Seconds since 1970 of the signature, else of the numbers: the document's date is part of the report."""
    said = report.signature.at if report.signature else report.made
    try:
        time = datetime.fromisoformat(said)
    except ValueError:
        return 0
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
