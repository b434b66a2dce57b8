"""Outlines of what is painted, against the formula that says which nuclei a region covers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nucleus_app.domain.edits import Brush, Cells, Polygon, Region, RegionLabel
from nucleus_app.domain.outlines import Outline
from nucleus_app.domain.painted import outline_painted
from nucleus_app.domain.regions import encode_runs, find_inside
from nucleus_app.domain.tissue_layer import TissueLayer

WIDTH, HEIGHT = 40, 30
NEAR_PX = 0.15
"""So near to an edge, of a region or of an outline, a point may be said to lie on either side: round ends have a tolerance."""
TISSUE = (RegionLabel.TUMOUR, RegionLabel.NON_TUMOUR, RegionLabel.EXCLUDE, RegionLabel.ERASE)


def flat(rows: list[tuple[float, float]]) -> tuple[float, ...]:
    return tuple(float(value) for row in rows for value in row)


@st.composite
def shapes(draw: st.DrawFn) -> Any:
    place = st.tuples(st.integers(0, 2 * WIDTH - 2), st.integers(0, 2 * HEIGHT - 2)).map(lambda p: (p[0] / 2, p[1] / 2))
    match draw(st.integers(0, 2)):
        case 0:
            return Brush(draw(st.integers(2, 12)) / 2, flat(draw(st.lists(place, min_size=1, max_size=40))))
        case 1:
            return Polygon(flat(draw(st.lists(place, min_size=3, max_size=9))))
    columns, rows = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    mask = np.array(draw(st.lists(st.booleans(), min_size=columns * rows, max_size=columns * rows)))
    left, top = draw(place)
    return Cells(left, top, draw(st.integers(1, 5)), columns, encode_runs(mask.reshape(rows, columns)))


def covers(outlines: tuple[Outline, ...], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    inside = np.zeros(len(x), np.bool_)
    for outline in outlines:
        for ring in outline.rings:
            inside ^= find_inside(Polygon(tuple(ring.ravel().tolist())), x, y)
    return inside


def are_near(outlines: list[Outline], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    near = np.zeros(len(x), np.bool_)
    for ring in (ring for outline in outlines for ring in outline.rings):
        near |= find_inside(Brush(NEAR_PX, tuple(np.concatenate([ring, ring[:1]]).ravel().tolist())), x, y)
    return near


def decide(regions: list[Region], x: NDArray[np.float64], y: NDArray[np.float64]) -> list[RegionLabel | None]:
    layer = TissueLayer()
    for number, region in enumerate(regions):
        layer.add(number, region)
    numbers, _ = layer.look_up(x, y)
    labels = [None if n < 0 else regions[n].label for n in numbers.tolist()]
    return [None if label is RegionLabel.ERASE else label for label in labels]


@settings(deadline=None)
@given(st.lists(st.builds(Region, st.sampled_from(TISSUE), shapes()), min_size=1, max_size=8))
def test_every_place_has_the_label_that_decides_there(regions: list[Region]) -> None:
    y, x = (axis.ravel() for axis in np.mgrid[0 : HEIGHT - 1 : 0.7, 0 : WIDTH - 1 : 0.7])
    around = [decide(regions, x + dx, y + dy) for dx in (-NEAR_PX, 0, NEAR_PX) for dy in (-NEAR_PX, 0, NEAR_PX)]
    clear = np.array([len({*labels}) == 1 for labels in zip(*around, strict=True)])
    painted = outline_painted(regions, WIDTH, HEIGHT)
    clear &= ~are_near([outline for outlines in painted.values() for outline in outlines], x, y)
    for label in TISSUE[:3]:
        wanted = np.array([said is label for said in around[4]])
        assert (covers(painted.get(label, ()), x, y) == wanted)[clear].all(), label


def test_a_disc_has_its_area_and_ends_at_the_images_border() -> None:
    painted = outline_painted([Region(RegionLabel.EXCLUDE, Brush(10, (20, 15)))], 1000, 1000)
    (disc,) = painted[RegionLabel.EXCLUDE]
    assert disc.area_px2 == pytest.approx(np.pi * 100, rel=0.01)
    (half,) = outline_painted([Region(RegionLabel.EXCLUDE, Brush(10, (-0.5, 15)))], 1000, 1000)[RegionLabel.EXCLUDE]
    assert half.area_px2 == pytest.approx(np.pi * 50, rel=0.01)
    assert half.rings[0][:, 0].min() == -0.5


def test_a_hole_is_wiped_an_island_is_painted_and_both_layers_stand_for_themselves() -> None:
    regions = [
        Region(RegionLabel.TUMOUR, Polygon((0, 0, 90, 0, 90, 90, 0, 90))),
        Region(RegionLabel.REVIEWED, Polygon((0, 0, 50, 0, 50, 90, 0, 90))),
        Region(RegionLabel.ERASE, Polygon((20, 20, 60, 20, 60, 60, 20, 60))),
        Region(RegionLabel.TUMOUR, Polygon((30, 30, 40, 30, 40, 40, 30, 40))),
        Region(RegionLabel.EXCLUDE, Polygon((80, 80, 90, 80, 90, 90, 80, 90))),
        Region(RegionLabel.UNREVIEWED, Polygon((0, 0, 10, 0, 10, 90, 0, 90))),
    ]
    painted = outline_painted(regions, 200, 200)
    assert {label.value: [o.area_px2 for o in outlines] for label, outlines in painted.items()} == {
        "tumour": [8100 - 1600 - 100, 100], "exclude": [100], "reviewed": [40 * 90],
    }  # fmt: skip
    assert painted[RegionLabel.TUMOUR][0].are_holes == (False, True)


def test_what_is_wiped_away_or_has_no_area_is_not_there() -> None:
    line = Region(RegionLabel.TUMOUR, Polygon((1, 1, 5, 5, 9, 9)))
    gone = Region(RegionLabel.EXCLUDE, Brush(3, (10, 10)))
    assert outline_painted([], WIDTH, HEIGHT) == {}
    assert outline_painted([line, gone, Region(RegionLabel.ERASE, Brush(4, (10, 10)))], WIDTH, HEIGHT) == {}


def test_a_long_stroke_that_crosses_itself_all_over_takes_no_longer_than_the_look_at_it() -> None:
    steps = np.random.default_rng(0).uniform(-5, 5, (10_000, 2)).cumsum(axis=0)
    stroke = Region(RegionLabel.TUMOUR, Brush(12, tuple(np.abs(steps).ravel().tolist())))
    began = time.process_time()
    assert outline_painted([stroke], 500, 500)
    assert time.process_time() - began < 20, "in one piece it takes minutes"
