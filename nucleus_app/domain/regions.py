"""Which points lie in a painted region. Pure geometry in float64, by formulas that JavaScript computes bit for bit alike:
nothing here is rasterised, and shortcuts only skip points that no rounding could bring in.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import Brush, Cells, Polygon, Shape

Xs = NDArray[np.float64]
Inside = NDArray[np.bool_]

BLOCK_SEGMENTS = 32
"""A stroke is tried by so many consecutive segments at once: they lie together, so few points are near them."""
BLOCK_PX = 256.0
PAIRS_AT_ONCE = 1_000_000
"""Pairs of a point and an edge that are held in memory."""
MARGIN_PX = 1.0
"""Boxes are wider by this than the region, so that they never decide."""


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def holds(self, x: Xs, y: Xs) -> Inside:
        inside: Inside = (x >= self.left) & (x <= self.right) & (y >= self.top) & (y <= self.bottom)
        return inside


def bound_shape(shape: Shape) -> Box:
    """A box outside of which no point (N,) of the shape lies."""
    if isinstance(shape, Cells):
        rows = sum(shape.runs) // shape.columns
        left, top = shape.left, shape.top
        right, bottom = left + shape.columns * shape.size, top + rows * shape.size
        reach = MARGIN_PX
    else:
        x, y = np.asarray(shape.pts[::2]), np.asarray(shape.pts[1::2])
        left, top, right, bottom = float(x.min()), float(y.min()), float(x.max()), float(y.max())
        reach = MARGIN_PX + (shape.r if isinstance(shape, Brush) else 0.0)
    return Box(left - reach, top - reach, right + reach, bottom + reach)


def find_inside(shape: Shape, x: Xs, y: Xs) -> Inside:
    """Which of the points (N,), (N,) lie in a shape: (N,) bool."""
    match shape:
        case Brush():
            return _in_brush(shape, x, y)
        case Polygon():
            return _in_polygon(shape, x, y)
        case Cells():
            return _in_cells(shape, x, y)


def _in_brush(brush: Brush, x: Xs, y: Xs) -> Inside:
    """For a segment from a to b: t = clamp(((px-ax)·dx + (py-ay)·dy) / (dx·dx + dy·dy), 0, 1), 0 where a is b; inside
    where ex·ex + ey·ey <= r·r with e = p - (a + t·d). One point alone is a disc.
    """
    px, py = np.asarray(brush.pts[::2]), np.asarray(brush.pts[1::2])
    if len(px) == 1:
        px, py = np.repeat(px, 2), np.repeat(py, 2)
    inside = np.zeros(len(x), np.bool_)
    reach = brush.r + MARGIN_PX
    for start, end in _list_blocks(px, py, brush.r):
        bx, by = px[start : end + 1], py[start : end + 1]
        box = Box(bx.min() - reach, by.min() - reach, bx.max() + reach, by.max() + reach)
        near = np.flatnonzero(box.holds(x, y) & ~inside)
        for part in _in_parts(near, len(bx) - 1):
            inside[part] = _near_segments(bx, by, brush.r, x[part], y[part])
    return inside


def _list_blocks(px: Xs, py: Xs, r: float) -> list[tuple[int, int]]:
    """Runs of consecutive segments, first and after the last: few enough and short enough to lie together."""
    length = np.hypot(np.diff(px), np.diff(py)).tolist()
    longest = max(BLOCK_PX, 2 * r)
    blocks, start, so_far = [], 0, 0.0
    for at, step in enumerate(length):
        if at > start and (at - start >= BLOCK_SEGMENTS or so_far + step > longest):
            blocks.append((start, at))
            start, so_far = at, 0.0
        so_far += step
    return [*blocks, (start, len(length))]


def _near_segments(bx: Xs, by: Xs, r: float, x: Xs, y: Xs) -> Inside:
    """Whether points (N,) are within r of any of the segments between consecutive (S + 1,) points."""
    ax, ay = bx[:-1], by[:-1]
    dx, dy = bx[1:] - ax, by[1:] - ay
    length2 = dx * dx + dy * dy
    along = (x[:, None] - ax) * dx + (y[:, None] - ay) * dy
    t = np.divide(along, length2, out=np.zeros_like(along), where=length2 > 0)
    t = np.minimum(np.maximum(t, 0.0), 1.0)
    ex, ey = x[:, None] - (ax + t * dx), y[:, None] - (ay + t * dy)
    near: Inside = np.any(ex * ex + ey * ey <= r * r, axis=1)
    return near


def _in_polygon(polygon: Polygon, x: Xs, y: Xs) -> Inside:
    """Even-odd over the edges from i to the one before it, j: (yi > y) ≠ (yj > y) and
    x < (xj - xi)·(y - yi) / (yj - yi) + xi.

    Only the points between an edge's heights are tried, which are exactly those of the first condition.
    """
    xi, yi = np.asarray(polygon.pts[::2]), np.asarray(polygon.pts[1::2])
    xj, yj = np.roll(xi, 1), np.roll(yi, 1)
    order = np.argsort(y, kind="stable")
    first = np.searchsorted(y[order], np.minimum(yi, yj), "left")
    after = np.searchsorted(y[order], np.maximum(yi, yj), "left")
    crossings = np.zeros(len(x), np.int64)
    for edges in _in_parts(np.flatnonzero(after > first), max(1, int((after - first).max(initial=1)))):
        n = (after - first)[edges]
        edge = np.repeat(edges, n)
        at = order[np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first[edges], n)]
        crossed = x[at] < (xj[edge] - xi[edge]) * (y[at] - yi[edge]) / (yj[edge] - yi[edge]) + xi[edge]
        crossings += np.bincount(at[crossed], minlength=len(x))
    inside: Inside = np.equal(crossings % 2, 1)
    return inside


def _in_cells(cells: Cells, x: Xs, y: Xs) -> Inside:
    """Column floor((x - left) / size), row floor((y - top) / size)."""
    ends = np.cumsum(cells.runs)
    rows = int(ends[-1]) // cells.columns
    column = np.floor((x - cells.left) / cells.size)
    row = np.floor((y - cells.top) / cells.size)
    within = (column >= 0) & (column < cells.columns) & (row >= 0) & (row < rows)
    cell = np.where(within, row * cells.columns + column, 0).astype(np.int64)
    is_on: Inside = np.searchsorted(ends, cell, "right") % 2 == 1
    inside: Inside = within & is_on
    return inside


def _in_parts(items: NDArray[np.intp], pairs_each: int) -> list[NDArray[np.intp]]:
    """Items in parts of few enough pairs."""
    step = max(1, PAIRS_AT_ONCE // pairs_each)
    return [items[start : start + step] for start in range(0, len(items), step)]


def encode_runs(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Alternating run lengths off, on, off … of a mask (rows, columns), row by row."""
    flat = np.concatenate([[False], mask.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return tuple(np.diff(np.concatenate([[0], changes, [mask.size]])).tolist())
