"""Other people's nucleus detectors, where they happen to be installed. None is a dependency.

InstanSeg: the TorchScript file of its release, named by ``INSTANSEG_PT``. Cellpose: a Python that has it, named by
``CELLPOSE_PYTHON``. StarDist: its package, with weights that it finds itself.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass

from benchmarks.classical import find_nuclei
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.kinet.preprocess import scale_image

Rgb = NDArray[np.uint8]
Detector = Callable[[Rgb, float], Nuclei]
"""Image (H, W, 3) uint8 and its µm/px → nuclei; those that know no classes call every nucleus negative."""
PEER_MPP = 0.5


def open_peers() -> dict[str, Detector]:
    """Every detector that can run here, by name."""
    peers: dict[str, Detector] = {"classical": find_nuclei}
    path = os.environ.get("INSTANSEG_PT", "")
    if path and Path(path).is_file():
        peers["InstanSeg"] = _open_instanseg(path)
    python = os.environ.get("CELLPOSE_PYTHON", "")
    if python:
        peers["Cellpose"] = _open_cellpose(python)
    if importlib.util.find_spec("stardist"):
        peers["StarDist"] = _open_stardist()
    return peers


def _open_instanseg(path: str) -> Detector:
    network = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def find(rgb: Rgb, mpp: float) -> Nuclei:
        scaled, scaling = scale_image(rgb, mpp, PEER_MPP)
        image = scaled.astype(np.float32)
        low, high = np.percentile(image, [0.1, 99.9], axis=(0, 1))
        image = (image - low) / np.maximum(high - low, 1e-3)
        height, width = image.shape[:2]
        padded = np.pad(image, ((0, -height % 32), (0, -width % 32), (0, 0)), mode="reflect")
        labels = network(torch.from_numpy(padded.transpose(2, 0, 1).astype(np.float32))[None])
        return scaling.to_image(_centres(labels[0, 0].numpy()[:height, :width].astype(int)))

    return find


def _open_cellpose(python: str) -> Detector:
    child = subprocess.Popen(
        [python, str(Path(__file__).with_name("cellpose_child.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1,
    )  # fmt: skip
    assert child.stdin
    assert child.stdout
    atexit.register(child.kill)
    to_child, answers = child.stdin, child.stdout
    if answers.readline().strip() != "ready":
        raise RuntimeError(f"Cellpose does not start in {python}: run it with benchmarks/cellpose_child.py to see why")

    def find(rgb: Rgb, mpp: float) -> Nuclei:
        scaled, scaling = scale_image(rgb, mpp, PEER_MPP)
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.npy", Path(folder) / "out.npy"
            np.save(source, scaled)
            to_child.write(f"{source} {target}\n")
            if answers.readline().strip() != "done":
                raise RuntimeError("Cellpose stopped while it looked at an image")
            return scaling.to_image(_centres(np.load(target).astype(int)))

    return find


def _open_stardist() -> Detector:
    from csbdeep.utils import normalize
    from stardist.models import StarDist2D

    network: Any = StarDist2D.from_pretrained("2D_versatile_he")

    def find(rgb: Rgb, mpp: float) -> Nuclei:
        scaled, scaling = scale_image(rgb, mpp, PEER_MPP)
        return scaling.to_image(_centres(np.asarray(network.predict_instances(normalize(scaled))[0])))

    return find


def _centres(labels: NDArray[np.int64]) -> Nuclei:
    names = np.unique(labels)
    names = names[names > 0]
    if len(names) == 0:
        return Nuclei.empty()
    rows_columns = np.asarray(center_of_mass(labels > 0, labels, names))
    return Nuclei.from_arrays(rows_columns[:, ::-1], np.full(len(names), NucleusClass.NEGATIVE))
