"""Hot spots and the heat map, against counting by hand and by brute force."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nucleus_app.domain.heat_map import MIN_NUCLEI, draw_heat_map
from nucleus_app.domain.hotspots import (
    HotSpots,
    TumourNuclei,
    find_spots_of_area,
    find_spots_of_count,
    rank_by_wilson,
)
from nucleus_app.domain.index import wilson_interval
from nucleus_app.domain.sheet import FieldBox

MPP = 0.5
HPF_MM2 = 0.2
"""447 µm square, 894 px here."""


def nuclei_of(xy: Any, is_positive: Any, size: tuple[int, int], mpp: float = MPP) -> TumourNuclei:
    points = np.asarray(xy, np.float32).reshape(-1, 2)
    return TumourNuclei.within(points, np.asarray(is_positive, np.bool_), size, mpp)


def scatter(n: int, size: tuple[int, int], seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-0.5, np.array(size) - 0.5, (n, 2)).astype(np.float32)


def assert_honest(found: HotSpots, xy: Any, is_positive: Any, size: tuple[int, int], mpp: float) -> None:
    """In the image, apart from each other, and with the counts and the area of their boxes."""
    for spot in found.spots:
        left, top, right, bottom = spot.box
        assert -0.5 <= left < right <= size[0] - 0.5
        assert -0.5 <= top < bottom <= size[1] - 0.5
        inside = [
            bool(p)
            for (x, y), p in zip(xy.tolist(), is_positive, strict=True)
            if left <= x < right and top <= y < bottom
        ]
        assert (spot.index.counts.positive, spot.index.counts.tumour) == (sum(inside), len(inside))
        assert spot.area_mm2 == pytest.approx((right - left) * (bottom - top) * mpp**2 / 1e6)
    for a, b in combinations([spot.box for spot in found.spots], 2):
        assert a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top
    lows = [spot.index.low_percent for spot in found.spots]
    assert lows == sorted(lows, reverse=True)


@st.composite
def images(draw: st.DrawFn) -> tuple[Any, Any, tuple[int, int]]:
    size = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    n = draw(st.integers(0, 80))
    # Every quarter of a pixel, the borders and beyond included: ties, and points on edges.
    quarter = st.integers(-6, 4 * 60 + 6).map(lambda v: v / 4)
    xy = draw(arrays(np.float32, (n, 2), elements=quarter.map(np.float32), fill=st.nothing()))
    return xy, draw(arrays(np.bool_, n)), size


@settings(max_examples=100)
@given(images(), st.floats(1e-6, 2e-3), st.integers(1, 40))
def test_whatever_the_nuclei_counts_are_those_of_the_boxes(image: Any, area_mm2: float, n: int) -> None:
    xy, is_positive, size = image
    nuclei = nuclei_of(xy, is_positive, size)
    assert_honest(find_spots_of_area(nuclei, area_mm2), xy, is_positive, size, MPP)
    grown = find_spots_of_count(nuclei, n)
    assert_honest(grown, xy, is_positive, size, MPP)
    assert grown.is_enough == (len(nuclei) >= n)
    for spot in grown.spots:
        whole = spot.box == FieldBox(-0.5, -0.5, size[0] - 0.5, size[1] - 0.5)
        assert spot.index.counts.tumour >= n or (whole and not grown.is_enough)


@settings(max_examples=30)
@given(images(), st.integers(2, 12))
def test_no_window_on_the_pixel_grid_is_hotter_than_the_first(image: Any, side: int) -> None:
    xy, is_positive, size = image  # windows as small as these slide by single pixels
    found = find_spots_of_area(nuclei_of(xy, is_positive, size), (side * MPP / 1000) ** 2)
    width, height = min(side, size[0]), min(side, size[1])
    counted = {}
    for left in range(size[0] - width + 1):
        for top in range(size[1] - height + 1):
            inside = (xy[:, 0] >= left - 0.5) & (xy[:, 0] < left + width - 0.5)
            inside &= (xy[:, 1] >= top - 0.5) & (xy[:, 1] < top + height - 0.5)
            counted[left, top] = (int(is_positive[inside].sum()), int(inside.sum()))
    fullest = max(total for _, total in counted.values())
    fair = [each for each in counted.values() if each[1] and each[1] >= (100 if fullest >= 100 else fullest / 2)]
    if not fair:
        assert found.spots == ()
        return
    hottest = max(100 * wilson_interval(*each)[0] for each in fair)
    assert found.spots[0].index.low_percent == pytest.approx(hottest, abs=1e-9)


def test_the_rank_is_the_lower_end_of_the_wilson_interval() -> None:
    pairs = [(p, n) for n in (1, 7, 100, 2000) for p in {0, 1, n // 3, n}]
    ranks = rank_by_wilson(np.array([p for p, _ in pairs]), np.array([n for _, n in pairs]))
    assert ranks == pytest.approx([wilson_interval(p, n)[0] for p, n in pairs], abs=1e-9)
    assert rank_by_wilson(np.array([0]), np.array([0])) == -1


def two_fields(hot: tuple[int, int], cold: tuple[int, int]) -> tuple[Any, Any]:
    """Two dense clusters, each (positive, tumour), far apart in an image of 4000 × 1000 px: no window cuts through one."""
    xy, on = [], []
    for at, (positive, tumour) in ((500, hot), (3000, cold)):
        xy += [(at, 500)] * tumour
        on += [True] * positive + [False] * (tumour - positive)
    return np.array(xy, np.float32), np.array(on)


def test_a_handful_of_positive_nuclei_never_wins() -> None:
    found = find_spots_of_area(nuclei_of(*two_fields((12, 12), (30, 300)), (4000, 1000)), HPF_MM2)
    assert found.is_enough
    assert [spot.index.counts.tumour for spot in found.spots] == [300]


def test_of_two_fields_that_count_the_more_positive_wins_unless_its_count_does_not_support_it() -> None:
    clearly = find_spots_of_area(nuclei_of(*two_fields((150, 300), (120, 600)), (4000, 1000)), HPF_MM2)
    assert [spot.index.percent for spot in clearly.spots] == [50.0, 20.0]
    barely = find_spots_of_area(nuclei_of(*two_fields((6, 100), (35, 700)), (4000, 1000)), HPF_MM2)
    assert [spot.index.percent for spot in barely.spots] == [5.0, 6.0]
    assert barely.spots[0].index.low_percent > barely.spots[1].index.low_percent


def test_where_no_window_has_enough_the_fuller_ones_compete_and_it_is_said() -> None:
    found = find_spots_of_area(nuclei_of(*two_fields((8, 8), (20, 60)), (4000, 1000)), HPF_MM2)
    assert not found.is_enough
    assert [spot.index.counts.tumour for spot in found.spots] == [60]


def test_squares_grow_to_the_number_that_was_asked_for_and_little_more() -> None:
    size = (3000, 2000)
    xy = scatter(20_000, size)
    is_positive = np.random.default_rng(1).random(20_000) < 0.05 + 0.5 * (np.hypot(*(xy - (800, 700)).T) < 300)
    found = find_spots_of_count(nuclei_of(xy, is_positive, size), 500)
    assert_honest(found, xy, is_positive, size, MPP)
    assert len(found.spots) == 5
    assert found.is_enough
    for spot in found.spots:
        assert 500 <= spot.index.counts.tumour <= 510
        assert spot.box.right - spot.box.left == spot.box.bottom - spot.box.top
    first = found.spots[0]
    assert first.index.percent > 50
    assert abs((first.box.left + first.box.right) / 2 - 800) < 150
    assert abs((first.box.top + first.box.bottom) / 2 - 700) < 150


def test_an_image_with_fewer_nuclei_is_its_own_hot_spot() -> None:
    xy = scatter(120, (900, 700))
    found = find_spots_of_count(nuclei_of(xy, np.arange(120) < 30, (900, 700)), 500)
    assert not found.is_enough
    (spot,) = found.spots
    assert spot.box == (-0.5, -0.5, 899.5, 699.5)
    assert (spot.index.counts.positive, spot.index.counts.tumour) == (30, 120)


def test_a_window_larger_than_the_image_is_the_image_with_its_own_area() -> None:
    found = find_spots_of_area(nuclei_of(scatter(150, (200, 100)), [True] * 150, (200, 100)), HPF_MM2)
    (spot,) = found.spots
    assert spot.box == (-0.5, -0.5, 199.5, 99.5)
    assert spot.area_mm2 == pytest.approx(0.1 * 0.05)
    assert spot.index.counts.tumour == 150


def test_without_nuclei_there_are_no_spots_and_without_positive_ones_the_fullest() -> None:
    none = nuclei_of([], [], (900, 900))
    assert find_spots_of_area(none, HPF_MM2) == find_spots_of_count(none, 500) == HotSpots((), False)
    xy, _ = two_fields((0, 200), (0, 400))
    cold = find_spots_of_area(nuclei_of(xy, np.zeros(600), (4000, 1000)), HPF_MM2)
    assert [spot.index.counts.tumour for spot in cold.spots] == [400, 200]
    assert cold.spots[0].index.low_percent == 0


@pytest.mark.parametrize("n", [1, 700])
def test_nuclei_on_one_spot_are_one_spot(n: int) -> None:
    nuclei = nuclei_of([[31, 17]] * n, [True] * n, (64, 64))
    for found in (find_spots_of_area(nuclei, 1e-4), find_spots_of_count(nuclei, n)):
        assert [spot.index.counts.tumour for spot in found.spots] == [n]


def test_nuclei_half_a_pixel_beyond_the_border_are_in_the_map_and_in_a_box_only_where_it_reaches_them() -> None:
    xy = [[-0.5, -0.5], [9.5, 4], [4, 9.5], [4, 4], [10.5, 4], [-0.75, 4]]
    spot = find_spots_of_area(nuclei_of(xy, [True] * 6, (10, 10)), HPF_MM2).spots[0]
    assert spot.index.counts.tumour == 2, "-0.5 is the image's first place and 9.5 is just past its last"
    heat = draw_heat_map(np.array(xy, np.float32), np.ones(6, np.bool_), (10, 10), MPP)
    assert heat.tumour.tolist() == [[4]]


def test_a_heat_map_shows_where_it_is_hot_and_leaves_out_where_too_few_are_near() -> None:
    size = (2000, 1000)  # 1000 × 500 µm: 20 × 10 cells
    xy = scatter(6000, size)
    xy = xy[xy[:, 0] < 1400]
    heat = draw_heat_map(xy, xy[:, 0] < 700, size, MPP)
    assert heat.size_px == 100
    assert heat.tumour.shape == heat.percent.shape == (10, 20)
    assert heat.tumour.sum() == len(xy)
    assert heat.percent[:, :4] == pytest.approx(100)
    assert heat.percent[:, 10:13] == pytest.approx(0)
    assert np.isnan(heat.percent[:, 17:]).all()


def test_a_heat_map_needs_so_many_nuclei_and_has_no_more_cells_than_fit_a_page() -> None:
    def percent(n: int) -> float:
        return float(draw_heat_map(np.zeros((n, 2)), np.ones(n, np.bool_), (100, 100), MPP).percent[0, 0])

    assert np.isnan(percent(MIN_NUCLEI - 1))
    assert percent(MIN_NUCLEI) == 100
    slide = draw_heat_map(np.zeros((0, 2), np.float32), np.zeros(0, np.bool_), (100_001, 20_000), 0.25)
    assert slide.tumour.shape == (40, 200)
