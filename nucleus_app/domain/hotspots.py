"""Hot spots: the squares of highest positivity, either of a given area or of a guaranteed number of tumour nuclei.

**Rank.** The clinical rule is the field of highest positivity (docs/protocols.md). A plain ratio would let the smallest
square win by chance: among hundreds of squares of 100 nuclei, some show 6 % where 3 % is true. So squares are ranked by
the lower end of the 95 % Wilson interval, the positivity that the count supports; equal ones by more tumour nuclei. With
equal counts, as in squares grown to the same number, that is the order of the ratio.

**Enough.** Only squares with :data:`MIN_TUMOUR_NUCLEI` compete. Where an image has none, those with at least half of the
fullest square's nuclei do, and the answer says so.

Boxes consist of whole pixels, so that no rounding of an edge can move a nucleus across it, and counts are those of the
returned box, exactly: left <= x < right, top <= y < bottom.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI, Floats, LabellingIndex, find_labelling_index, wilson_intervals
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.sheet import FieldBox
from nucleus_app.domain.summed_area import Indices, SummedArea, count_bins

MOST_SPOTS = 5
STEPS_A_SIDE = 16
"""A window slides by this part of its side."""
MAX_WINDOWS = 1_000_000
"""In larger images windows slide by longer steps."""
BINS_A_SQUARE = 12
"""Squares that hold n nuclei are about so many bins wide while they are looked for."""
MAX_CENTRES = 250_000
MAX_TRIES = 50
"""So many centres are grown exactly at most; each costs one pass over the nuclei."""
NO_RANK = -1.0


@dataclass(frozen=True, slots=True)
class HotSpot:
    box: FieldBox
    """Within the image, whose pixels reach from -0.5 to its size - 0.5."""
    index: LabellingIndex
    area_mm2: float


@dataclass(frozen=True, slots=True)
class HotSpots:
    """Up to :data:`MOST_SPOTS` that do not overlap, hottest first. ``is_enough`` is False where they hold fewer tumour
    nuclei than they should: than :data:`MIN_TUMOUR_NUCLEI`, or than the number that was asked for.
    """

    spots: tuple[HotSpot, ...]
    is_enough: bool


class PixelBox(NamedTuple):
    """Pixel columns left <= column < right, rows top <= row < bottom."""

    left: int
    top: int
    right: int
    bottom: int

    def to_field(self) -> FieldBox:
        return FieldBox(*(edge - 0.5 for edge in self))

    def overlaps(self, other: PixelBox) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


@dataclass(frozen=True, slots=True)
class TumourNuclei:
    """Counted tumour nuclei of one image: the pixel that each lies in, ``column`` and ``row`` (N,), ``is_positive`` (N,);
    the image's size in px and its µm per px.
    """

    column: Indices
    row: Indices
    is_positive: NDArray[np.bool_]
    width: int
    height: int
    mpp: float

    @classmethod
    def within(
        cls, xy: NDArray[np.floating], is_positive: NDArray[np.bool_], size: tuple[int, int], mpp: float
    ) -> TumourNuclei:
        """Those of the nuclei ``xy`` (N, 2) px that lie in one of the pixels; a box in the image can hold no others."""
        width, height = size
        column, row = np.floor(xy.astype(np.float64).T + 0.5)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        column, row = column[inside].astype(np.int64), row[inside].astype(np.int64)
        return cls(column, row, is_positive[inside], width, height, mpp)

    def __len__(self) -> int:
        return len(self.column)

    def find_in(self, box: PixelBox) -> NDArray[np.bool_]:
        """Which of them lie in a box, (N,)."""
        inside: NDArray[np.bool_] = (self.column >= box.left) & (self.column < box.right)
        inside &= (self.row >= box.top) & (self.row < box.bottom)
        return inside

    def count_in(self, box: PixelBox) -> HotSpot | None:
        """The box with its exact counts; None where it holds no tumour nucleus."""
        inside = self.find_in(box)
        positive = int(np.count_nonzero(self.is_positive[inside]))
        index = find_labelling_index(Counts(positive, int(np.count_nonzero(inside)) - positive, 0))
        area_mm2 = (box.right - box.left) * (box.bottom - box.top) * (self.mpp / 1000) ** 2
        return HotSpot(box.to_field(), index, area_mm2) if index else None

    def sum_areas(self, x_edges: Indices, y_edges: Indices) -> tuple[SummedArea, SummedArea]:
        """All of them and the positive ones, in bins between increasing pixel edges from 0 to the image's size or beyond."""
        column = (np.searchsorted(x_edges, np.arange(self.width), "right") - 1)[self.column]
        row = (np.searchsorted(y_edges, np.arange(self.height), "right") - 1)[self.row]
        shape, on = (len(y_edges) - 1, len(x_edges) - 1), self.is_positive
        return SummedArea(count_bins(column, row, shape)), SummedArea(count_bins(column[on], row[on], shape))


def find_spots_of_area(nuclei: TumourNuclei, area_mm2: float) -> HotSpots:
    """Slide a square of that area over the image, or as much of the square as the image has room for."""
    side = max(1, round(math.sqrt(area_mm2) * 1000 / nuclei.mpp))
    width, height = min(side, nuclei.width), min(side, nuclei.height)
    step = max(1, side // STEPS_A_SIDE, round(math.sqrt(nuclei.width * nuclei.height / MAX_WINDOWS)))
    lefts, tops = _list_starts(nuclei.width, width, step), _list_starts(nuclei.height, height, step)
    x_edges = np.unique(np.concatenate([lefts, lefts + width]))
    y_edges = np.unique(np.concatenate([tops, tops + height]))
    tumour, positive = nuclei.sum_areas(x_edges, y_edges)
    window = (
        np.searchsorted(x_edges, lefts)[None, :], np.searchsorted(y_edges, tops)[:, None],
        np.searchsorted(x_edges, lefts + width)[None, :], np.searchsorted(y_edges, tops + height)[:, None],
    )  # fmt: skip
    n = tumour.count(*window)
    fullest = int(n.max())
    rank = rank_by_wilson(positive.count(*window), n)
    rank[n < (MIN_TUMOUR_NUCLEI if fullest >= MIN_TUMOUR_NUCLEI else math.ceil(fullest / 2))] = NO_RANK
    spots: list[HotSpot] = []
    while len(spots) < MOST_SPOTS:
        j, i = np.unravel_index(np.argmax(rank), rank.shape)
        left, top = int(lefts[i]), int(tops[j])
        spot = nuclei.count_in(PixelBox(left, top, left + width, top + height)) if rank[j, i] > NO_RANK else None
        if spot is None:
            break
        spots.append(spot)
        rank[np.ix_(np.abs(tops - top) < height, np.abs(lefts - left) < width)] = NO_RANK
    return HotSpots(tuple(spots), fullest >= MIN_TUMOUR_NUCLEI)


def find_spots_of_count(nuclei: TumourNuclei, n: int) -> HotSpots:
    """Grow squares until each holds ``n`` tumour nuclei: the smallest around its centre that does, moved inwards at the
    border, and grown along one side alone where the image is too narrow. With fewer in all: the whole image.
    """
    if len(nuclei) < n:
        spot = nuclei.count_in(PixelBox(0, 0, nuclei.width, nuclei.height))
        return HotSpots((spot,) if spot else (), False)
    centres = _grow_roughly(nuclei, n)
    rank = centres.rank
    boxes: list[PixelBox] = []
    for _ in range(MAX_TRIES):
        best = int(np.argmax(rank))
        if len(boxes) == MOST_SPOTS or rank[best] == NO_RANK:
            break
        box = _grow_exactly(nuclei, centres, best, n)
        if any(box.overlaps(other) for other in boxes):
            rank[centres.are_beside(best)] = NO_RANK
        else:
            boxes.append(box)
            rank[centres.overlap(box)] = NO_RANK
            rank[best] = NO_RANK
    spots = [spot for spot in map(nuclei.count_in, boxes) if spot is not None]
    spots.sort(key=lambda spot: (spot.index.low_percent, -spot.area_mm2), reverse=True)
    return HotSpots(tuple(spots), True)


def rank_by_wilson(positive: Indices, total: Indices) -> Floats:
    """Lower end of the 95 % Wilson interval as a fraction, and next to nothing more for more nuclei; NO_RANK without any."""
    low, _ = wilson_intervals(positive, np.maximum(total, 1))
    return np.where(total > 0, low + total * 1e-15, NO_RANK)


def _list_starts(extent: int, side: int, step: int) -> Indices:
    """Where windows begin along one axis: every ``step``, and where the last one ends with the image."""
    return np.append(np.arange(0, extent - side, step), extent - side)


@dataclass(frozen=True, slots=True)
class _Centres:
    """Where squares may be grown, (M,): centres and sides in px, the rank of about that square, and what it surely covers."""

    x: Indices
    y: Indices
    side: Indices
    rank: Floats
    left: Indices
    top: Indices
    right: Indices
    bottom: Indices
    bin_px: int

    def overlap(self, box: PixelBox) -> NDArray[np.bool_]:
        """Those whose square overlaps the box, as far as can be told without growing it."""
        over: NDArray[np.bool_] = (self.left < box.right) & (self.right > box.left)
        over &= (self.top < box.bottom) & (self.bottom > box.top)
        return over

    def are_beside(self, at: int) -> NDArray[np.bool_]:
        """A centre and those next to it."""
        beside: NDArray[np.bool_] = np.abs(self.x - self.x[at]) <= self.bin_px
        beside &= np.abs(self.y - self.y[at]) <= self.bin_px
        return beside


def _grow_roughly(nuclei: TumourNuclei, n: int) -> _Centres:
    """For every bin the smallest square of whole bins around it that holds n nuclei."""
    bin_px = _choose_bin(nuclei, n)
    columns, rows = -(-nuclei.width // bin_px), -(-nuclei.height // bin_px)
    tumour, positive = nuclei.sum_areas(bin_px * np.arange(columns + 1), bin_px * np.arange(rows + 1))
    everywhere = np.arange(rows * columns)
    row, column = np.divmod(everywhere, columns)

    def window(reach: Indices, at: Indices) -> tuple[Indices, Indices, Indices, Indices]:
        side_x, side_y = np.minimum(2 * reach + 1, columns), np.minimum(2 * reach + 1, rows)
        left = np.minimum(np.maximum(column[at] - reach, 0), columns - side_x)
        top = np.minimum(np.maximum(row[at] - reach, 0), rows - side_y)
        return left, top, left + side_x, top + side_y

    reach = _bisect(lambda reach, at: tumour.count(*window(reach, at)) >= n, len(everywhere), max(columns, rows))
    left, top, right, bottom = found = window(reach, everywhere)
    rank = rank_by_wilson(positive.count(*found), tumour.count(*found))
    inner = 2  # bins by which the exact square may be smaller
    return _Centres(
        column * bin_px + bin_px // 2, row * bin_px + bin_px // 2, (2 * reach + 2) * bin_px, rank,
        (left + inner) * bin_px, (top + inner) * bin_px, (right - inner) * bin_px, (bottom - inner) * bin_px, bin_px,
    )  # fmt: skip


def _bisect(holds: Callable[[Indices, Indices], NDArray[np.bool_]], n: int, longest: int) -> Indices:
    """For each of n places the least reach that holds, which grows with it: doubled from about what is expected on, then
    halved. ``holds(reach (M,), places (M,))``. At ``longest`` it must hold.
    """
    too_small, enough = np.full(n, -1, np.int64), np.full(n, longest, np.int64)
    tried, open_ = BINS_A_SQUARE // 2 + 2, np.arange(n)
    while tried < longest and len(open_):
        held = holds(np.full(len(open_), tried), open_)
        enough[open_[held]], too_small[open_[~held]] = tried, tried
        open_, tried = open_[~held], 2 * tried
    open_ = np.arange(n)
    while len(open_ := open_[enough[open_] - too_small[open_] > 1]):
        middle = (too_small[open_] + enough[open_]) // 2
        held = holds(middle, open_)
        enough[open_[held]], too_small[open_[~held]] = middle[held], middle[~held]
    return enough


def _choose_bin(nuclei: TumourNuclei, n: int) -> int:
    """Side of a bin in px, from how densely nuclei lie where most of them are."""
    cell = -(-max(nuclei.width, nuclei.height) // 64)
    counts = count_bins(nuclei.column // cell, nuclei.row // cell, (64, 64)).astype(np.float64)
    density = float((counts**2).sum() / counts.sum()) / cell**2
    finest = math.ceil(math.sqrt(nuclei.width * nuclei.height / MAX_CENTRES))
    return max(1, finest, round(math.sqrt(n / density) / BINS_A_SQUARE))


def _grow_exactly(nuclei: TumourNuclei, centres: _Centres, at: int, n: int) -> PixelBox:
    """The smallest square around a centre that holds n nuclei. Squares around a centre lie within each other, so that only
    the nuclei of the largest are looked at.
    """
    x, y = int(centres.x[at]), int(centres.y[at])
    too_small, enough = 0, int(centres.side[at])
    inside = nuclei.find_in(_square(nuclei, x, y, enough))
    column, row = nuclei.column[inside], nuclei.row[inside]
    while enough - too_small > 1:
        side = (too_small + enough) // 2
        box = _square(nuclei, x, y, side)
        held = (column >= box.left) & (column < box.right) & (row >= box.top) & (row < box.bottom)
        if np.count_nonzero(held) >= n:
            enough = side
        else:
            too_small = side
    return _square(nuclei, x, y, enough)


def _square(nuclei: TumourNuclei, x: int, y: int, side: int) -> PixelBox:
    """A square around a centre, moved into the image; no longer on either side than the image."""
    width, height = min(side, nuclei.width), min(side, nuclei.height)
    left = min(max(x - side // 2, 0), nuclei.width - width)
    top = min(max(y - side // 2, 0), nuclei.height - height)
    return PixelBox(left, top, left + width, top + height)
