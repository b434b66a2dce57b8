"""Torch on CUDA, MPS or the CPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from nucleus_app.kinet.backends import MarkedMaps
from nucleus_app.kinet.graph import FeatureGraph, PeakGraph, RoiGraph
from nucleus_app.kinet.network import KiNet
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.kinet.proximity import Maps


class TorchBackend:
    """Channels last; on CUDA the network runs in bfloat16, peaks always in float32."""

    def __init__(self, network: KiNet, smoothing_px: float, device: str) -> None:
        self.device = torch.device(device)
        network = network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._peaks = PeakGraph(network, smoothing_px).eval()
        self._roi = RoiGraph(network).eval()
        self._features = FeatureGraph(network).eval()

    @torch.inference_mode()
    def mark(self, rgb: Rgb, levels: NDArray[np.float32]) -> MarkedMaps:
        with self._autocast():
            maps, peaks = self._peaks(self._to_device(rgb), torch.from_numpy(levels).to(self.device))
        return MarkedMaps(maps[0].cpu().numpy(), peaks[0].cpu().numpy())

    @torch.inference_mode()
    def find_roi(self, rgb: Rgb) -> Maps:
        with self._autocast():
            probability: Maps = self._roi(self._to_device(rgb))[0].cpu().numpy()
        return probability

    @torch.inference_mode()
    def describe(self, rgb: Rgb) -> NDArray[np.float32]:
        with self._autocast():
            features: NDArray[np.float32] = self._features(self._to_device(rgb))[0].cpu().numpy()
        return features

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def _to_device(self, rgb: Rgb) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(rgb))[None].to(self.device)
