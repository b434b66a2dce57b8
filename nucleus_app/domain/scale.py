"""Pixel size: what range is possible, what is usual, and where a value came from."""

from __future__ import annotations

import math
from typing import NamedTuple

from nucleus_app.errors import UnknownPixelSize

POSSIBLE_MPP = (0.05, 2.0)
"""Outside this range (µm per pixel) no light microscope image of nuclei can be scored."""
USUAL_MPP = (0.2, 1.1)
"""What 10× to 40× objectives give; outside it the network was never tried."""
NETWORK_MPP = 0.5
"""µm per pixel at which nuclei are looked for."""
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


def check_extent(width_px: int, height_px: int, mpp: float, max_megapixels: float) -> None:
    """Raises UnknownPixelSize when the image, at that pixel size, would be larger than any that is accepted: far more
    often the pixel size is wrong than the tissue that large.
    """
    megapixels = width_px * height_px * (mpp / NETWORK_MPP) ** 2 / 1e6
    if megapixels > max_megapixels:
        raise UnknownPixelSize(
            f"At {mpp:g} µm/px this image would cover {width_px * mpp / 1000:.1f} × {height_px * mpp / 1000:.1f} mm, "
            f"{megapixels:.0f} megapixels at {NETWORK_MPP:g} µm/px; up to {max_megapixels:g} are allowed: check the pixel "
            "size, or crop the image."
        )


def is_usual(mpp: float) -> bool:
    return USUAL_MPP[0] <= mpp <= USUAL_MPP[1]
