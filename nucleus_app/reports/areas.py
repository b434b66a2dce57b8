"""Painted areas on a printed field: those that keep nuclei from being counted, outlined and tinted as on the page."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageDraw

from nucleus_app.domain.edits import RegionLabel
from nucleus_app.reports.case_report import PaintedArea

REGION_COLOURS = {
    RegionLabel.TUMOUR: (214, 51, 108),
    RegionLabel.NON_TUMOUR: (11, 114, 133),
    RegionLabel.EXCLUDE: (40, 40, 40),
    RegionLabel.REVIEWED: (103, 65, 217),
}
"""Those of the page (palettes.js)."""
PRINTED = {RegionLabel.EXCLUDE: "excluded, not counted", RegionLabel.NON_TUMOUR: "non-tumour region, not counted"}
TINT_ALPHA = 46
LINE_PX, HALO_PX = 3, 7
"""Of a dark line and of the white one under it, in pixels of the drawn field."""


def select_printed(areas: Iterable[PaintedArea]) -> list[PaintedArea]:
    """Those that are drawn; tumour and reviewed areas change no number."""
    return [area for area in areas if area.label in PRINTED]


def draw_areas(image: Image.Image, areas: Iterable[PaintedArea], corner: tuple[int, int], scale: float) -> None:
    """Draw on a picture (RGB) of ``scale`` pixels for one of the areas' image, of which ``corner`` is the upper left pixel."""
    for area in areas:
        rings = [_place(ring, corner, scale) for ring in area.rings]
        mask = Image.new("L", image.size)
        draw = ImageDraw.Draw(mask)
        for ring, tint in zip(rings, (TINT_ALPHA, *[0] * len(rings)), strict=False):
            draw.polygon(ring, fill=tint)
        colour = REGION_COLOURS[RegionLabel(area.label)]
        image.paste(colour, mask=mask)
        lines = ImageDraw.Draw(image)
        for ring in rings:
            for fill, width in (((255, 255, 255), HALO_PX), (colour, LINE_PX)):
                lines.line([*ring, *ring[:2]], fill, width, joint="curve")


def _place(ring: tuple[float, ...], corner: tuple[int, int], scale: float) -> list[tuple[float, float]]:
    """Pixel centres lie at integers, so a place is drawn half an image pixel further in, as marks are."""
    left, top = corner
    return [((x + 0.5 - left) * scale, (y + 0.5 - top) * scale) for x, y in zip(ring[::2], ring[1::2], strict=True)]


def draw_sample(label: RegionLabel, side_px: int) -> Image.Image:
    """A piece of such an area for the legend, RGBA."""
    image = Image.new("RGB", (side_px, side_px), (255, 255, 255))
    near, far = side_px * 0.15 - 0.5, side_px * 0.85 - 0.5
    draw_areas(image, [PaintedArea(0, label, ((near, near, far, near, far, far, near, far),))], (0, 0), 1.0)
    return image
