"""OpenVINO on the CPU: norms folded, layers fused, both cores busy; in float32, so that every machine counts alike.

What it makes of a version is kept in a cache folder: the next process needs neither torch nor the conversion.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nucleus_app.kinet.backends import MarkedMaps
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.kinet.proximity import Maps
from nucleus_app.kinet.quiet_openvino import ov
from nucleus_app.whole_files import writing_whole

if TYPE_CHECKING:
    from nucleus_app.kinet.network import KiNet

PEAKS, ROI, FEATURES = "peaks", "roi", "features"
SEAL_KEY = "seal"
PREPARED_DIR = SHIPPED_WEIGHTS.parent / "openvino"
"""Graphs of the shipped weights, made when the app is installed."""
FORMAT = 3
"""Counts up when the graph changes, so that no old cache entry is used."""
logger = logging.getLogger(__name__)


class OpenVinoBackend:
    """Compiled graphs of one version. Not for use by several threads at once."""

    batch = 1

    def __init__(self, load: Callable[[str], ov.Model], threads: int = 0) -> None:
        self._load = load
        self._core = ov.Core()
        self._options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or _count_cores(),
        }
        self._requests: dict[str, ov.InferRequest] = {}
        self._get_request(PEAKS)

    @classmethod
    def of_network(cls, network: KiNet, smoothing_px: float, threads: int = 0) -> OpenVinoBackend:
        return cls(lambda kind: convert(network, smoothing_px, kind), threads)

    @classmethod
    def of_version(cls, version: Version, cache: Path | None, threads: int = 0) -> OpenVinoBackend:
        smoothing_px = version.thresholds.smoothing_px
        name = f"{version.key}-{smoothing_px:g}-{FORMAT}-{ov.__version__.split('-')[0]}"

        def load(kind: str) -> ov.Model:
            file = f"{name}-{kind}.openvino"
            path = cache / file if cache else None
            for place in (path, PREPARED_DIR / file):
                if place and (kept := _read(place)):
                    return kept.open()
            from nucleus_app.kinet.network import restore_network

            packed = _Packed.of(convert(restore_network(version), smoothing_px, kind))
            if path:
                _write(path, packed)
            return packed.open()

        return cls(load, threads)

    def mark(self, windows: NDArray[np.uint8], levels: NDArray[np.float32]) -> list[MarkedMaps]:
        maps, peaks = self._infer(PEAKS, windows, levels)
        return [MarkedMaps(m, p) for m, p in zip(maps, peaks, strict=True)]

    def find_roi(self, rgb: Rgb) -> Maps:
        probability: Maps = self._infer(ROI, rgb[None])[0][0]
        return probability

    def describe(self, rgb: Rgb) -> NDArray[np.float32]:
        return np.array(self._infer(FEATURES, rgb[None])[0][0])

    def _get_request(self, kind: str) -> ov.InferRequest:
        """A graph ready to run; all but the first are compiled when first asked for."""
        if kind not in self._requests:
            compiled = self._core.compile_model(self._load(kind), "CPU", self._options)
            self._requests[kind] = compiled.create_infer_request()
        return self._requests[kind]

    def _infer(self, kind: str, windows: NDArray[np.uint8], *others: NDArray[np.float32]) -> list[Maps]:
        """Outputs are views of the request's memory, good until its next call."""
        request = self._get_request(kind)
        inputs = [np.ascontiguousarray(windows), *others]
        request.infer(dict(enumerate(inputs)), share_inputs=True)
        return [tensor.data for tensor in request.output_tensors]


def _count_cores() -> int:
    """Those this process may use; macOS does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def convert(network: KiNet, smoothing_px: float, kind: str) -> ov.Model:
    """The graph of a network as OpenVINO has it, for any height and width that are multiples of its stride.

    Through the frontend and not ``ov.convert_model``, which reports each conversion to its maker over the internet.
    """
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from nucleus_app.kinet.contraction import pad_for_whole_strides
    from nucleus_app.kinet.graph import FeatureGraph, PeakGraph, RoiGraph
    from nucleus_app.kinet.layers import ungroup

    network = copy.deepcopy(network)
    network.output.maps = ungroup(network.output.maps)
    pad_for_whole_strides(network)
    image: Any = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    graph: torch.nn.Module
    if kind == PEAKS:
        graph = PeakGraph(network, smoothing_px)
    else:
        graph = RoiGraph(network) if kind == ROI else FeatureGraph(network)
    example = (image, torch.ones(3)) if kind == PEAKS else (image,)
    shapes = [ov.PartialShape([-1, -1, -1, 3]), ov.PartialShape([3])][: len(example)]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch calls its own tracing deprecated; OpenVINO has nothing else yet
        decoder = TorchScriptPythonDecoder(graph.eval(), example_input=example)
    frontend = FrontEndManager().load_by_framework("pytorch")
    model: ov.Model = frontend.convert(frontend.load(decoder))
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    return model


class _Packed(NamedTuple):
    """A model as bytes. Converted ones pass through this form too: a model as converted and the same model read back
    differ in the last digits, and a network must give the same counts in its first process as in all others.
    """

    xml: NDArray[np.uint8]
    weights: NDArray[np.uint8]

    @classmethod
    def of(cls, model: ov.Model) -> _Packed:
        with tempfile.TemporaryDirectory() as folder:
            ov.save_model(model, Path(folder) / "m.xml", compress_to_fp16=False)
            return cls(*(np.frombuffer((Path(folder) / f"m.{kind}").read_bytes(), np.uint8) for kind in ("xml", "bin")))

    def open(self) -> ov.Model:
        return ov.Core().read_model(self.xml.tobytes(), ov.Tensor(self.weights))

    @property
    def seal(self) -> str:
        digest = hashlib.sha256(self.xml.data)
        digest.update(self.weights.data)
        return digest.hexdigest()


def _read(path: Path) -> _Packed | None:
    """A kept model, or None where there is none or it is damaged."""
    try:
        with safe_open(str(path), framework="numpy") as opened:
            packed = _Packed(opened.get_tensor("xml"), opened.get_tensor("weights"))
            seal = (opened.metadata() or {})[SEAL_KEY]
        if seal != packed.seal:
            raise ValueError("its content does not fit its seal")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        logger.warning("%s is made again: %s", path.name, error)
        return None
    return packed


def _write(path: Path, packed: _Packed) -> None:
    """Keep a model, atomically. A folder that cannot be written costs time at the next start, nothing else."""
    try:
        with writing_whole(path) as partial:
            save_file(packed._asdict(), partial, metadata={SEAL_KEY: packed.seal})
    except (OSError, SafetensorError) as error:  # the latter is also what a full disk gives
        logger.warning("%s could not be kept (%s): the next start converts it again", path.name, error)
