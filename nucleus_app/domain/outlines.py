"""Outlines of areas: their centres, their part within an image, and their form as a region of a review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import MAX_POINT_NUMBERS, MAX_RUNS, Bounds, Cells, Polygon, Shape
from nucleus_app.domain.regions import encode_runs

Ring = NDArray[np.float64]
"""Corners (V, 2) in image pixels, in order; the last joins the first."""
MAX_CELLS = 4_000_000
DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Outline:
    """What is inside an odd number of rings. ``are_holes`` says of each ring whether it cuts out."""

    rings: tuple[Ring, ...]
    are_holes: tuple[bool, ...]

    @property
    def area_px2(self) -> float:
        return sum(
            (-1 if hole else 1) * abs(float(_cross(ring, np.roll(ring, -1, axis=0)).sum())) / 2
            for ring, hole in zip(self.rings, self.are_holes, strict=True)
        )

    def move(self, by: NDArray[np.float64]) -> Outline:
        return Outline(tuple(ring + by for ring in self.rings), self.are_holes)

    def clip_to(self, width: int, height: int) -> Outline | None:
        """The part within an image; None where there is none (Sutherland, Hodgman, CACM 1974)."""
        kept = [
            (clipped, hole)
            for ring, hole in zip(self.rings, self.are_holes, strict=True)
            if len(clipped := _clip(ring, width - 0.5, height - 0.5)) >= 3
        ]
        return Outline(tuple(ring for ring, _ in kept), tuple(hole for _, hole in kept)) if kept else None

    def to_shape(self, bounds: Bounds) -> Shape:
        """As a shape that a region may have: one path through all rings where it is short enough, joined from the first
        corner to each ring's and back, which even-odd does not see; else as cells, as fine as there may be.
        """
        anchor = self.rings[0][:1]
        parts = [self.rings[0]]
        for ring in self.rings[1:]:
            parts += [anchor, ring, ring[:1]]
        path = np.round(np.concatenate(parts), DECIMALS)
        length = float(np.hypot(*np.diff(path, axis=0).T).sum())
        if path.size <= MAX_POINT_NUMBERS and length <= bounds.longest_path_px:
            return Polygon(tuple(path.ravel().tolist()))
        return _to_cells(self)


def are_within(xy: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    """Which points (N, 2) lie in an image, its border included."""
    x, y = xy[:, 0], xy[:, 1]
    within: NDArray[np.bool_] = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return within


def find_centres(outlines: Sequence[Outline]) -> NDArray[np.float64]:
    """A point (N, 2) inside each outline: its centre of mass or, where that is outside, the middle of the widest part at
    that height. Linear in the corners.
    """
    if not outlines:
        return np.empty((0, 2))
    rings = [ring for outline in outlines for ring in outline.rings]
    holes = np.array([hole for outline in outlines for hole in outline.are_holes])
    area_of_ring = np.repeat(np.arange(len(outlines)), [len(outline.rings) for outline in outlines])
    sizes = np.array([len(ring) for ring in rings])
    starts = np.cumsum(sizes) - sizes
    area_of_corner = np.repeat(area_of_ring, sizes)
    first = np.stack([outline.rings[0][0] for outline in outlines])
    here = np.concatenate(rings) - first[area_of_corner]  # small numbers: cross products of large ones cancel
    after = np.arange(len(here)) + 1
    after[starts + sizes - 1] = starts
    there = here[after]
    cross = _cross(here, there)
    ring_sign = np.sign(np.add.reduceat(cross, starts)) * np.where(holes, -1, 1)
    weight = cross * np.repeat(ring_sign, sizes)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(area_of_corner, values, len(outlines)).astype(np.float64)

    mass, corners = total(weight), total(np.ones(len(here)))
    moment = np.stack([total((here[:, axis] + there[:, axis]) * weight) for axis in (0, 1)], axis=1)
    centre = np.stack([total(here[:, axis]) / corners for axis in (0, 1)], axis=1)
    solid = mass > 0
    centre[solid] = moment[solid] / (3 * mass[solid, None])
    x, y = centre[area_of_corner].T
    spans = (here[:, 1] > y) != (there[:, 1] > y)
    at = here[spans, 0] + (y[spans] - here[spans, 1]) * (there - here)[spans, 0] / (there - here)[spans, 1]
    crossed = np.bincount(area_of_corner[spans], at > x[spans], len(outlines))
    centre += first
    for outside in np.flatnonzero(solid & (crossed % 2 == 0)).tolist():
        centre[outside, 0] = _find_widest(outlines[outside], float(centre[outside, 1]), float(centre[outside, 0]))
    return centre


def _find_widest(outline: Outline, y: float, otherwise: float) -> float:
    """The x in the middle of the widest part at a height."""
    crossings = np.sort(np.concatenate([_cross_height(ring, y) for ring in outline.rings]))
    if len(crossings) < 2:
        return otherwise
    widest = 2 * int(np.argmax(crossings[1::2] - crossings[: len(crossings) // 2 * 2 : 2]))
    return float(crossings[widest] + crossings[widest + 1]) / 2


def _cross_height(ring: Ring, y: float) -> NDArray[np.float64]:
    """Where a ring crosses a height."""
    here, there = ring, np.roll(ring, -1, axis=0)
    spans = (here[:, 1] > y) != (there[:, 1] > y)
    (xi, yi), (xj, yj) = here[spans].T, there[spans].T
    crossings: NDArray[np.float64] = xi + (y - yi) * (xj - xi) / (yj - yi)
    return crossings


def _cross(here: Ring, there: Ring) -> NDArray[np.float64]:
    product: NDArray[np.float64] = here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1]
    return product


def _clip(ring: Ring, right: float, bottom: float) -> Ring:
    for axis, limit, sign in ((0, -0.5, 1.0), (0, right, -1.0), (1, -0.5, 1.0), (1, bottom, -1.0)):
        depth = sign * (ring[:, axis] - limit)  # negative is outside
        if (depth >= 0).all():
            continue
        if (depth < 0).all():
            return np.empty((0, 2))
        ring = _cut(ring, depth, axis, limit)
    return ring


def _cut(ring: Ring, depth: NDArray[np.float64], axis: int, limit: float) -> Ring:
    """The part of a ring on the inner side of a line, which some corners are on and some are not."""
    there, depth_there = np.roll(ring, -1, axis=0), np.roll(depth, -1)
    crosses = (depth < 0) != (depth_there < 0)
    share = np.divide(depth, depth - depth_there, out=np.zeros(len(ring)), where=crosses)
    at = ring + share[:, None] * (there - ring)
    at[:, axis] = limit
    # Of each side first its crossing, then its end, as far as there are such.
    both = np.stack([at, there], axis=1).reshape(-1, 2)
    kept: Ring = both[np.stack([crosses, depth_there >= 0], axis=1).ravel()]
    return kept


def _to_cells(outline: Outline) -> Cells:
    """Cells whose middle is inside."""
    corners = np.concatenate(outline.rings)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    size = 1
    while True:
        columns, rows = max(1, int(np.ceil((right - left) / size))), max(1, int(np.ceil((bottom - top) / size)))
        if columns * rows <= MAX_CELLS:
            runs = encode_runs(_fill(outline, left, top, size, (rows, columns)))
            if len(runs) <= MAX_RUNS:
                return Cells(float(left), float(top), size, columns, runs)
        size *= 2


def _fill(outline: Outline, left: float, top: float, size: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which cells' middles are inside, (rows, columns): every edge turns over all cells to its right, in its rows."""
    rows, columns = shape
    here = np.concatenate(outline.rings)
    there = np.concatenate([np.roll(ring, -1, axis=0) for ring in outline.rings])
    (xi, yi), (xj, yj) = ((here - (left, top)) / size - 0.5).T, ((there - (left, top)) / size - 0.5).T
    first = np.clip(np.ceil(np.minimum(yi, yj)), 0, rows).astype(np.int64)
    after = np.clip(np.ceil(np.maximum(yi, yj)), 0, rows).astype(np.int64)
    n = after - first
    edge = np.repeat(np.arange(len(here)), n)
    row = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + first[edge]
    x = xi[edge] + (row - yi[edge]) * (xj - xi)[edge] / (yj - yi)[edge]
    column = np.clip(np.ceil(x), 0, columns).astype(np.int64)
    turns = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1)).reshape(rows, columns + 1)
    inside: NDArray[np.bool_] = np.cumsum(turns, axis=1)[:, :columns] % 2 == 1
    return inside
