from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.edits import Cells
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.regions import find_inside
from nucleus_app.kinet.backends import open_backend
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.roi import CellGrid, CellVotes, count_votes, plan_cells, vote_in_tile


def test_cells_are_about_eight_micrometres_in_whole_pixels_and_cover_the_image() -> None:
    assert plan_cells(100, 50, 0.5) == CellGrid(16, 7, 4)
    assert plan_cells(96, 48, 0.5) == CellGrid(16, 6, 3)
    assert plan_cells(1000, 500, 0.23) == CellGrid(35, 29, 15)
    assert plan_cells(3, 3, 2.0) == CellGrid(4, 1, 1)


def test_a_cell_is_tumour_when_most_of_its_pixels_are_whatever_tile_they_lie_in() -> None:
    left = CellVotes(0, 0, np.array([[5, -2], [0, 1]], np.int32))
    right = CellVotes(0, 1, np.array([[3, -1], [-1, 2]], np.int32))
    # Together 5 1 -1 / 0 0 2: on, on, off, off, off, on.
    assert count_votes(CellGrid(4, 3, 2), [left, right]) == Cells(-0.5, -0.5, 4, 3, (0, 2, 3, 1))


class Stub(Predictor):
    """Knows where tumour is: right of column 30 at the network's scale."""

    def find_roi(self, rgb: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return (rgb[:, :, 0] > 128).astype(np.float32)


@pytest.mark.parametrize("mpp", [0.5, 0.25, 0.37])
def test_the_map_lies_where_the_tumour_is_at_every_pixel_size(shipped: Predictor, mpp: float) -> None:
    stub = Stub(shipped.version, shipped._backend, core_px=(64, 64), halo_px=32)
    rgb = np.zeros((round(200 * 0.5 / mpp), round(300 * 0.5 / mpp), 3), np.uint8)
    edge_px = round(160 * 0.5 / mpp)  # ten cells from the left
    rgb[:, edge_px:] = 255
    field = stub.prepare(rgb, mpp)
    assert len(field.tiles) > 4
    grid = plan_cells(rgb.shape[1], rgb.shape[0], mpp)
    cells = count_votes(grid, [vote_in_tile(stub, field, tile, grid) for tile in field.tiles])
    x = np.arange(0, rgb.shape[1], 0.5)
    inside = find_inside(cells, x, np.full(len(x), rgb.shape[0] / 2))
    sure = np.abs(x - edge_px) > grid.size
    assert np.array_equal(inside[sure], x[sure] > edge_px)


def test_the_map_of_tiles_is_that_of_the_whole_image(shipped: Predictor, field: LabelledImage) -> None:
    tiled = Predictor(shipped.version, open_backend(shipped.version, "cpu", None), core_px=(256, 256))
    cut, whole = tiled.prepare(field.rgb, 0.5), shipped.prepare(field.rgb, 0.5)
    assert (len(cut.tiles), len(whole.tiles)) == (4, 1)
    direct = shipped.find_roi(whole.rgb)
    for tile in cut.tiles:
        part = tiled.find_roi_in_tile(cut, tile)
        assert np.abs(part - direct[tile.top : tile.bottom, tile.left : tile.right]).max() < 0.02


@given(st.integers(1, 400), st.integers(1, 300), st.sampled_from([0.2, 0.23, 0.5, 1.0, 2.0]))
def test_every_pixel_of_the_network_votes_in_one_cell(width: int, height: int, mpp: float) -> None:
    grid = plan_cells(width, height, mpp)
    assert (grid.columns - 1) * grid.size < width <= grid.columns * grid.size
    assert (grid.rows - 1) * grid.size < height <= grid.rows * grid.size
