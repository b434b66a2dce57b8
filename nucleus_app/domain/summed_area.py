"""Counting points in many boxes at once: points binned once, then any box of bins in four look-ups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class SummedArea:
    """How many of some points lie in any box of bins: a summed-area table (Crow, SIGGRAPH 1984)."""

    def __init__(self, counts: Indices) -> None:
        """``counts`` (rows, columns): the points in each bin."""
        self._table = np.zeros((counts.shape[0] + 1, counts.shape[1] + 1), np.int64)
        np.cumsum(np.cumsum(counts, axis=0), axis=1, out=self._table[1:, 1:])

    def count(self, left: Indices, top: Indices, right: Indices, bottom: Indices) -> Indices:
        """Points in bins left <= column < right, top <= row < bottom; arrays that broadcast against each other."""
        table = self._table
        found: Indices = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        return found


def count_bins(columns: Indices, rows: Indices, shape: tuple[int, int]) -> Indices:
    """How many points (N,), (N,) fall into each bin of ``shape`` (rows, columns). All must be within."""
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)
