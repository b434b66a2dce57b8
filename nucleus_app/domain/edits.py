"""The vocabulary of corrections (decision 0008): one JSON object ↔ one frozen value. Everything that can be judged
without knowing what was done before is judged here; :mod:`nucleus_app.domain.review` judges the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, cast

from nucleus_app.domain.nuclei import N_CLASSES, NucleusClass
from nucleus_app.errors import InvalidEdit

NucleusId = int | str
"""A candidate's place in its scoring's list, or ``CLIENT:SEQ`` of the edit that placed the nucleus."""
MAX_POINT_NUMBERS = 20_000
MAX_RUNS = 200_000
"""Run lengths of a mask: the map of a whole slide has more of them than a hand-drawn line has points."""
MAX_ID = 2**31 - 1
SHOWN = 40
"""So many characters of what was got are repeated in a message."""


class RegionLabel(StrEnum):
    TUMOUR = "tumour"
    NON_TUMOUR = "non-tumour"
    EXCLUDE = "exclude"
    ERASE = "erase"
    REVIEWED = "reviewed"
    UNREVIEWED = "unreviewed"

    @property
    def is_tissue(self) -> bool:
        """On the tissue layer, else on the layer that says what was reviewed."""
        return self not in (RegionLabel.REVIEWED, RegionLabel.UNREVIEWED)

    @property
    def leaves_out(self) -> bool:
        """Nuclei on it are shown but not counted."""
        return self in (RegionLabel.NON_TUMOUR, RegionLabel.EXCLUDE)


@dataclass(frozen=True, slots=True)
class Brush:
    """All points within ``r`` of the polyline x0, y0, x1, y1, …, in image pixels."""

    r: float
    pts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Polygon:
    """x0, y0, x1, y1, …, in image pixels, closed by itself, even-odd."""

    pts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """Square cells of ``size`` pixels from (``left``, ``top``), ``columns`` a row, row by row, as alternating run lengths
    off, on, off …
    """

    left: float
    top: float
    size: int
    columns: int
    runs: tuple[int, ...]


Shape = Brush | Polygon | Cells


@dataclass(frozen=True, slots=True)
class Class:
    """These are nuclei of that class."""

    ids: tuple[NucleusId, ...]
    kind: NucleusClass


@dataclass(frozen=True, slots=True)
class Delete:
    """These are no nuclei."""

    ids: tuple[NucleusId, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """Its centre is there."""

    id: NucleusId
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Add:
    """A nucleus that is no candidate."""

    x: float
    y: float
    kind: NucleusClass


@dataclass(frozen=True, slots=True)
class Cut:
    """Candidates of that class count from this proximity on."""

    kind: NucleusClass
    level: float


@dataclass(frozen=True, slots=True)
class Region:
    label: RegionLabel
    shape: Shape


@dataclass(frozen=True, slots=True)
class Undo:
    """Take the edit ``CLIENT:SEQ`` out of the fold."""

    edit: str


@dataclass(frozen=True, slots=True)
class Redo:
    """Take the edit ``CLIENT:SEQ`` back into the fold."""

    edit: str


Edit = Class | Delete | Move | Add | Cut | Region | Undo | Redo


@dataclass(frozen=True, slots=True)
class SignedEdit:
    """An edit and whose it is."""

    client: str
    seq: int
    author: str
    edit: Edit

    @property
    def key(self) -> str:
        return f"{self.client}:{self.seq}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an edit's numbers must stay within: the image's size in pixels, and each class's lowest cut."""

    width: int
    height: int
    floors: tuple[float, ...]
    is_stored: bool = False
    """True for edits that were accepted once: a limit that came later must not make an old case unreadable."""

    @property
    def longest_path_px(self) -> float:
        """Hatching a whole image by hand takes a third of this; a line at random takes many times more, and minutes to fold."""
        return math.inf if self.is_stored else 100.0 * (self.width + self.height)


STORED = Bounds(MAX_ID, MAX_ID, (0.0,) * N_CLASSES, is_stored=True)
"""What an edit from the log is read within."""


def parse_edit(op: object, bounds: Bounds) -> Edit:
    """One JSON value as an edit. Raises InvalidEdit with the reason."""
    if not isinstance(op, dict):
        raise InvalidEdit(f"An edit is an object like {{'op': 'delete', 'ids': [3]}}, not {_shown(op)}.")
    name = op.get("op")
    if not isinstance(name, str) or name not in _PARSERS:
        raise InvalidEdit(f"There is no edit {_shown(name)}: use one of {', '.join(_PARSERS)}.")
    return _PARSERS[name](op, bounds)


def edit_to_mapping(edit: Edit) -> dict[str, Any]:
    """An edit as JSON types; the inverse of :func:`parse_edit`."""
    match edit:
        case Class(ids, kind):
            return {"op": "class", "ids": list(ids), "c": int(kind)}
        case Delete(ids):
            return {"op": "delete", "ids": list(ids)}
        case Move(id_, x, y):
            return {"op": "move", "id": id_, "x": x, "y": y}
        case Add(x, y, kind):
            return {"op": "add", "x": x, "y": y, "c": int(kind)}
        case Cut(kind, level):
            return {"op": "cut", "c": int(kind), "level": level}
        case Region(label, shape):
            return {"op": "region", "label": label.value, **shape_to_mapping(shape)}
        case Undo(target):
            return {"op": "undo", "edit": target}
        case Redo(target):
            return {"op": "redo", "edit": target}


def shape_to_mapping(shape: Shape) -> dict[str, Any]:
    """A shape as JSON types: its name and its numbers."""
    match shape:
        case Brush(r, pts):
            return {"shape": "brush", "r": r, "pts": list(pts)}
        case Polygon(pts):
            return {"shape": "polygon", "pts": list(pts)}
        case Cells(left, top, size, columns, runs):
            return {
                "shape": "cells", "left": left, "top": top, "size": size, "columns": columns, "runs": list(runs),
            }  # fmt: skip


def _parse_class(op: Mapping[str, object], bounds: Bounds) -> Edit:
    _check_fields(op, "ids", "c")
    return Class(_ids(op["ids"]), _kind(op["c"]))


def _parse_delete(op: Mapping[str, object], bounds: Bounds) -> Edit:
    _check_fields(op, "ids")
    return Delete(_ids(op["ids"]))


def _parse_move(op: Mapping[str, object], bounds: Bounds) -> Edit:
    _check_fields(op, "id", "x", "y")
    return Move(_id(op["id"]), *_place(op["x"], op["y"], bounds))


def _parse_add(op: Mapping[str, object], bounds: Bounds) -> Edit:
    _check_fields(op, "x", "y", "c")
    return Add(*_place(op["x"], op["y"], bounds), _kind(op["c"]))


def _parse_cut(op: Mapping[str, object], bounds: Bounds) -> Edit:
    _check_fields(op, "c", "level")
    kind = _kind(op["c"])
    return Cut(kind, _number("level", op["level"], bounds.floors[kind], 1.0))


def _parse_region(op: Mapping[str, object], bounds: Bounds) -> Edit:
    label, shape = op.get("label"), op.get("shape")
    if not isinstance(label, str) or label not in list(RegionLabel):
        raise InvalidEdit(f"There is no region {_shown(label)}: use one of {', '.join(RegionLabel)}.")
    if not isinstance(shape, str) or shape not in _SHAPES:
        raise InvalidEdit(f"There is no shape {_shown(shape)}: use one of {', '.join(_SHAPES)}.")
    return Region(RegionLabel(label), _SHAPES[shape](op, bounds))


def _parse_undo(op: Mapping[str, object], bounds: Bounds) -> Edit:
    _check_fields(op, "edit")
    return Undo(_key(op["edit"]))


def _parse_redo(op: Mapping[str, object], bounds: Bounds) -> Edit:
    _check_fields(op, "edit")
    return Redo(_key(op["edit"]))


def _parse_brush(op: Mapping[str, object], bounds: Bounds) -> Shape:
    _check_fields(op, "label", "shape", "r", "pts")
    r = _number("r", op["r"], 0.0, float(max(bounds.width, bounds.height)))
    if r <= 0:
        raise InvalidEdit(f"A brush of radius r = {r:g} paints nothing: use a radius above 0.")
    return Brush(r, _points(op["pts"], 1, bounds))


def _parse_polygon(op: Mapping[str, object], bounds: Bounds) -> Shape:
    _check_fields(op, "label", "shape", "pts")
    return Polygon(_points(op["pts"], 3, bounds))


def _parse_cells(op: Mapping[str, object], bounds: Bounds) -> Shape:
    _check_fields(op, "label", "shape", "left", "top", "size", "columns", "runs")
    left, top = _place(op["left"], op["top"], bounds)
    longer = max(bounds.width, bounds.height)
    size = _whole("size", op["size"], 1, longer)
    columns = _whole("columns", op["columns"], 1, longer)
    runs = op["runs"]
    if not isinstance(runs, list) or not 0 < len(runs) <= MAX_RUNS:
        raise InvalidEdit(f"runs is {_shown(runs)}: send a list of 1 to {MAX_RUNS} run lengths off, on, off …")
    lengths = tuple(_whole("a run length", run, 0, longer * longer) for run in runs)
    rows, rest = divmod(sum(lengths), columns)
    if rest or not 0 < rows <= longer:
        raise InvalidEdit(f"The runs are {sum(lengths)} cells, which are no whole rows of {columns} in this image.")
    return Cells(left, top, size, columns, lengths)


_SHAPES: dict[str, Callable[[Mapping[str, object], Bounds], Shape]] = {
    "brush": _parse_brush,
    "polygon": _parse_polygon,
    "cells": _parse_cells,
}
_PARSERS: dict[str, Callable[[Mapping[str, object], Bounds], Edit]] = {
    "class": _parse_class,
    "delete": _parse_delete,
    "move": _parse_move,
    "add": _parse_add,
    "cut": _parse_cut,
    "region": _parse_region,
    "undo": _parse_undo,
    "redo": _parse_redo,
}


def _check_fields(op: Mapping[str, object], *names: str) -> None:
    """Exactly these fields beside ``op``: what is not understood must not be silently lost."""
    wanted = {"op", *names}
    missing, unknown = sorted(wanted - op.keys()), sorted(op.keys() - wanted)
    if missing or unknown:
        wrong = f"lacks {', '.join(missing)}" if missing else f"has the unknown field {_shown(unknown[0])}"
        raise InvalidEdit(f"The edit {_shown(op['op'])} {wrong}: its fields are {', '.join(names)}.")


def _ids(value: object) -> tuple[NucleusId, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidEdit(f"ids is {_shown(value)}: send a list of at least one nucleus.")
    ids = tuple(_id(each) for each in value)
    if len(set(ids)) < len(ids):
        raise InvalidEdit("ids names a nucleus twice: name each once.")
    return ids


def _id(value: object) -> NucleusId:
    if isinstance(value, str):
        return _key(value)
    return _whole("a nucleus", value, 0, MAX_ID)


def _key(value: object) -> str:
    """``CLIENT:SEQ``; whether there is such an edit is for the review to say."""
    if not isinstance(value, str) or not 3 <= len(value) <= 80 or ":" not in value:
        raise InvalidEdit(f"{_shown(value)} names no edit: use CLIENT:SEQ.")
    return value


def _kind(value: object) -> NucleusClass:
    return NucleusClass(_whole("class c", value, 0, N_CLASSES - 1))


def _whole(name: str, value: object, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InvalidEdit(f"{name} is {_shown(value)}: use a whole number from {lowest} to {highest}.")
    return value


def _number(name: str, value: object, lowest: float, highest: float) -> float:
    # The comparison also refuses NaN, and it comes before float(), which has no room for the largest whole numbers.
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise InvalidEdit(f"{name} is {_shown(value)}: use a number from {lowest:g} to {highest:g}.")
    return float(value)


def _place(x: object, y: object, bounds: Bounds) -> tuple[float, float]:
    return _number("x", x, -0.5, bounds.width - 0.5), _number("y", y, -0.5, bounds.height - 0.5)


def _points(value: object, fewest: int, bounds: Bounds) -> tuple[float, ...]:
    most = MAX_ID if bounds.is_stored else MAX_POINT_NUMBERS
    if not isinstance(value, list) or len(value) % 2 or not 2 * fewest <= len(value) <= most:
        got = f"a list of {len(value)}" if isinstance(value, list) else _shown(value)
        raise InvalidEdit(
            f"pts is {got}: send [x0, y0, x1, y1, …] of {2 * fewest} to {MAX_POINT_NUMBERS} numbers, an even number of them."
        )
    right, bottom = bounds.width - 0.5, bounds.height - 0.5
    for at, number in enumerate(value):
        if type(number) not in (float, int) or not -0.5 <= number <= (bottom if at % 2 else right):
            _number("y" if at % 2 else "x", number, -0.5, bottom if at % 2 else right)  # raises, with the reason
    points = tuple(map(float, cast("list[float]", value)))
    length = sum(map(math.hypot, _steps(points[::2]), _steps(points[1::2])))
    if length > bounds.longest_path_px:
        raise InvalidEdit(
            f"The line is {length:.0f} px long: at most {bounds.longest_path_px:.0f} in this image. Draw it in parts."
        )
    return points


def _steps(values: tuple[float, ...]) -> list[float]:
    return [after - before for before, after in pairwise(values)]


def _shown(value: object) -> str:
    """What was got, short and harmless, whatever it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return "no finite number"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**SHOWN:
        return "a huge number"
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'object'} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
