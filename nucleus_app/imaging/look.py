"""What an image looks like, in a few numbers: enough to say how far it is from others, and in what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.imaging.traits import LEAST_CONTRAST, TISSUE_DENSITY, Traits

EVERY_PX = 4
FEWEST_STAINED = 50
"""Pixels of a colour under which its mean says nothing."""


class Colours(NamedTuple):
    """``brown`` and ``blue``: mean summed optical density of pixels that absorb more blue, or more red. ``brown_hue``,
    ``blue_hue``: by how much they absorb more blue than red, of a unit density. ``brown_share`` of stained pixels, 0 to 1.
    None where too few pixels are so.
    """

    brown: float | None
    brown_hue: float | None
    blue: float | None
    blue_hue: float | None
    brown_share: float | None


def describe_look(windows: Sequence[NDArray[np.uint8]], measured: Sequence[Traits]) -> dict[str, float]:
    """Medians of the traits of the windows (H, W, 3) uint8 that hold tissue (of all, where none does), and mean colours by
    name; what cannot be said is left out.
    """
    chosen = [n for n, traits in enumerate(measured) if traits.contrast >= LEAST_CONTRAST] or list(range(len(measured)))
    look: dict[str, float] = {}
    for name in Traits._fields:
        values = [value for n in chosen if (value := getattr(measured[n], name)) is not None]
        if values:
            look[name] = float(np.median(values))
    pixels = np.concatenate([windows[n][::EVERY_PX, ::EVERY_PX].reshape(-1, 3) for n in chosen])
    colours = measure_colours(pixels)._asdict()
    return {name: round(value, 4) for name, value in (look | colours).items() if value is not None}


def measure_colours(pixels: NDArray[np.uint8]) -> Colours:
    """Mean colours of pixels (N, 3) uint8; white is what the brightest of them are."""
    white = np.percentile(pixels, 98, axis=0)
    density = (-np.log10((pixels + 1.0) / (white + 1.0))).clip(0)
    stained = density[density.sum(axis=1) > TISSUE_DENSITY]
    if len(stained) < FEWEST_STAINED:
        return Colours(None, None, None, None, None)
    hue = (stained[:, 2] - stained[:, 0]) / np.linalg.norm(stained, axis=1)
    brown = hue > 0
    (brown_mean, brown_hue), (blue_mean, blue_hue) = (_average(stained[kind], hue[kind]) for kind in (brown, ~brown))
    return Colours(brown_mean, brown_hue, blue_mean, blue_hue, float(brown.mean()))


def _average(density: NDArray[np.float64], hue: NDArray[np.float64]) -> tuple[float, float] | tuple[None, None]:
    if len(density) < FEWEST_STAINED:
        return None, None
    return float(density.sum(axis=1).mean()), float(hue.mean())
