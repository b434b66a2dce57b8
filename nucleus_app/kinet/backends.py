"""Where a network runs: torch (CUDA, MPS, CPU) and OpenVINO (CPU) behind one face."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.kinet.proximity import Maps

if TYPE_CHECKING:  # torch takes seconds to import; a process that serves with OpenVINO never needs it
    from nucleus_app.kinet.network import KiNet


logger = logging.getLogger(__name__)


class MarkedMaps(NamedTuple):
    """``maps`` (3, H, W): smoothed proximity; ``peaks`` (H, W): its ratio to the thresholds at local maxima, else 0."""

    maps: Maps
    peaks: Maps


class Backend(Protocol):
    """Runs windows (H, W, 3) uint8 whose sides are multiples of the network's stride."""

    batch: int
    """So many windows of one size are best run together."""

    def mark(self, windows: NDArray[np.uint8], levels: NDArray[np.float32]) -> list[MarkedMaps]:
        """Smoothed maps of each window (B, H, W, 3), and peaks measured against ``levels`` (3,). Good until the next call."""
        ...

    def find_roi(self, rgb: Rgb) -> Maps:
        """Probability (H, W) of tumour."""
        ...

    def describe(self, rgb: Rgb) -> NDArray[np.float32]:
        """Features (F,) of a window: what the scale is guessed from."""
        ...


OPENVINO = "cpu"
"""The device name that means OpenVINO; any other is torch's (``torch-cpu`` is torch on the CPU)."""
TORCH_CPU = "torch-cpu"
CARDS = ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg", "/dev/kfd")
"""Where Linux, WSL and ROCm show that there is one."""


def choose_device() -> str:
    """``cuda`` where there is a card, else the CPU, without importing torch on a machine that cannot have one."""
    if not any(Path(path).exists() for path in CARDS):
        return OPENVINO
    return "cuda" if has_card() else OPENVINO


def has_card() -> bool:
    """Whether there is a CUDA card that torch can compute on: it names old ones that it has no kernels for, too."""
    import torch

    if not torch.cuda.is_available():
        return False
    try:
        image, kernel = (torch.ones(1, 1, side, side, device="cuda") for side in (8, 3))
        torch.nn.functional.conv2d(image, kernel).sum().item()
    except RuntimeError as error:
        logger.warning("the graphics card is not used: %.300s", error)
        return False
    return True


def open_backend(version: Version, device: str, cache: Path | None, threads: int = 0) -> Backend:
    """A version ready to run. ``cache``: folder for what OpenVINO made of it, so that the next process starts fast."""
    if device == OPENVINO:
        from nucleus_app.kinet.openvino_backend import OpenVinoBackend

        return OpenVinoBackend.of_version(version, cache, threads)
    import torch

    from nucleus_app.kinet.network import restore_network
    from nucleus_app.kinet.torch_backend import TorchBackend

    if threads:
        torch.set_num_threads(threads)
    network, smoothing_px = restore_network(version), version.thresholds.smoothing_px
    is_fast = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return TorchBackend(network, smoothing_px, _torch_device(device), fast=is_fast)


def wrap_network(network: KiNet, smoothing_px: float, device: str) -> Backend:
    """A network in memory (one being trained) ready to run, in float32 and without waiting for a compiler."""
    if device == OPENVINO:
        from nucleus_app.kinet.openvino_backend import OpenVinoBackend

        return OpenVinoBackend.of_network(network, smoothing_px)
    from nucleus_app.kinet.torch_backend import TorchBackend

    return TorchBackend(network, smoothing_px, _torch_device(device))


def _torch_device(device: str) -> str:
    return "cpu" if device == TORCH_CPU else device
