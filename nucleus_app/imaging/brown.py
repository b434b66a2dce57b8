"""Where a slide is brown, seen at low power: a hint where to look, no count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_app.imaging.slides import Box
from nucleus_app.imaging.stain import density_to_stains, rgb_to_density

CELL_UM = 100.0
CELL_PX = 400
"""Where no pixel size is known: about as much at 40×."""
WINDOW_CELLS = 10
"""About a square millimetre."""
FEWEST_TISSUE, FEWEST_WINDOW_TISSUE = 0.15, 0.8
"""Share of a cell that must be tissue, and of the cells of the fullest window that a window must hold: biopsies are narrow."""
TISSUE_DENSITY, DARK_DENSITY = 0.12, 5.0
"""Summed optical density of tissue at low power; what is darker is ink, a fold or the slide's edge."""
GROUND_PERCENTILE, LEAST_DAB = 10, 0.1
"""Density of DAB above that of the slide's palest tissue from which it is brown (decision 0011 has what was measured)."""
SAMPLES = 1_000_000
MOST_SPOTS = 5


@dataclass(frozen=True, slots=True)
class BrownMap:
    """By square cells of ``size_px`` pixels of the slide, (rows, columns): DAB beyond that of the slide's palest tissue, and all
    stain that counts, this and haematoxylin; 0 without tissue.
    """

    size_px: float
    brown: NDArray[np.float64]
    stain: NDArray[np.float64]

    @property
    def share(self) -> NDArray[np.float64]:
        """Of the stain in each cell, what is brown, 0 to 1; NaN without tissue."""
        return _divide(self.brown, self.stain)


@dataclass(frozen=True, slots=True)
class BrownSpot:
    """``box``: left, top, right, bottom in pixels of the slide."""

    box: Box
    share: float


def map_brown(rgb: NDArray[np.uint8], downsample: float, mpp: float | None) -> BrownMap:
    """The share of brown by cells of 100 µm (400 px without a pixel size).

    ``rgb`` (H, W, 3): the slide at low power, ``downsample`` times smaller; ``mpp``: of the slide itself.
    """
    wanted = (CELL_UM / mpp if mpp else CELL_PX) / downsample
    side = max(1, round(wanted))
    height, width = rgb.shape[0], rgb.shape[1]
    ground = _find_ground(rgb)
    brown, stain = np.zeros((2, math.ceil(height / side), math.ceil(width / side)))
    for row in range(brown.shape[0]):  # a row of cells at a time: densities take four times the memory of pixels
        strip = rgb[row * side : (row + 1) * side]
        is_tissue, haematoxylin, dab = _separate(strip)
        columns = np.arange(width) // side
        in_cells = [
            np.bincount(columns, (values * is_tissue).sum(axis=0), brown.shape[1])
            for values in (np.clip(dab - ground - LEAST_DAB, 0, None), haematoxylin, np.ones_like(dab))
        ]
        area = np.bincount(columns, minlength=brown.shape[1]) * strip.shape[0]
        has_tissue = in_cells[2] >= FEWEST_TISSUE * area
        brown[row] = in_cells[0] * has_tissue
        stain[row] = (in_cells[0] + in_cells[1]) * has_tissue
    return BrownMap(side * downsample, brown, stain)


def find_brown_spots(
    brown: BrownMap, width_px: int, height_px: int, side_px: float | None = None, taken: Sequence[Box] = ()
) -> tuple[BrownSpot, ...]:
    """The squares of ``side_px`` with the highest share, best first, none over another or over what is ``taken``, about as full of
    tissue as the slide has them. Each lies around the middle of whole cells, moved inwards at the slide's border.
    """
    wanted = WINDOW_CELLS if side_px is None else max(1, round(side_px / brown.size_px))
    side = min(wanted, *brown.stain.shape)
    own = min(round(side_px or side * brown.size_px), width_px, height_px)
    tissue, browns, stains = (_sum_windows(a, side) for a in (brown.stain > 0, brown.brown, brown.stain))
    share = _divide(browns, stains)
    share[np.isnan(share) | (tissue < FEWEST_WINDOW_TISSUE * tissue.max())] = -1
    spots: list[BrownSpot] = []
    for place in np.argsort(share, axis=None)[::-1]:
        row, column = divmod(int(place), share.shape[1])
        if len(spots) == MOST_SPOTS or share[row, column] <= 0:
            break
        left, top = (
            max(0, min(round((first + side / 2) * brown.size_px - own / 2), length - own))
            for first, length in ((column, width_px), (row, height_px))
        )
        box = (left, top, left + own, top + own)
        if not any(_overlap(box, other) for other in (*taken, *(spot.box for spot in spots))):
            spots.append(BrownSpot(box, float(share[row, column])))
    return tuple(spots)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _find_ground(rgb: NDArray[np.uint8]) -> float:
    """DAB of the slide's palest tissue: what a background stain, or the haematoxylin of this laboratory, leaves everywhere."""
    step = max(1, math.isqrt(rgb.shape[0] * rgb.shape[1] // SAMPLES))
    is_tissue, _, dab = _separate(rgb[::step, ::step])
    return float(np.percentile(dab[is_tissue], GROUND_PERCENTILE)) if is_tissue.any() else 0.0


def _separate(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
    """Where tissue is, and its haematoxylin and DAB."""
    density = rgb_to_density(rgb)
    total = density.sum(axis=-1)
    stains = np.clip(density_to_stains(density), 0, None)
    return (total > TISSUE_DENSITY) & (total < DARK_DENSITY), stains[..., 0], stains[..., 1]


def _divide(brown: NDArray[np.float64], stain: NDArray[np.float64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.divide(brown, stain, out=np.full(stain.shape, np.nan), where=stain > 0)
    return share


def _sum_windows(values: NDArray[np.generic], side: int) -> NDArray[np.float64]:
    """Of every window of ``side``² cells that lies inside."""
    values = values.astype(np.float64)
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    windows: NDArray[np.float64] = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return windows
