from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.edits import Brush, Cells, Polygon, Shape
from nucleus_app.domain.regions import bound_shape, encode_runs, find_inside

numbers = st.integers(-2000, 2000).map(lambda n: n / 100)
points = st.tuples(numbers, numbers)


def inside(shape: Shape, *at: tuple[float, float]) -> list[bool]:
    x, y = np.array(at, np.float64).reshape(-1, 2).T
    return find_inside(shape, x, y).tolist()


def flat(corners: list[tuple[float, float]]) -> tuple[float, ...]:
    return tuple(float(v) for corner in corners for v in corner)


def test_one_point_of_a_brush_is_a_disc_with_its_rim() -> None:
    # 3-4-5: (13, 24) is exactly 5 from (10, 20).
    assert inside(Brush(5, (10, 20)), (10, 20), (13, 24), (13.01, 24), (15, 20), (15, 20.1)) == [
        True, True, False, True, False,
    ]  # fmt: skip


def test_a_stroke_is_what_lies_within_the_radius_of_its_line_round_ends_included() -> None:
    # An L: along y = 0 to (10, 0), then up to (10, 10).
    stroke = Brush(2, (0, 0, 10, 0, 10, 10))
    assert inside(stroke, (5, 2), (5, 2.01), (-2, 0), (-1.5, -1.5), (12, 5), (12.01, 5), (7, 3), (10, 12)) == [
        True, False, True, False, True, False, False, True,
    ]  # fmt: skip


def test_a_stroke_that_stands_still_is_a_disc() -> None:
    assert inside(Brush(1, (4, 4, 4, 4, 4, 4)), (5, 4), (5.1, 4)) == [True, False]


def test_a_polygon_closes_by_itself() -> None:
    triangle = Polygon((0, 0, 10, 0, 0, 10))
    assert inside(triangle, (1, 1), (4.9, 5), (5.1, 5), (-1, 5), (3, 11)) == [True, True, False, False, False]


def test_where_a_polygon_covers_itself_twice_it_does_not_count() -> None:
    # The pentagram's points are covered once, its middle twice.
    at = [(np.sin(turn * 0.8 * np.pi) * 10, np.cos(turn * 0.8 * np.pi) * 10) for turn in range(5)]
    assert inside(Polygon(flat(at)), (0, 0), (0, 9), (0, -9)) == [False, True, False]


def test_of_two_polygons_with_a_common_edge_each_point_on_it_is_in_exactly_one() -> None:
    left, right = Polygon((0, 0, 5, 0, 5, 10, 0, 10)), Polygon((5, 0, 10, 0, 10, 10, 5, 10))
    on_edge = [(5.0, y) for y in (0.0, 1.0, 5.5, 9.99)]
    assert [a + b for a, b in zip(inside(left, *on_edge), inside(right, *on_edge), strict=True)] == [1, 1, 1, 1]


def test_cells_are_squares_counted_row_by_row() -> None:
    # . # #     of 8 px from (-0.5, -0.5)
    # # . .
    mask = Cells(-0.5, -0.5, 8, 3, (1, 3, 2))
    assert inside(mask, (0, 0), (7.49, 0), (7.5, 0), (23.4, 7.4), (23.5, 0), (0, 7.5), (8, 8), (0, 15.5), (-1, 0)) == [
        False, False, True, True, False, True, False, False, False,
    ]  # fmt: skip


@given(st.integers(1, 6), st.data())
def test_runs_are_the_mask_again(columns: int, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 6))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns)))
    cells = Cells(0, 0, 1, columns, encode_runs(mask.reshape(rows, columns)))
    y, x = np.divmod(np.arange(rows * columns), columns)
    assert sum(cells.runs) == rows * columns
    assert find_inside(cells, x + 0.5, y + 0.5).tolist() == mask.tolist()


def plainly_in_brush(brush: Brush, x: float, y: float) -> bool:
    """As the browser does it: one point, one segment after the other."""
    n = len(brush.pts) // 2
    for i in range(max(1, n - 1)):
        ax, ay = brush.pts[2 * i], brush.pts[2 * i + 1]
        bx, by = (brush.pts[2 * i + 2], brush.pts[2 * i + 3]) if n > 1 else (ax, ay)
        dx, dy = bx - ax, by - ay
        length2 = dx * dx + dy * dy
        t = min(max(((x - ax) * dx + (y - ay) * dy) / length2, 0.0), 1.0) if length2 > 0 else 0.0
        ex, ey = x - (ax + t * dx), y - (ay + t * dy)
        if ex * ex + ey * ey <= brush.r * brush.r:
            return True
    return False


def plainly_in_polygon(polygon: Polygon, x: float, y: float) -> bool:
    inside, j = False, len(polygon.pts) // 2 - 1
    for i in range(len(polygon.pts) // 2):
        xi, yi, xj, yj = *polygon.pts[2 * i : 2 * i + 2], *polygon.pts[2 * j : 2 * j + 2]
        if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi) + xi:
            inside = not inside
        j = i
    return inside


@given(st.lists(points, min_size=1, max_size=80), st.integers(1, 900), st.lists(points, min_size=1, max_size=30))
def test_a_stroke_holds_the_same_points_as_one_computed_point_by_point(
    line: list[tuple[float, float]], radius: int, at: list[tuple[float, float]]
) -> None:
    brush = Brush(radius / 100, flat(line))
    assert inside(brush, *at) == [plainly_in_brush(brush, *each) for each in at]


@given(st.lists(points, min_size=3, max_size=40), st.lists(points, min_size=1, max_size=30))
def test_a_polygon_holds_the_same_points_as_one_computed_point_by_point(
    corners: list[tuple[float, float]], at: list[tuple[float, float]]
) -> None:
    polygon = Polygon(flat(corners))
    assert inside(polygon, *at, *corners) == [plainly_in_polygon(polygon, *each) for each in [*at, *corners]]


@pytest.mark.parametrize("shape", [Brush(3, (0, 0, 9, 5)), Polygon((0, 0, 9, 5, 2, 8)), Cells(1, 2, 4, 2, (0, 6))])
def test_nothing_lies_outside_of_the_box(shape: Shape) -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-20, 30, 0.5), np.arange(-20, 30, 0.5)))
    found = find_inside(shape, x, y)
    assert found.any()
    assert bound_shape(shape).holds(x, y)[found].all()


def test_a_lasso_of_ten_thousand_corners_over_many_points_fits_into_memory() -> None:
    turn = np.linspace(0, 2 * np.pi, 10_000, endpoint=False)
    circle = Polygon(tuple(np.stack([100 + 50 * np.cos(turn), 100 + 50 * np.sin(turn)], axis=1).ravel().tolist()))
    x, y = np.random.default_rng(1).uniform(0, 200, (2, 20_000))
    distance = np.hypot(x - 100, y - 100)
    sure = np.abs(distance - 50) > 1e-3
    assert np.array_equal(find_inside(circle, x, y)[sure], (distance < 50)[sure])
