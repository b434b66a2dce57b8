"""What is painted on an image after all corrections: the outlines of each label's area, by clipping of polygons (Clipper, Vatti 1992).

:mod:`nucleus_app.domain.regions` says exactly which nuclei a region covers; outlines are for eyes and for other programs, and good to
``TOLERANCE_PX``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyclipper
from numpy.typing import NDArray

from nucleus_app.domain.edits import Brush, Cells, Polygon, Region, RegionLabel, Shape
from nucleus_app.domain.outlines import Outline

TOLERANCE_PX = 0.05
UNITS = 1000
"""Clipper counts in whole numbers: thousandths of a pixel."""
SMALLEST_PX2 = 0.05
"""Slivers, such as rounding leaves between two strokes, are no areas."""
SEGMENTS_AT_ONCE = 32
"""A stroke is widened in pieces, since the time for one that crosses itself grows with the square of its length."""
WIPES = (RegionLabel.ERASE, RegionLabel.UNREVIEWED)
Path = Sequence[Sequence[float]]


def outline_painted(regions: Iterable[Region], width: int, height: int) -> dict[RegionLabel, tuple[Outline, ...]]:
    """The area of each label within the image, in pixels; no two of one layer overlap. Each outline is one piece with its holes.

    ``regions`` in the order in which they were painted: later ones take the place of earlier ones of their layer. Labels of which
    nothing is left are not in it.
    """
    areas: dict[RegionLabel, list[Path]] = {}
    for label, same in groupby(regions, key=lambda region: region.label):
        painted = _combine(pyclipper.CT_UNION, [path for region in same for path in _list_paths(region.shape)])
        for other in [other for other in areas if other.is_tissue == label.is_tissue and other is not label]:
            areas[other] = _combine(pyclipper.CT_DIFFERENCE, areas[other], painted)
        if label not in WIPES:
            areas[label] = _combine(pyclipper.CT_UNION, areas.get(label, []), painted)
    image = [_box(-0.5, -0.5, width - 0.5, height - 0.5)]
    outlines = {label: _list_outlines(paths, image) for label, paths in areas.items()}
    return {label: outlines[label] for label in RegionLabel if outlines.get(label)}


def _list_paths(shape: Shape) -> list[Path]:
    """A shape as rings that do not cross, outer ones and holes turning opposite ways."""
    match shape:
        case Brush(r, pts):
            return _widen(_to_units(pts), r)
        case Polygon(pts):
            return list(pyclipper.SimplifyPolygon(_to_units(pts), pyclipper.PFT_EVENODD))
        case Cells():
            return [_box(*cells) for cells in _list_strips(shape)]


def _widen(line: list[list[int]], r: float) -> list[Path]:
    """All that lies within ``r`` of a line, in overlapping pieces."""
    pieces: list[Path] = []
    for start in range(0, max(1, len(line) - 1), SEGMENTS_AT_ONCE):
        offset = pyclipper.PyclipperOffset(arc_tolerance=TOLERANCE_PX * UNITS)
        offset.AddPath(line[start : start + SEGMENTS_AT_ONCE + 1], pyclipper.JT_ROUND, pyclipper.ET_OPENROUND)
        pieces += offset.Execute(r * UNITS)
    return pieces


def _list_strips(cells: Cells) -> NDArray[np.float64]:
    """Cells that are on and follow one another in a row, as boxes (N, 4): left, top, right, bottom."""
    ends = np.cumsum(cells.runs)
    starts, ends = ends[0::2][: len(cells.runs) // 2], ends[1::2]
    strips = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        for row in range(start // cells.columns, -(-end // cells.columns)):
            first = max(start - row * cells.columns, 0)
            last = min(end - row * cells.columns, cells.columns)
            strips.append((first, row, last, row + 1))
    return np.array(strips, np.float64).reshape(-1, 4) * cells.size + (cells.left, cells.top) * 2


def _box(left: float, top: float, right: float, bottom: float) -> Path:
    return _to_units((left, top, right, top, right, bottom, left, bottom))


def _to_units(pts: Sequence[float]) -> list[list[int]]:
    units: list[list[int]] = np.rint(np.array(pts, np.float64).reshape(-1, 2) * UNITS).astype(np.int64).tolist()
    return units


def _combine(operation: int, subject: Sequence[Path], clip: Sequence[Path] = ()) -> list[Path]:
    return list(pyclipper.PolyTreeToPaths(_clip(operation, subject, clip)))


def _clip(operation: int, subject: Sequence[Path], clip: Sequence[Path]) -> Any:
    """A tree: pieces, below each its holes, below each of these the islands in it."""
    clipper, fill, is_empty = pyclipper.Pyclipper(), pyclipper.PFT_NONZERO, True
    for paths, role in ((subject, pyclipper.PT_SUBJECT), (clip, pyclipper.PT_CLIP)):
        for path in paths:
            if len(path) >= 3 and pyclipper.Area(path):  # Clipper refuses what has no area, and to work on nothing
                clipper.AddPath(path, role, True)
                is_empty = False
    return pyclipper.PyPolyNode() if is_empty else clipper.Execute2(operation, fill, fill)


def _list_outlines(paths: list[Path], image: list[Path]) -> tuple[Outline, ...]:
    """What lies within the image, piece by piece."""
    outlines, open_ = [], list(_clip(pyclipper.CT_INTERSECTION, paths, image).Childs)
    while open_:
        outer = open_.pop()
        open_ += [island for hole in outer.Childs for island in hole.Childs]
        rings = [np.array(node.Contour, np.float64) / UNITS for node in (outer, *outer.Childs)]
        outline = Outline(tuple(rings), (False, *[True] * len(outer.Childs)))
        if outline.area_px2 >= SMALLEST_PX2:
            outlines.append(outline)
    return tuple(sorted(outlines, key=lambda outline: outline.rings[0].min(axis=0).tolist()))
