"""A second teacher that never saw our labels: the seed map of InstanSeg (Goldsborough et al. 2024), a network that finds
nuclei of many labs, tissues and stains but knows no classes. Its TorchScript file is needed only to train (Apache-2.0).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.kinet.proximity import keep_apart
from nucleus_app.kinet.tiling import plan_tiles
from nucleus_app.whole_files import writing_whole

SEED_CHANNEL = 4
CORE_PX, HALO_PX, STRIDE = 512, 64, 32
SMOOTHING_PX = 1.0
MIN_DISTANCE_PX = 7.0
LOWEST, FLOOR = -1.0, 0.2
LEAST_SEED = 0.5
"""From this seed value on it is sure."""


class SeedFinder:
    """Nuclei of images at 0.5 µm/px. It is slow, so what it says of an image is kept in ``cache``."""

    def __init__(self, weights: Path, cache: Path) -> None:
        self._network: Any = None
        self._weights = weights
        self._cache = cache
        self.sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()

    def find(self, rgb: Rgb) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Centres (N, 2) in pixels, strongest first, and their seed values (N,), all at least FLOOR."""
        seeds = gaussian_filter(self.seed_map(rgb).clip(LOWEST), SMOOTHING_PX)  # its valleys are deep
        ys, xs = np.nonzero((seeds == maximum_filter(seeds, size=3)) & (seeds >= FLOOR))
        order = np.argsort(-seeds[ys, xs], kind="stable")
        xy = np.stack([xs[order], ys[order]], axis=1).astype(np.float32)
        kept = keep_apart(xy, MIN_DISTANCE_PX)
        strength: NDArray[np.float32] = seeds[ys[order], xs[order]][kept]
        return xy[kept], strength

    def seed_map(self, rgb: Rgb) -> NDArray[np.float32]:
        """Seed map (H, W) of an image (H, W, 3) uint8, from the cache where it was made before."""
        digest = hashlib.sha256(np.ascontiguousarray(rgb).data).hexdigest()[:24]
        kept = self._cache / f"{digest}.npz"
        if not kept.is_file():
            made = self._compute(rgb).astype(np.float16)
            with (
                writing_whole(kept) as partial,
                partial.open("wb") as file,
            ):  # another training may look at the same image
                np.savez_compressed(file, seeds=made)
        seeds: NDArray[np.float32] = np.load(kept)["seeds"].astype(np.float32)
        return seeds

    @torch.inference_mode()
    def _compute(self, rgb: Rgb) -> NDArray[np.float32]:
        if self._network is None:
            self._network = torch.jit.load(self._weights, map_location="cpu").eval()  # type: ignore[no-untyped-call]
        low, high = np.percentile(rgb.reshape(-1, 3)[::7], [0.1, 99.9], axis=0)
        height, width = rgb.shape[:2]
        seeds = np.zeros((height, width), np.float32)
        for t in plan_tiles(height, width, core=(CORE_PX, CORE_PX), halo=HALO_PX, stride=STRIDE):
            window = rgb[t.window_top : t.window_bottom, t.window_left : t.window_right].astype(np.float32)
            window = (window - low) / np.maximum(high - low, 1.0)
            below, right = -window.shape[0] % STRIDE, -window.shape[1] % STRIDE
            padded = np.pad(window, ((0, below), (0, right), (0, 0)), mode="reflect").astype(np.float32)
            maps = self._network.fcn(torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)))[None])
            top, left = t.top - t.window_top, t.left - t.window_left
            seeds[t.top : t.bottom, t.left : t.right] = maps[
                0, SEED_CHANNEL, top : top + t.bottom - t.top, left : left + t.right - t.left
            ].numpy()
        return seeds
