"""Where positivity is high: the labelling index over an image, in square cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.summed_area import Indices, SummedArea, count_bins

CELL_UM = 50.0
"""Cells are at least so wide."""
MAX_CELLS_A_SIDE = 200
SMOOTHED_OVER_UM = 250.0
"""A cell's index is of the nuclei in a square about so wide around it: a cell alone holds too few."""
MIN_NUCLEI = 30
"""Fewer tumour nuclei in that square give no index."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Square cells of ``size_px`` from the image's top left corner, which is at (-0.5, -0.5).

    ``percent`` (rows, columns) float64, NaN where too few tumour nuclei are near; ``tumour`` (rows, columns): tumour
    nuclei in the cell itself.
    """

    size_px: float
    percent: NDArray[np.float64]
    tumour: Indices


def draw_heat_map(
    xy: NDArray[np.floating], is_positive: NDArray[np.bool_], size: tuple[int, int], mpp: float
) -> HeatMap:
    """The index around each cell. ``xy`` (N, 2) pixels of tumour nuclei, ``is_positive`` (N,), ``size`` width and height
    in pixels. Nuclei up to half a pixel beyond the border pixels' centres are in the image, others are not.
    """
    width, height = size
    size_px = max(CELL_UM / mpp, max(width, height) / MAX_CELLS_A_SIDE)
    shape = (max(1, math.ceil(height / size_px - 1e-9)), max(1, math.ceil(width / size_px - 1e-9)))
    x, y = xy[:, 0].astype(np.float64) + 0.5, xy[:, 1].astype(np.float64) + 0.5
    within = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    column = np.minimum((x[within] / size_px).astype(np.int64), shape[1] - 1)
    row = np.minimum((y[within] / size_px).astype(np.int64), shape[0] - 1)
    tumour = count_bins(column, row, shape)
    is_on = is_positive[within]
    positive = count_bins(column[is_on], row[is_on], shape)
    reach = max(0, round((SMOOTHED_OVER_UM / (size_px * mpp) - 1) / 2))
    near, positive_near = _sum_around(tumour, reach), _sum_around(positive, reach)
    percent = np.full(shape, np.nan)
    np.divide(100.0 * positive_near, near, out=percent, where=near >= MIN_NUCLEI)
    return HeatMap(size_px, percent, tumour)


def _sum_around(counts: Indices, reach: int) -> Indices:
    """Sum over the cells no further than ``reach`` columns and rows."""
    rows, columns = np.arange(counts.shape[0])[:, None], np.arange(counts.shape[1])[None, :]
    return SummedArea(counts).count(
        np.maximum(columns - reach, 0),
        np.maximum(rows - reach, 0),
        np.minimum(columns + reach + 1, counts.shape[1]),
        np.minimum(rows + reach + 1, counts.shape[0]),
    )
