"""What was said of one part of an image, as it is frozen: numbers and shapes, no pixels. With the pixels it becomes an
:class:`Example`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import STORED, Region, RegionLabel, Shape, edit_to_mapping, parse_edit
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.regions import Xs, bound_shape, find_inside
from nucleus_app.domain.sheet import FieldBox
from nucleus_app.domain.split import Split
from nucleus_app.errors import NucleusAppError
from nucleus_app.kinet.preprocess import Rgb
from trainer.learning.dataset import EXCLUDED, NON_TUMOUR, TUMOUR, UNKNOWN
from trainer.learning.example import Example, Points

POINTS_AT_ONCE = 1_000_000
"""Pixels whose place in a shape is asked for at once."""
PAINTED = {RegionLabel.TUMOUR: TUMOUR, RegionLabel.NON_TUMOUR: NON_TUMOUR, RegionLabel.EXCLUDE: EXCLUDED}
"""What regions of the tissue layer paint; ``erase`` paints ``UNKNOWN``."""


class Window(NamedTuple):
    """A part of an image, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    def holds(self, xy: Points) -> NDArray[np.bool_]:
        """Which of the points (N, 2) lie on its pixels."""
        corner = np.array([self.left - 0.5, self.top - 0.5])
        size = np.array([self.width, self.height])
        inside: NDArray[np.bool_] = np.all((xy >= corner) & (xy < corner + size), axis=1)
        return inside


@dataclass(frozen=True, slots=True)
class Statement:
    """As :class:`Example`, but in the image's pixels, and with regions instead of masks.

    ``blob`` names the pixels of the whole image. ``regions``: painted ones in order, of both layers. ``fields``: counted
    fields in which a person corrected something; None is the whole image.
    """

    image: int
    case: int
    split: Split
    blob: str
    mpp: float
    window: Window
    nuclei: Nuclei
    by_person: NDArray[np.bool_]
    removed: Points
    doubtful: Points
    regions: tuple[Region, ...]
    fields: tuple[FieldBox | None, ...]

    @property
    def name(self) -> str:
        """All of one lab's are one set, whose images are named by case."""
        return f"lab_{self.case}_{self.image}_{self.window.left}_{self.window.top}"


def make_example(statement: Statement, rgb: Rgb) -> Example:
    """``rgb``: the whole image, of which nothing is held on to."""
    left, top, width, height = window = statement.window
    corner = np.array([left, top], np.float32)
    reviewed = np.zeros((height, width), np.bool_)
    tissue = np.full((height, width), UNKNOWN, np.uint8)
    for label, shape in ((region.label, region.shape) for region in statement.regions):
        if label.is_tissue:
            paint(tissue, shape, window, PAINTED.get(label, UNKNOWN))
        else:
            paint(reviewed, shape, window, label is RegionLabel.REVIEWED)
    excluded = tissue == EXCLUDED
    tissue[excluded] = UNKNOWN
    signed = _mark_fields(statement.fields, window) & ~excluded
    nuclei = statement.nuclei
    return Example(
        statement.name, statement.image, statement.case,
        rgb[top : top + height, left : left + width].copy(), statement.mpp,
        Nuclei(nuclei.xy - corner, nuclei.classes, nuclei.scores), statement.by_person,
        statement.removed - corner, statement.doubtful - corner,
        reviewed & ~excluded, signed, excluded, tissue, left, top,
    )  # fmt: skip


def paint(plane: NDArray[Any], shape: Shape, window: Window, value: int) -> None:
    """Set the pixels of a window (H, W) whose centres lie in a shape. Only its bounding box is looked at, in bands."""
    box = bound_shape(shape)
    first_x, last_x = (
        max(0, math.floor(box.left) - window.left),
        min(plane.shape[1], math.ceil(box.right) - window.left + 1),
    )
    first_y, last_y = (
        max(0, math.floor(box.top) - window.top),
        min(plane.shape[0], math.ceil(box.bottom) - window.top + 1),
    )
    if first_x >= last_x:
        return
    columns = np.arange(first_x, last_x)
    rows_at_once = max(1, POINTS_AT_ONCE // len(columns))
    for start in range(first_y, last_y, rows_at_once):
        rows = np.arange(start, min(last_y, start + rows_at_once))
        x = np.tile(columns + float(window.left), len(rows))
        y = np.repeat(rows + float(window.top), len(columns))
        inside = find_inside(shape, x, y).reshape(len(rows), len(columns))
        plane[rows[0] : rows[-1] + 1, first_x:last_x][inside] = value


def look_up_tissue(regions: Sequence[Region], x: Xs, y: Xs) -> NDArray[np.uint8]:
    """What is painted at points (N,), (N,): codes of :data:`PAINTED`, ``UNKNOWN`` where nothing is."""
    codes = np.full(len(x), UNKNOWN, np.uint8)
    for region in regions:
        if region.label.is_tissue:
            codes[look_up(region.shape, x, y)] = PAINTED.get(region.label, UNKNOWN)
    return codes


def look_up_reviewed(regions: Sequence[Region], x: Xs, y: Xs) -> NDArray[np.bool_]:
    """Which of the points (N,), (N,) are painted as reviewed."""
    reviewed = np.zeros(len(x), np.bool_)
    for region in regions:
        if not region.label.is_tissue:
            reviewed[look_up(region.shape, x, y)] = region.label is RegionLabel.REVIEWED
    return reviewed


def look_up(shape: Shape, x: Xs, y: Xs) -> NDArray[np.intp]:
    """Which of the points (N,), (N,) lie in a shape, as indices."""
    near = np.flatnonzero(bound_shape(shape).holds(x, y))
    return near[find_inside(shape, x[near], y[near])]


def _mark_fields(fields: Sequence[FieldBox | None], window: Window) -> NDArray[np.bool_]:
    marked = np.zeros((window.height, window.width), np.bool_)
    for box in fields:
        if box is None:
            marked[:] = True
            continue
        rows = slice(max(0, math.ceil(box.top) - window.top), max(0, math.ceil(box.bottom) - window.top))
        columns = slice(max(0, math.ceil(box.left) - window.left), max(0, math.ceil(box.right) - window.left))
        marked[rows, columns] = True
    return marked


def statement_to_mapping(statement: Statement) -> dict[str, Any]:
    """A statement as JSON types."""
    nuclei = statement.nuclei
    return {
        "image": statement.image,
        "case": statement.case,
        "split": statement.split.value,
        "blob": statement.blob,
        "mpp": statement.mpp,
        "window": list(statement.window),
        "xy": _round(nuclei.xy, 2),
        "classes": nuclei.classes.tolist(),
        "scores": _round(nuclei.scores, 4),
        "by_person": np.flatnonzero(statement.by_person).tolist(),
        "removed": _round(statement.removed, 2),
        "doubtful": _round(statement.doubtful, 2),
        "regions": [edit_to_mapping(region) for region in statement.regions],
        "fields": [box and list(box) for box in statement.fields],
    }


def parse_statement(mapping: dict[str, Any]) -> Statement:
    """The inverse of :func:`statement_to_mapping`. Raises NucleusAppError for regions that are none."""
    nuclei = Nuclei.from_arrays(mapping["xy"], mapping["classes"], mapping["scores"])
    by_person = np.zeros(len(nuclei), np.bool_)
    by_person[mapping["by_person"]] = True
    regions = tuple(parse_edit(region, STORED) for region in mapping["regions"])
    if not all(isinstance(region, Region) for region in regions):
        raise NucleusAppError("The frozen corrections hold something else than regions where regions belong.")
    return Statement(
        mapping["image"], mapping["case"], Split(mapping["split"]), mapping["blob"], mapping["mpp"],
        Window(*mapping["window"]), nuclei, by_person, _to_points(mapping["removed"]), _to_points(mapping["doubtful"]),
        tuple(region for region in regions if isinstance(region, Region)),
        tuple(None if box is None else FieldBox(*box) for box in mapping["fields"]),
    )  # fmt: skip


def _round(values: NDArray[np.float32], digits: int) -> list[Any]:
    rounded: list[Any] = np.round(values.astype(np.float64), digits).tolist()
    return rounded


def _to_points(rows: list[list[float]]) -> Points:
    return np.asarray(rows, np.float32).reshape(-1, 2)
