"""RGB at the image's scale → RGB at the network's scale, and points back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nucleus_app.domain.nuclei import Nuclei

Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Factors from original to network pixels, per axis (they differ by rounding to whole pixels)."""

    x: float
    y: float

    def to_network(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixel centres lie at integers: x becomes (x + 0.5) · s - 0.5."""
        return ((xy + 0.5) * (self.x, self.y) - 0.5).astype(np.float32)

    def to_image(self, nuclei: Nuclei) -> Nuclei:
        xy = ((nuclei.xy + 0.5) / (self.x, self.y) - 0.5).astype(np.float32)
        return replace(nuclei, xy=xy)


def scale_image(rgb: Rgb, mpp: float, network_mpp: float) -> tuple[Rgb, Scaling]:
    """Resample (H, W, 3) uint8 from ``mpp`` to ``network_mpp`` µm/px (anti-aliased), at least 1 px a side."""
    height, width = rgb.shape[:2]
    factor = mpp / network_mpp
    new_width, new_height = max(1, round(width * factor)), max(1, round(height * factor))
    if (new_width, new_height) == (width, height):
        return rgb, Scaling(1.0, 1.0)
    resized = Image.fromarray(rgb).resize((new_width, new_height), Image.Resampling.BICUBIC)
    return np.asarray(resized), Scaling(new_width / width, new_height / height)
