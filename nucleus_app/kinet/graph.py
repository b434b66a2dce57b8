"""The whole computation from pixels to marked peaks as one torch module, for every device and for OpenVINO.

Smoothing and local maxima are part of it: on the processor that runs the network they cost a few per cent, in numpy
they cost as much as the network.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nucleus_app.domain.nuclei import N_CLASSES, Nuclei
from nucleus_app.kinet.config import Thresholds
from nucleus_app.kinet.network import KiNet, roi_probability
from nucleus_app.kinet.proximity import Maps, collect_peaks

TRUNCATE = 4.0
"""Where the Gaussian ends, in deviations."""


class PeakGraph(nn.Module):
    """Image (B, H, W, 3) uint8 and ``levels`` (3,) → smoothed maps (B, 3, H, W) and peaks (B, H, W)."""

    def __init__(self, network: KiNet, smoothing_px: float) -> None:
        super().__init__()
        self.network = network
        self.smoothing_px = smoothing_px

    def forward(self, rgb: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.network(to_input(rgb), with_roi=False).proximity
        with torch.autocast(rgb.device.type, enabled=False):  # peaks of half-precision maps would be plateaus
            smoothed = smooth_maps(maps.float(), self.smoothing_px)
            return smoothed, mark_peaks(smoothed, levels)


class RoiGraph(nn.Module):
    """Image (B, H, W, 3) uint8 → probability of tumour (B, H, W)."""

    def __init__(self, network: KiNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor:
        return roi_probability(self.network(to_input(rgb)).roi_logits.float())


class FeatureGraph(nn.Module):
    """Image (B, H, W, 3) uint8 → mean and deviation of every map of the contraction's deeper levels (B, F)."""

    def __init__(self, network: KiNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor:
        deeper = self.network.contraction(to_input(rgb))[2:]
        parts = []
        for maps in deeper:
            mean = maps.float().mean(dim=(2, 3))
            spread = (maps.float() - mean[:, :, None, None]).square().mean(dim=(2, 3)).sqrt()
            parts += [mean, spread]
        return torch.cat(parts, dim=1)


def to_input(rgb: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W) float32 in -1..1, fixed scaling.

    The paper standardises every image by its own mean and deviation; then a tile would depend on the image it was
    cut from and an empty field would be stretched to full contrast, so the scaling is fixed (decision 0004).
    """
    return rgb.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def smooth_maps(maps: Tensor, sigma_px: float) -> Tensor:
    """Gaussian of ``sigma_px`` over maps (B, 3, H, W); beyond them there is 0."""
    if not sigma_px:
        return maps
    reach = math.ceil(TRUNCATE * sigma_px)
    taps = [math.exp(-0.5 * (i / sigma_px) ** 2) for i in range(-reach, reach + 1)]
    kernel = torch.tensor([t / sum(taps) for t in taps], device=maps.device)
    kernel = kernel.repeat(N_CLASSES, 1, 1, 1)
    maps = F.conv2d(maps, kernel, padding=(0, reach), groups=N_CLASSES)
    return F.conv2d(maps, kernel.transpose(2, 3), padding=(reach, 0), groups=N_CLASSES)


def mark_peaks(smoothed: Tensor, levels: Tensor) -> Tensor:
    """Where the largest ratio of a map to its class's level is at least 1 and a maximum of its 3 × 3 neighbourhood:
    that ratio (B, H, W), and 0 elsewhere.
    """
    ratio = (smoothed / levels[:, None, None]).amax(dim=1, keepdim=True)
    is_peak = (ratio == F.max_pool2d(ratio, 3, stride=1, padding=1)) & (ratio >= 1)
    return (ratio * is_peak)[:, 0]


def decode_maps(maps: Maps, thresholds: Thresholds, *, relative_xi: float | None = None) -> Nuclei:
    """Nuclei of raw proximity maps (3, H, W), as :func:`collect_peaks` gives them.

    ``relative_xi`` reproduces the paper instead: everything under ξ · max(maps) is suppressed, so that an empty image
    still gives nuclei.
    """
    if relative_xi is not None:
        level = max(relative_xi * float(maps.max(initial=0.0)), 1e-6)
        thresholds = replace(thresholds, per_class=(level, level, level))
    smoothed = smooth_maps(torch.from_numpy(np.ascontiguousarray(maps, np.float32))[None], thresholds.smoothing_px)
    peaks = mark_peaks(smoothed, torch.tensor(thresholds.per_class))
    return collect_peaks(smoothed[0].numpy(), peaks[0].numpy(), thresholds)
