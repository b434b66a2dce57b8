"""The tissue layer of a review: its standing regions, and which of them decides at a place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import Region
from nucleus_app.domain.regions import Box, Xs, bound_shape, find_inside

NO_REGION = -1


class TissueLayer:
    """Regions by their number in the log. At any place the last one that covers it decides."""

    def __init__(self) -> None:
        self._regions: dict[int, tuple[Region, Box]] = {}

    def add(self, number: int, region: Region) -> None:
        """A region that stands (again)."""
        self._regions[number] = (region, bound_shape(region.shape))

    def remove(self, number: int) -> None:
        """A region that stands no longer."""
        del self._regions[number]

    def find_covered(self, number: int, x: Xs, y: Xs) -> NDArray[np.int64]:
        """Which of the points (N,), (N,) one region covers, as indices."""
        region, box = self._regions[number]
        near = np.flatnonzero(box.holds(x, y))
        return near[find_inside(region.shape, x[near], y[near])]

    def look_up(self, x: Xs, y: Xs) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """For each point the number of the region that decides (``NO_REGION`` for none), and whether it leaves it out."""
        decides = np.full(len(x), NO_REGION, np.int64)
        left_out = np.zeros(len(x), np.bool_)
        open_ = np.arange(len(x))
        for number in sorted(self._regions, reverse=True):
            if not len(open_):
                break
            covered = self.find_covered(number, x[open_], y[open_])
            decides[open_[covered]] = number
            left_out[open_[covered]] = self._regions[number][0].label.leaves_out
            open_ = np.delete(open_, covered)
        return decides, left_out
