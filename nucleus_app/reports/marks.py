"""Marks of nuclei, drawn on a field as the page draws them (ui/viewer/static/palettes.js): shapes differ by class in every
palette, so that a print in grey tells them apart too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.reviewed import Origin
from nucleus_app.domain.sheet import FieldBox
from nucleus_app.reports.areas import draw_areas
from nucleus_app.reports.case_report import NucleusMark, PaintedArea

Colour = tuple[int, int, int]
REACH = 1.75
"""How far a mark may reach beyond its radius, in radii."""
LEFT_OUT_ALPHA = 0.45
"""More than on the page: paper shows less."""
BY_A_PERSON = (Origin.EDITED, Origin.PLACED)
"""Origins that have a ring, and are drawn over the others."""
MARK_UM = 2.6
SMALLEST_PX, LARGEST_PX = 4.5, 15.0
CROWDING = 0.24
"""Largest radius as a share of the mean distance between nuclei, so that the tissue shows."""
FINENESS = 4
"""Marks are drawn this many times larger, then made smaller: smooth edges."""
MAX_SIDE_PX, SMALL_SIDE_PX = 1800, 1400
"""Longest side of a drawn field; smaller ones are enlarged (twice at most) to the second, so that marks are smooth."""


@dataclass(frozen=True, slots=True)
class Palette:
    title: str
    colours: tuple[Colour, Colour, Colour]


PALETTES = {
    "paper": Palette("Paper (yellow, red, green)", ((255, 225, 0), (230, 25, 25), (0, 165, 70))),
    "qupath": Palette("QuPath (red, blue, grey)", ((250, 62, 62), (112, 112, 225), (120, 120, 120))),
    "safe": Palette("Colour-blind safe", ((213, 94, 0), (0, 114, 178), (0, 158, 115))),
}


class Look(NamedTuple):
    """All that decides how a mark looks, but for its size. What was imported looks as the network's: no person of the case made it."""

    kind: int
    origin: str = Origin.NETWORK.value
    left_out: bool = False


def draw_mark(look: Look, palette: Palette, radius_px: float) -> Image.Image:
    """One mark in the middle of a transparent square, RGBA."""
    side = 2 * math.ceil(REACH * radius_px + 2)
    pen = _Pen(side * FINENESS)
    r, c = radius_px * FINENESS, side * FINENESS / 2
    if look.origin == Origin.PLACED:
        _outline(pen, lambda width, fill: _ticks(pen, c, r, width, fill), r)
    if look.origin in BY_A_PERSON:
        _outline(pen, lambda width, fill: pen.ring(c, 1.45 * r, width, fill), r)
    colour = palette.colours[look.kind]
    if look.kind == NucleusClass.POSITIVE:
        pen.disc(c, 0.8 * r, (*colour, 255))
        pen.ring(c, 0.8 * r, max(FINENESS, 0.18 * r), (0, 0, 0, 191))
    else:
        stroke = pen.ring if look.kind == NucleusClass.NEGATIVE else pen.square
        size = r if look.kind == NucleusClass.NEGATIVE else 0.72 * r
        stroke(c, size, max(2.5 * FINENESS, 0.55 * r), (255, 255, 255, 191))
        stroke(c, size, max(1.5 * FINENESS, 0.3 * r), (*colour, 255))
    mark = pen.image.resize((side, side), Image.Resampling.BOX)
    if look.left_out:
        mark.putalpha(mark.getchannel("A").point([round(a * LEFT_OUT_ALPHA) for a in range(256)]))
    return mark


class _Pen:
    """Draws shapes over one another, each blended with what is under it."""

    def __init__(self, side: int) -> None:
        self.image = Image.new("RGBA", (side, side))

    def _over(self, fill: tuple[int, int, int, int], draw: Callable[[ImageDraw.ImageDraw], None]) -> None:
        layer = Image.new("RGBA", self.image.size, (*fill[:3], 0))
        draw(ImageDraw.Draw(layer))
        self.image.alpha_composite(layer)

    def disc(self, c: float, r: float, fill: tuple[int, int, int, int]) -> None:
        self._over(fill, lambda d: d.ellipse((c - r, c - r, c + r, c + r), fill=fill))

    def ring(self, c: float, r: float, width: float, fill: tuple[int, int, int, int]) -> None:
        out = r + width / 2
        self._over(fill, lambda d: d.ellipse((c - out, c - out, c + out, c + out), outline=fill, width=round(width)))

    def square(self, c: float, half: float, width: float, fill: tuple[int, int, int, int]) -> None:
        out = half + width / 2
        self._over(
            fill,
            lambda d: d.rounded_rectangle(
                (c - out, c - out, c + out, c + out), radius=width / 2, outline=fill, width=round(width)
            ),
        )

    def line(self, ends: tuple[float, float, float, float], width: float, fill: tuple[int, int, int, int]) -> None:
        self._over(fill, lambda d: d.line(ends, fill=fill, width=round(width)))


def _ticks(pen: _Pen, c: float, r: float, width: float, fill: tuple[int, int, int, int]) -> None:
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        ends = (c + 1.45 * r * dx, c + 1.45 * r * dy, c + REACH * r * dx, c + REACH * r * dy)
        pen.line(ends, width, fill)


def _outline(pen: _Pen, draw: Callable[[float, tuple[int, int, int, int]], None], r: float) -> None:
    """A black line with a white one under it, to be seen on any tissue."""
    draw(max(2 * FINENESS, 0.32 * r), (255, 255, 255, 230))
    draw(max(FINENESS, 0.14 * r), (0, 0, 0, 230))


def crop_field(pixels: NDArray[np.uint8], box: FieldBox) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The pixels (H, W, 3) of a box, at least one, and its top-left pixel (x, y)."""
    height, width = pixels.shape[:2]
    left, top = min(max(0, math.floor(box.left)), width - 1), min(max(0, math.floor(box.top)), height - 1)
    right, bottom = max(left + 1, math.ceil(box.right)), max(top + 1, math.ceil(box.bottom))
    return pixels[top:bottom, left:right], (left, top)


def draw_field(
    pixels: NDArray[np.uint8],
    box: FieldBox,
    nuclei: Iterable[NucleusMark],
    mpp: float | None,
    palette: Palette,
    longest_px: int = MAX_SIDE_PX,
    areas: Iterable[PaintedArea] = (),
) -> Image.Image:
    """The crop of a field with ``areas`` outlined and every nucleus marked, at most ``longest_px`` on its longer side."""
    crop, (left, top) = crop_field(pixels, box)
    height, width = crop.shape[:2]
    scale = _find_scale(max(height, width), longest_px)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(np.ascontiguousarray(crop)).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    draw_areas(image, areas, (left, top), scale)
    marks = sorted(nuclei, key=lambda mark: (not mark.left_out, mark.origin in BY_A_PERSON))
    radius = _find_radius(size, len(marks), mpp / scale if mpp else None)
    sprites: dict[Look, Image.Image] = {}
    for mark in marks:
        look = Look(mark.kind, mark.origin, mark.left_out)
        sprite = sprites.get(look) or sprites.setdefault(look, draw_mark(look, palette, radius))
        # Pixel centres lie at integers, so a point is drawn half an image pixel further in.
        x, y = (mark.x_px + 0.5 - left) * scale, (mark.y_px + 0.5 - top) * scale
        image.paste(sprite, (round(x - sprite.width / 2), round(y - sprite.height / 2)), sprite)
    return image


def _find_scale(side_px: int, longest_px: int) -> float:
    if side_px > longest_px:
        return longest_px / side_px
    return max(1.0, min(2.0, min(SMALL_SIDE_PX, longest_px) / side_px))


def _find_radius(size: tuple[int, int], n: int, mpp: float | None) -> float:
    """In pixels of the drawn image: as large as a nucleus, smaller where they crowd."""
    nucleus = MARK_UM / mpp if mpp else LARGEST_PX
    crowd = CROWDING * math.sqrt(size[0] * size[1] / max(1, n))
    return max(SMALLEST_PX, min(nucleus, crowd, LARGEST_PX))
