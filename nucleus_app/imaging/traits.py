"""Light, colour and sharpness of an image: enough to tell a Ki67 field from what is none.

Limits were set between what was measured on Ki67 images of all labs at hand and on images of other kinds (decision 0006
has the table).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nucleus_app.domain.oddities import Oddity

WINDOW_PX, WINDOWS = 512, 3
"""Larger images are judged by windows of this side, so many across and down."""
TISSUE_DENSITY = 0.25
"""Summed optical density from which a pixel is stained."""
FEWEST_STAINED = 0.002
"""Share of stained pixels under which colour says nothing."""
DARKEST_GROUND = 110.0
LEAST_CONTRAST = 1.0
MOST_GRAIN, LEAST_GRAIN = 3.0, 0.265
MOST_EOSIN = 0.33


class Traits(NamedTuple):
    """``ground``: median brightness, 0..255. ``contrast``: deviation of structures about a nucleus wide, in grey levels.
    ``grain``: deviation of the finest structures over that of nucleus-wide ones (sharp images 0.3 to 1.5, noise 9).
    ``eosin``: by how much the pinkest fifth of stained pixels absorbs more green than red and blue, of a unit density
    (H-DAB up to 0.24, H&E about 0.48); None where too little is stained.
    """

    ground: float
    contrast: float
    grain: float
    eosin: float | None


def judge_windows(measured: Sequence[Traits]) -> tuple[Oddity, ...]:
    """What of an image is not as in any Ki67 field: what most of its windows are, those without tissue left aside."""
    found = [judge(traits) for traits in measured]
    telling = [oddity for oddity in found if oddity is not Oddity.BLANK]
    if not telling:
        return (Oddity.BLANK,)
    oddity, votes = Counter(telling).most_common(1)[0]
    return (oddity,) if oddity is not None and votes > len(telling) / 2 else ()


def measure_traits(rgb: NDArray[np.uint8]) -> Traits:
    """Traits of a window (H, W, 3) uint8."""
    brightness = rgb.mean(axis=2, dtype=np.float32)
    smooth = [brightness, *(gaussian_filter(brightness, sigma) for sigma in (1, 2, 4))]
    finest, _, coarse = (float(np.std(a - b)) for a, b in pairwise(smooth))
    return Traits(
        float(np.median(brightness)),
        coarse,
        finest / max(coarse, 1e-6),
        _measure_eosin(rgb[::2, ::2].reshape(-1, 3)),
    )


def judge(traits: Traits) -> Oddity | None:
    """What is odd about a window. The first finding explains the later ones away."""
    if traits.ground < DARKEST_GROUND:
        return Oddity.DARK
    if traits.grain > MOST_GRAIN and traits.contrast >= LEAST_CONTRAST / 4:
        return Oddity.NOISE
    if traits.contrast < LEAST_CONTRAST:
        return Oddity.BLANK
    if traits.eosin is not None and traits.eosin > MOST_EOSIN:
        return Oddity.OTHER_STAIN
    return Oddity.BLURRED if traits.grain < LEAST_GRAIN else None


def spread_windows(rgb: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Windows spread evenly over an image; the whole of a small one."""
    rows, columns = (_spread_starts(length) for length in rgb.shape[:2])
    return [rgb[y : y + WINDOW_PX, x : x + WINDOW_PX] for y in rows for x in columns]


def _spread_starts(length: int) -> list[int]:
    """Where windows start along a side: one in the middle of a short one, up to three along a long one."""
    spare, n = max(0, length - WINDOW_PX), min(WINDOWS, max(1, round(length / WINDOW_PX)))
    return [spare // 2] if n == 1 else [round(spare * i / (n - 1)) for i in range(n)]


def _measure_eosin(pixels: NDArray[np.uint8]) -> float | None:
    white = np.percentile(pixels, 98, axis=0)
    density = (-np.log10((pixels + 1.0) / (white + 1.0))).clip(0)
    stained = density[density.sum(axis=1) > TISSUE_DENSITY]
    if len(stained) < max(50, FEWEST_STAINED * len(pixels)):
        return None
    unit = stained / np.linalg.norm(stained, axis=1, keepdims=True)
    return float(np.percentile(unit[:, 1] - (unit[:, 0] + unit[:, 2]) / 2, 80))
