"""The network's own map of tumour, made coarse: square cells of the image, each by the majority of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import Cells
from nucleus_app.domain.regions import encode_runs
from nucleus_app.kinet.predictor import Field, Predictor
from nucleus_app.kinet.tiling import Tile

CELL_UM = 8.0
TUMOUR_FROM = 0.5
"""Probability from which a pixel is tumour."""


class CellGrid(NamedTuple):
    """Cells of ``size`` image pixels that cover an image, from its upper left corner at (-0.5, -0.5)."""

    size: int
    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class CellVotes:
    """Votes of one tile for the cells from (``row``, ``column``) on: ``balance`` (R, C) int32 is the number of its network
    pixels that are tumour minus the number of those that are not.
    """

    row: int
    column: int
    balance: NDArray[np.int32]


def plan_cells(width_px: int, height_px: int, mpp: float) -> CellGrid:
    """Cells of about 8 µm, a whole number of image pixels."""
    size = max(1, round(CELL_UM / mpp))
    return CellGrid(size, -(-width_px // size), -(-height_px // size))


def vote_in_tile(predictor: Predictor, field: Field, tile: Tile, grid: CellGrid) -> CellVotes:
    """Run the ROI sibling on one tile and count the pixels of its core by cell."""
    sign = np.where(predictor.find_roi_in_tile(field, tile) >= TUMOUR_FROM, 1, -1).astype(np.int32)
    row_of = _cells_of(tile.top, tile.bottom, field.scaling.y, grid.size, grid.rows)
    column_of = _cells_of(tile.left, tile.right, field.scaling.x, grid.size, grid.columns)
    by_row = np.zeros((row_of[-1] - row_of[0] + 1, sign.shape[1]), np.int32)
    np.add.at(by_row, row_of - row_of[0], sign)
    balance = np.zeros((len(by_row), column_of[-1] - column_of[0] + 1), np.int32)
    np.add.at(balance.T, column_of - column_of[0], by_row.T)
    return CellVotes(int(row_of[0]), int(column_of[0]), balance)


def count_votes(grid: CellGrid, votes: list[CellVotes]) -> Cells:
    """The cells with more pixels of tumour than of anything else, as a region's shape."""
    total = np.zeros((grid.rows, grid.columns), np.int64)
    for vote in votes:
        rows, columns = vote.balance.shape
        total[vote.row : vote.row + rows, vote.column : vote.column + columns] += vote.balance
    return Cells(-0.5, -0.5, grid.size, grid.columns, encode_runs(total > 0))


def _cells_of(start: int, end: int, scale: float, size: int, last: int) -> NDArray[np.int64]:
    """In which row (or column) of cells the network's rows (or columns) of pixels lie."""
    in_image = (np.arange(start, end) + 0.5) / scale  # from the image's edge, hence without the half pixel
    return np.minimum(np.floor(in_image / size), last - 1).astype(np.int64)
