from __future__ import annotations

import math
from typing import Any

import pytest

from nucleus_app.domain.edits import STORED, Bounds, Move, edit_to_mapping, parse_edit
from nucleus_app.errors import InvalidEdit

BOUNDS = Bounds(100, 50, (0.15, 0.15, 0.2))
MASK = {"op": "region", "label": "tumour", "shape": "cells", "left": -0.5, "top": -0.5, "size": 8, "columns": 3}
BRUSH = {"op": "region", "label": "exclude", "shape": "brush", "r": 2.5, "pts": [1.0, 2.0, 3.0, 4.0]}

VALID: list[dict[str, Any]] = [
    {"op": "class", "ids": [0, 7, "c-1:3"], "c": 2},
    {"op": "delete", "ids": ["c-1:3"]},
    {"op": "move", "id": 4, "x": -0.5, "y": 49.5},
    {"op": "add", "x": 99.5, "y": 0.0, "c": 0},
    {"op": "cut", "c": 2, "level": 0.2},
    {"op": "cut", "c": 0, "level": 1.0},
    BRUSH,
    {"op": "region", "label": "reviewed", "shape": "polygon", "pts": [0.0, 0.0, 9.0, 0.0, 9.0, 9.25]},
    MASK | {"runs": [0, 4, 2]},
    {"op": "undo", "edit": "c-1:3"},
    {"op": "redo", "edit": "c-1:3"},
]


@pytest.mark.parametrize("op", VALID)
def test_an_edit_is_the_same_after_reading_and_writing(op: dict[str, Any]) -> None:
    assert edit_to_mapping(parse_edit(op, BOUNDS)) == op


def test_whole_numbers_are_places_too() -> None:
    assert parse_edit({"op": "move", "id": 1, "x": 3, "y": 4}, BOUNDS) == Move(1, 3.0, 4.0)


INVALID: list[tuple[Any, str]] = [
    ("delete", "is an object"),
    ({"op": "paint"}, "no edit 'paint'"),
    ({"op": ["class"]}, "no edit a list of 1"),
    ({}, "no edit None"),
    ({"op": "class", "ids": [1]}, "lacks c"),
    ({"op": "delete", "ids": [1], "c": 0}, "unknown field 'c'"),
    ({"op": "class", "ids": [1], "c": 3}, "class c is 3: use a whole number from 0 to 2"),
    ({"op": "class", "ids": [1], "c": -1}, "class c"),
    ({"op": "class", "ids": [1], "c": True}, "class c is True"),
    ({"op": "class", "ids": [1], "c": "0"}, "class c is '0'"),
    ({"op": "class", "ids": [], "c": 0}, "at least one nucleus"),
    ({"op": "class", "ids": 5, "c": 0}, "at least one nucleus"),
    ({"op": "delete", "ids": [5, 5]}, "twice"),
    ({"op": "delete", "ids": [-1]}, "a nucleus is -1"),
    ({"op": "delete", "ids": [1.0]}, "a nucleus is 1.0"),
    ({"op": "delete", "ids": [True]}, "a nucleus is True"),
    ({"op": "delete", "ids": [10**500]}, "a huge number"),
    ({"op": "delete", "ids": ["\ud800"]}, "names no edit"),
    ({"op": "move", "id": 1, "x": 99.51, "y": 0}, "x is 99.51: use a number from -0.5 to 99.5"),
    ({"op": "move", "id": 1, "x": 0, "y": 50}, "y is 50: use a number from -0.5 to 49.5"),
    ({"op": "add", "x": math.nan, "y": 0, "c": 0}, "x is no finite number"),
    ({"op": "add", "x": math.inf, "y": 0, "c": 0}, "x is no finite number"),
    ({"op": "add", "x": 10**400, "y": 0, "c": 0}, "x is a huge number"),
    ({"op": "add", "x": "1", "y": 0, "c": 0}, "x is '1'"),
    ({"op": "add", "x": None, "y": 0, "c": 0}, "x is None"),
    ({"op": "cut", "c": 0, "level": 0.149}, "level is 0.149: use a number from 0.15 to 1"),
    ({"op": "cut", "c": 2, "level": 0.19}, "from 0.2 to 1"),
    ({"op": "cut", "c": 0, "level": 1.01}, "level is 1.01"),
    (BRUSH | {"label": "necrosis"}, "no region 'necrosis'"),
    (BRUSH | {"label": {}}, "no region a"),
    (BRUSH | {"shape": "star"}, "no shape 'star'"),
    (BRUSH | {"r": 0}, "paints nothing"),
    (BRUSH | {"r": -1}, "r is -1"),
    (BRUSH | {"r": 100.5}, "r is 100.5: use a number from 0 to 100"),
    (BRUSH | {"r": math.nan}, "r is no finite number"),
    (BRUSH | {"pts": []}, "pts is a list of 0"),
    (BRUSH | {"pts": [1, 2, 3]}, "pts is a list of 3"),
    (BRUSH | {"pts": [1, 2, 3, math.nan]}, "y is no finite number"),
    (BRUSH | {"pts": [1, 2, 100, 4]}, "x is 100"),
    (BRUSH | {"pts": [1.0, 2.0] * 10_001}, "to 20000 numbers"),
    (BRUSH | {"pts": [0.0, 0.0, 99.0, 0.0] * 110}, "px long: at most"),
    (BRUSH | {"shape": "polygon"}, "unknown field 'r'"),
    ({"op": "region", "label": "erase", "shape": "polygon", "pts": [0, 0, 1, 1]}, "of 6 to 20000"),
    (MASK | {"runs": [1, 3]}, "no whole rows of 3"),
    (MASK | {"runs": [0]}, "no whole rows of 3"),
    (MASK | {"runs": []}, "1 to 200000 run lengths"),
    (MASK | {"runs": [-3, 6]}, "a run length is -3"),
    (MASK | {"runs": [3], "size": 0}, "size is 0"),
    (MASK | {"runs": [3], "size": 1.5}, "size is 1.5"),
    (MASK | {"runs": [3], "columns": 0}, "columns is 0"),
    (MASK | {"runs": [30_000_000]}, "a run length"),
    ({"op": "undo"}, "lacks edit"),
    ({"op": "undo", "edit": 3}, "3 names no edit"),
    ({"op": "undo", "edit": "x" * 500}, "names no edit"),
]


@pytest.mark.parametrize(("op", "reason"), INVALID)
def test_what_cannot_be_is_refused_with_the_reason(op: Any, reason: str) -> None:
    with pytest.raises(InvalidEdit) as refusal:
        parse_edit(op, BOUNDS)
    assert reason in str(refusal.value)
    assert len(str(refusal.value)) < 300
    str(refusal.value).encode()  # can be sent, whatever came


def test_an_edit_from_the_log_is_read_whatever_the_limits_are_now() -> None:
    for op in (BRUSH | {"pts": [0.0, 0.0, 99.0, 0.0] * 11_000}, {"op": "cut", "c": 0, "level": 0.01}):
        with pytest.raises(InvalidEdit):
            parse_edit(op, BOUNDS)
        assert edit_to_mapping(parse_edit(op, STORED)) == op
