"""Outlines, against hand-computed areas and against the formula of regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_app.domain.edits import Bounds, Cells, Polygon, Region, RegionLabel, edit_to_mapping, parse_edit
from nucleus_app.domain.outlines import Outline, find_centres
from nucleus_app.domain.regions import find_inside

BOUNDS = Bounds(40, 30, (0.25, 0.25, 0.25))


def square(left: float, top: float, right: float, bottom: float) -> Any:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def outline(*rings: Any) -> Outline:
    return Outline(tuple(rings), tuple(at > 0 for at in range(len(rings))))


C_SHAPE = np.array([[0, 0], [10, 0], [10, 2], [2, 2], [2, 8], [10, 8], [10, 10], [0, 10]], np.float64)


def test_the_centre_is_that_of_mass_without_the_holes() -> None:
    shapes = [outline(square(0, 0, 4, 2)), outline(square(0, 0, 4, 4), square(2, 0.5, 3.5, 3.5)), outline(C_SHAPE)]
    plain, holed, _ = find_centres(shapes)
    assert plain == pytest.approx((2, 1))
    assert holed == pytest.approx(((16 * 2 - 4.5 * 2.75) / 11.5, 2))
    assert shapes[1].area_px2 == pytest.approx(11.5)


def test_a_centre_that_would_be_outside_moves_to_the_middle_of_the_widest_part_beside_it() -> None:
    ((x, y),) = find_centres([outline(C_SHAPE)])
    assert (x, y) == pytest.approx((1, 5))
    ((x, y),) = find_centres([outline(square(0, 0, 10, 10), square(2, 2, 9, 9))])
    assert (x, y) == pytest.approx((1, y))


def test_centres_far_from_the_origin_are_as_exact() -> None:
    far = np.array([200_000.0, 150_000.0])
    ((x, y),) = find_centres([outline(square(0, 0, 0.2, 0.1) + far)])
    assert (x - far[0], y - far[1]) == pytest.approx((0.1, 0.05), abs=1e-9)


def test_an_outline_without_area_has_a_centre_all_the_same() -> None:
    line = np.array([[1, 1], [3, 1], [5, 1]], np.float64)
    assert find_centres([outline(line)])[0] == pytest.approx((3, 1))
    assert find_centres([]).shape == (0, 2)


@st.composite
def rings(draw: st.DrawFn) -> Any:
    """Rings that may cross themselves and the border, on a grid of halves."""
    corner = st.tuples(st.integers(-20, 120), st.integers(-20, 100))
    corners = draw(st.lists(corner, min_size=3, max_size=8, unique=True))
    return np.array(corners, np.float64) / 2


@settings(max_examples=100)
@given(st.lists(rings(), min_size=1, max_size=3))
def test_a_clipped_outline_as_a_region_holds_the_points_that_the_rings_hold(parts: list[Any]) -> None:
    whole = outline(*parts)
    x, y = np.random.default_rng(0).uniform(-0.5, [[39.5], [29.5]], (2, 400))
    expected = np.zeros(400, np.bool_)
    for part in parts:
        expected ^= find_inside(Polygon(tuple(part.ravel())), x, y)
    clipped = whole.clip_to(BOUNDS.width, BOUNDS.height)
    if clipped is None:
        assert not expected.any()
        return
    shape = clipped.to_shape(BOUNDS)
    assert isinstance(shape, Polygon)
    edit = Region(RegionLabel.TUMOUR, shape)
    assert parse_edit(edit_to_mapping(edit), BOUNDS) == edit
    found = find_inside(shape, x, y)
    assert np.count_nonzero(found != expected) <= 2, "but for a point within a thousandth of a pixel of an edge"


def test_an_outline_with_too_many_corners_becomes_cells_that_hold_the_same_pixels() -> None:
    angle = np.linspace(0, 2 * np.pi, 20_001)[:-1]
    radius = 400 + 60 * np.sin(9 * angle)
    blob = np.stack([500 + radius * np.cos(angle), 480 + radius * np.sin(angle)], axis=1)
    shape = outline(blob, square(450, 450, 550, 520)).to_shape(Bounds(1000, 1000, BOUNDS.floors))
    assert isinstance(shape, Cells)
    assert shape.size == 1
    edit = Region(RegionLabel.EXCLUDE, shape)
    assert parse_edit(edit_to_mapping(edit), Bounds(1000, 1000, BOUNDS.floors)) == edit
    x, y = (values.ravel().astype(np.float64) for values in np.meshgrid(np.arange(1000), np.arange(1000)))
    expected = find_inside(Polygon(tuple(blob.ravel())), x, y)
    expected &= ~((x > 450) & (x < 550) & (y > 450) & (y < 520))
    found = find_inside(shape, x, y)
    assert found.sum() == pytest.approx(expected.sum(), rel=2e-3)
    assert np.count_nonzero(found != expected) < 2 * 3500, "only pixels on the edge may differ"


def test_a_path_longer_than_a_hand_could_draw_becomes_cells_too() -> None:
    zigzag = np.array([[x / 100, 25 * (x % 2)] for x in range(0, 3900)], np.float64)
    assert isinstance(outline(zigzag).to_shape(BOUNDS), Cells)
