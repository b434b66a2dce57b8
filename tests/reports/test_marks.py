"""Marks on paper are those on the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nucleus_app.domain.edits import RegionLabel
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.sheet import FieldBox
from nucleus_app.reports.areas import REGION_COLOURS
from nucleus_app.reports.case_report import NucleusMark, PaintedArea
from nucleus_app.reports.marks import LEFT_OUT_ALPHA, PALETTES, REACH, Look, draw_field, draw_mark

SCRIPT = (Path(__file__).parents[2] / "nucleus_app/ui/viewer/static/palettes.js").read_text("utf-8")
PAPER = PALETTES["paper"]


@pytest.mark.parametrize("name", PALETTES)
def test_palettes_are_those_of_the_page(name: str) -> None:
    found = re.search(rf"{name}: {{ title: '([^']+)', colours: (\[\[.+?\]\]) }}", SCRIPT)
    assert found
    assert found[1] == PALETTES[name].title
    assert [tuple(c) for c in json.loads(found[2])] == list(PALETTES[name].colours)


def test_regions_have_the_colours_of_the_page() -> None:
    found = re.search(r"REGION_COLOURS = \{(.+?)\};", SCRIPT)
    assert found
    pairs = re.findall(r"'?([a-z-]+)'?: (\[.+?\])", found[1])
    assert {label: tuple(json.loads(colour)) for label, colour in pairs} == REGION_COLOURS


def test_what_a_region_leaves_out_is_outlined_where_it_lies_without_its_hole_and_nuclei_are_over_it() -> None:
    pixels = np.full((200, 200, 3), 255, np.uint8)
    square = (60, 60, 160, 60, 160, 160, 60, 160), (100, 100, 120, 100, 120, 120, 100, 120)
    area = PaintedArea(1, "exclude", tuple(tuple(map(float, ring)) for ring in square))
    nucleus = NucleusMark(1, 80.0, 80.0, int(NucleusClass.POSITIVE), 0.9, None, "network", True)
    drawn = np.asarray(draw_field(pixels, FieldBox(20, 20, 200, 200), [nucleus], 0.5, PAPER, 1400, [area]))
    scale = drawn.shape[1] / 180

    def look(x: float, y: float) -> list[int]:
        return drawn[round((y + 0.5 - 20) * scale), round((x + 0.5 - 20) * scale)].tolist()

    colour = list(REGION_COLOURS[RegionLabel.EXCLUDE])
    assert look(60, 110) == look(160, 110) == look(110, 60) == look(100, 110) == colour
    assert look(40, 40) == look(110, 110) == [255] * 3
    tint = look(140, 140)
    assert colour < tint < [255] * 3
    assert look(80, 80) not in (tint, [255] * 3)


def test_a_mark_reaches_as_far_as_on_the_page() -> None:
    assert f"export const REACH = {REACH};" in SCRIPT


def test_classes_differ_in_shape_without_colour() -> None:
    filled = [np.asarray(draw_mark(Look(kind), PAPER, 20))[..., 3] > 128 for kind in NucleusClass]
    middle = filled[0].shape[0] // 2
    assert filled[NucleusClass.POSITIVE][middle, middle]
    assert not filled[NucleusClass.NEGATIVE][middle, middle]
    assert [bool(mask[middle, middle + 23]) for mask in filled] == [False, True, False]
    assert [bool(mask[middle + 15, middle + 17]) for mask in filled] == [False, True, True]
    assert [bool(mask[middle + 7, middle + 7]) for mask in filled] == [True, False, False]


def test_a_mark_that_a_person_changed_has_a_ring_and_a_placed_one_ticks_beyond_it() -> None:
    def reach(origin: str) -> float:
        alpha = np.asarray(draw_mark(Look(1, origin), PAPER, 20))[..., 3]
        middle = alpha.shape[0] // 2
        return float(np.flatnonzero(alpha[middle] > 128).max() - middle)

    assert reach("network") < reach("edited") < reach("placed")
    assert reach("placed") == pytest.approx(REACH * 20, abs=2)


def test_an_imported_nucleus_looks_like_one_of_the_network() -> None:
    for kind in NucleusClass:
        assert draw_mark(Look(kind, "imported"), PAPER, 20) == draw_mark(Look(kind), PAPER, 20)


def test_what_a_person_changed_is_drawn_over_what_was_imported() -> None:
    pixels = np.full((40, 40, 3), 255, np.uint8)
    edited, imported = (NucleusMark(i, 20, 20, 1 - i, 1, None, o, False) for i, o in enumerate(("edited", "imported")))
    orders = [
        draw_field(pixels, FieldBox(0, 0, 40, 40), order, 0.5, PAPER)
        for order in ((edited, imported), (imported, edited))
    ]
    assert orders[0] == orders[1]


def test_what_is_left_out_is_pale() -> None:
    plain, pale = (np.asarray(draw_mark(Look(0, left_out=out), PAPER, 20))[..., 3].max() for out in (False, True))
    assert pale == pytest.approx(LEFT_OUT_ALPHA * plain, abs=1)


def test_a_nucleus_is_marked_where_it_lies() -> None:
    pixels = np.full((100, 120, 3), 255, np.uint8)
    nucleus = NucleusMark(1, 70.0, 40.0, int(NucleusClass.POSITIVE), 0.9, None, "network", False)
    drawn = np.asarray(draw_field(pixels, FieldBox(20, 10, 120, 90), [nucleus], 0.5, PAPER))
    assert drawn.shape == (160, 200, 3)
    marked = np.argwhere(drawn[..., 2] < 128)[:, ::-1].mean(0)
    assert marked == pytest.approx(((70.5 - 20) * 2 - 0.5, (40.5 - 10) * 2 - 0.5), abs=1)


def test_a_large_field_is_drawn_smaller_and_a_small_one_larger() -> None:
    large = draw_field(np.zeros((3000, 4000, 3), np.uint8), FieldBox(0, 0, 4000, 3000), [], None, PAPER)
    small = draw_field(np.zeros((30, 40, 3), np.uint8), FieldBox(0, 0, 40, 30), [], None, PAPER)
    assert (large.size, small.size) == ((1800, 1350), (80, 60))
