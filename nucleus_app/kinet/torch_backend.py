"""Torch on CUDA, MPS or the CPU."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nucleus_app.kinet.backends import MarkedMaps
from nucleus_app.kinet.graph import FeatureGraph, PeakGraph, RoiGraph
from nucleus_app.kinet.network import KiNet
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.kinet.proximity import Maps

CUDA_BATCH = 4
COMPILE_AFTER = 50
"""Compiling takes about a minute for each size of a window, so it has to have been asked for so often."""
logger = logging.getLogger(__name__)


Compiler = str | Callable[..., Any]


class TorchBackend:
    """Channels last. For serving on CUDA ``fast`` runs the network in bfloat16, several windows at once, and compiled for the
    sizes that come again and again; peaks are found in float32 always.
    """

    def __init__(
        self,
        network: KiNet,
        smoothing_px: float,
        device: str,
        *,
        fast: bool = False,
        compiler: Compiler | None = "inductor",
    ) -> None:
        self.device = torch.device(device)
        self.batch = CUDA_BATCH if fast else 1
        self._is_fast = fast
        network = network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._peaks = PeakGraph(network, smoothing_px).eval()
        self._roi = RoiGraph(network).eval()
        self._features = FeatureGraph(network).eval()
        # For any size at once (dynamic) the compiler's algebra of sizes did not end within ten minutes.
        self._compiled = torch.compile(self._peaks, dynamic=False, backend=compiler) if fast and compiler else None
        self._asked: Counter[torch.Size] = Counter()

    @torch.inference_mode()
    def mark(self, windows: NDArray[np.uint8], levels: NDArray[np.float32]) -> list[MarkedMaps]:
        rgb, at = self._to_device(windows), torch.from_numpy(levels).to(self.device)
        with self._autocast():
            maps, peaks = self._run(rgb, at)
        return [MarkedMaps(m, p) for m, p in zip(maps.cpu().numpy(), peaks.cpu().numpy(), strict=True)]

    def _run(self, rgb: torch.Tensor, levels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compiled where that pays and works on this machine (it needs a C compiler), else as it is."""
        self._asked[rgb.shape] += 1
        if self._compiled is not None and self._asked[rgb.shape] > COMPILE_AFTER:
            try:
                compiled: tuple[torch.Tensor, torch.Tensor] = self._compiled(rgb, levels)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # the compiler raises whatever went wrong inside of it
                logger.warning("the network runs uncompiled: %.300r", error)
                self._compiled = None
            else:
                return compiled
        plain: tuple[torch.Tensor, torch.Tensor] = self._peaks(rgb, levels)
        return plain

    @torch.inference_mode()
    def find_roi(self, rgb: Rgb) -> Maps:
        with self._autocast():
            probability: Maps = self._roi(self._to_device(rgb[None]))[0].cpu().numpy()
        return probability

    @torch.inference_mode()
    def describe(self, rgb: Rgb) -> NDArray[np.float32]:
        with self._autocast():
            features: NDArray[np.float32] = self._features(self._to_device(rgb[None]))[0].cpu().numpy()
        return features

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._is_fast)

    def _to_device(self, rgb: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(np.array(rgb)).to(self.device)
