"""Pixel size: what range is possible, what is usual, and where a value came from."""

from __future__ import annotations

import math
from typing import NamedTuple

from nucleus_app.errors import UnknownPixelSize

POSSIBLE_MPP = (0.05, 2.0)
"""Outside this range (µm per pixel) no light microscope image of nuclei can be scored."""
USUAL_MPP = (0.2, 1.1)
"""What 10× to 40× objectives give; outside it the network was never tried."""
STATED_BY_USER = "stated by the user"


class PixelSize(NamedTuple):
    """µm per pixel and where it comes from, in words fit for a report."""

    mpp: float
    source: str


def check_mpp(mpp: float) -> float:
    """The value itself. Raises UnknownPixelSize when no such microscope image exists."""
    low, high = POSSIBLE_MPP
    if not math.isfinite(mpp) or not low <= mpp <= high:
        raise UnknownPixelSize(
            f"{mpp:g} µm/px is not possible for an image of nuclei: give a value from {low:g} to {high:g} "
            "(about 0.5 for a 20× objective, 0.25 for 40×)"
        )
    return mpp


def is_usual(mpp: float) -> bool:
    return USUAL_MPP[0] <= mpp <= USUAL_MPP[1]
