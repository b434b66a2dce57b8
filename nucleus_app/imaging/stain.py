"""Haematoxylin and DAB: RGB ↔ optical density ↔ stain concentration (Ruifrok & Johnston 2001)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HAEMATOXYLIN = np.array([0.650, 0.704, 0.286], np.float32)
DAB = np.array([0.268, 0.570, 0.776], np.float32)
"""Optical density of each stain in red, green and blue, as unit vectors."""


def stain_matrix(haematoxylin: NDArray[np.floating], dab: NDArray[np.floating]) -> NDArray[np.float32]:
    """Unit rows: haematoxylin, DAB, what neither explains."""
    rows = np.stack([haematoxylin, dab, np.cross(haematoxylin, dab)])
    matrix: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return matrix


STAIN_MATRIX = stain_matrix(HAEMATOXYLIN, DAB)


def rgb_to_density(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Optical density -log10((I + 1) / 256) of RGB (..., 3); 0 is white."""
    return -np.log10((rgb.astype(np.float32) + 1) / 256)


def density_to_rgb(density: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Inverse of :func:`rgb_to_density`, clipped to 0..255."""
    return np.clip(np.rint(256 * 10 ** (-density) - 1), 0, 255).astype(np.uint8)


def density_to_stains(density: NDArray[np.float32], matrix: NDArray[np.float32] = STAIN_MATRIX) -> NDArray[np.float32]:
    """Concentrations (..., 3) of haematoxylin, DAB and residual."""
    return density @ np.linalg.inv(matrix).astype(np.float32)


def stains_to_density(stains: NDArray[np.float32], matrix: NDArray[np.float32] = STAIN_MATRIX) -> NDArray[np.float32]:
    return stains @ matrix
