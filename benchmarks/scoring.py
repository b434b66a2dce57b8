"""Speed of scoring one field, against the machine's own matrix-multiply speed and a classical detector, in one run.

``make bench`` or ``python -m benchmarks.scoring [--data DIR] [--json OUT]``. All ratios are of medians measured side
by side; absolute times depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from nucleus_app import __version__
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import match_points
from nucleus_app.imaging.reader import read_image
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.evaluation import radius_in_um
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import rgb_to_tensor
from nucleus_app.kinet.proximity import decode_maps
from nucleus_app.services.evaluation import evaluate_folder
from nucleus_app.services.scoring import load_predictor, score_image
from nucleus_app.settings import Settings
from trainer.dataset import find_stained_blobs

ROUNDS = 7
MATRIX = 2048
VALIDATION = {
    "ki67_breast": ("breast_03", "breast_08", "breast_13", "breast_18", "breast_23", "breast_28"),
    "ki67_ginet": ("ginet_6",),
    "ki67_glioma": ("glioma_p3",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of labelled sets; accuracy is left out without")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/scoring.local.json"))
    options = parser.parse_args()
    predictor = load_predictor(Settings())
    result: dict[str, Any] = {"machine": describe_machine(), "speed": measure_speed(predictor, 596)}
    if options.data and options.data.is_dir():
        result["accuracy"] = measure_accuracy(predictor, options.data)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1), "utf-8")
    print(json.dumps(result, indent=1))


def describe_machine() -> dict[str, Any]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "app": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
    }


def measure_speed(predictor: Predictor, side_px: int) -> dict[str, Any]:
    """One field of side_px² at 0.5 µm/px: whole path, its parts, and the two yardsticks, round by round."""
    field = draw_field(FieldRecipe(width_px=side_px, height_px=side_px), np.random.default_rng(0))
    matrix = torch.randn(MATRIX, MATRIX)
    maps = predictor.run(field.rgb)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.png"
        Image.fromarray(field.rgb).save(path)
        jobs: dict[str, Callable[[], object]] = {
            "file_to_nuclei": lambda: score_image(
                predictor, read_image(path, max_megapixels=10), 0.5, max_megapixels=10
            ),
            "read": lambda: read_image(path, max_megapixels=10),
            "network": lambda: predictor.run(field.rgb),
            "peaks": lambda: decode_maps(maps, predictor.version.thresholds),
            "sgemm": lambda: matrix @ matrix,
            "classical": lambda: find_stained_blobs(field.rgb),
        }
        seconds = measure_side_by_side(jobs)
    gflop = count_gflop(predictor, field.rgb)
    network_gflops, sgemm_gflops = gflop / seconds["network"], 2 * MATRIX**3 / 1e9 / seconds["sgemm"]
    return {
        "field_px": side_px,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "network_gflop": round(gflop, 2),
        "network_over_sgemm_speed": round(network_gflops / sgemm_gflops, 3),
        "peaks_over_whole": round(seconds["peaks"] / seconds["file_to_nuclei"], 3),
        "whole_over_classical": round(seconds["file_to_nuclei"] / seconds["classical"], 2),
        "detection_f1": {
            "network": round(detection_f1(field, predictor.find(field.rgb, 0.5).xy), 3),
            "classical": round(detection_f1(field, find_stained_blobs(field.rgb)), 3),
        },
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def measure_side_by_side(jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each job, all jobs in turn in every round, so that a drifting machine hits them alike."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(ROUNDS + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if turn:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def count_gflop(predictor: Predictor, rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    """Floating-point operations (2 per multiply-add) of the proximity path on one image, in 10⁹."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        predictor.version.network(rgb_to_tensor(rgb), with_roi=False)
    return float(counter.get_total_flops()) / 1e9


def detection_f1(field: LabelledImage, xy: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    pairs = len(match_points(field.nuclei.xy, xy, 6 / field.mpp))
    return 2 * pairs / (len(field.nuclei) + len(xy))


def measure_accuracy(predictor: Predictor, data: Path) -> dict[str, Any]:
    """The validation cases, set by set, at 6 µm."""
    return {
        name: evaluate_folder(predictor, data / name, radius_in_um(6.0), cases)
        for name, cases in VALIDATION.items()
        if (data / name).is_dir()
    }


if __name__ == "__main__":
    main()
