"""Accuracy and speed of scoring, beside other detectors and the machine's own limit, in one run and one table.

``make bench`` or ``python -m benchmarks.scoring [--data DIR] [--json OUT]``. DIR is a folder of labelled images, or a
folder of such folders. All ratios are of medians measured side by side; absolute times depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import name_machine
from benchmarks.peers import Detector, open_peers
from nucleus_app.domain.agreement import Agreement, compare_nuclei
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import MATCH_UM
from nucleus_app.imaging.dataset import list_dataset, read_labelled
from nucleus_app.imaging.reader import read_image
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.graph import to_input
from nucleus_app.kinet.network import restore_network
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.proximity import collect_peaks
from nucleus_app.kinet.quiet_openvino import ov
from nucleus_app.services.familiarity import find_oddities
from nucleus_app.services.scoring import load_predictor, score_image
from nucleus_app.settings import Settings

MATRIX = 2048
VALIDATION = ("breast_03", "breast_08", "breast_13", "breast_18", "breast_23", "breast_28", "ginet_6", "glioma_p3")
OURS = "KiNet (ours)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="labelled images; accuracy is left out without")
    parser.add_argument("--all", action="store_true", help="every image of DATA, not the validation cases alone")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/scoring.local.json"))
    options = parser.parse_args()
    settings = Settings()
    predictor = load_predictor(settings)
    result: dict[str, Any] = {
        "machine": describe_machine(),
        "version": {"name": predictor.version.name, "sha256": predictor.version.sha256},
        "field_596": measure_field(predictor, 596, options.rounds),
        "field_2048": measure_field(predictor, 2048, max(3, options.rounds // 2)),
        "cold_process": measure_cold_start(),
        "peers": measure_peers(predictor, 596, max(1, options.rounds // 3)),
    }
    if options.data and options.data.is_dir():
        result["accuracy"] = measure_accuracy(predictor, options.data, () if options.all else VALIDATION)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1), "utf-8")
    print_table(result)


def describe_machine() -> dict[str, Any]:
    """The machine, and what the network runs on."""
    return name_machine() | {
        "torch": torch.__version__,
        "openvino": ov.__version__,
        "threads": torch.get_num_threads(),
    }


def measure_field(predictor: Predictor, side_px: int, rounds: int) -> dict[str, Any]:
    """One field of side_px² at 0.5 µm/px: whole path, its parts, and the machine's yardstick, round by round."""
    image = draw_field(FieldRecipe(width_px=side_px, height_px=side_px), np.random.default_rng(0))
    matrix = torch.randn(MATRIX, MATRIX)
    field = predictor.prepare(image.rgb, 0.5)
    marked = [predictor.mark(field, tile) for tile in field.tiles]
    marked = [type(m)(m.maps.copy(), m.peaks.copy()) for m in marked]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.png"
        Image.fromarray(image.rgb).save(path)
        seconds = measure_side_by_side(
            {
                "file_to_nuclei": lambda: score_image(
                    predictor, read_image(path, max_megapixels=10), 0.5, max_megapixels=10
                ),
                "read": lambda: read_image(path, max_megapixels=10),
                "familiarity": lambda: find_oddities(predictor, field),
                "network": lambda: [predictor.mark(field, tile) for tile in field.tiles],
                "peaks": lambda: [collect_peaks(m.maps, m.peaks, predictor.version.thresholds) for m in marked],
                "sgemm": lambda: matrix @ matrix,
            },
            rounds,
        )
    gflop = sum(
        count_gflop(predictor, t.window_bottom - t.window_top, t.window_right - t.window_left) for t in field.tiles
    )
    network_speed, sgemm_speed = gflop / seconds["network"], 2 * MATRIX**3 / 1e9 / seconds["sgemm"]
    return {
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "megapixels": round(side_px**2 / 1e6, 3),
        "network_gflop": round(gflop, 2),
        "network_over_sgemm_speed": round(network_speed / sgemm_speed, 3),
        "peaks_over_whole": round(seconds["peaks"] / seconds["file_to_nuclei"], 3),
    }


def measure_side_by_side(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each job, all jobs in turn in every round, so that a drifting machine hits them alike."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if turn:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def count_gflop(predictor: Predictor, height: int, width: int) -> float:
    """Floating-point operations (2 per multiply-add) of the proximity path on one window, in 10⁹."""
    stride = predictor.version.config.stride
    window = torch.zeros(1, height + -height % stride, width + -width % stride, 3, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        restore_network(predictor.version)(to_input(window), with_roi=False)
    return float(counter.get_total_flops()) / 1e9


def measure_cold_start() -> dict[str, float]:
    """Fresh processes from start to result: the very first, later ones, and one with 2048² pixels and its memory."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for side in (596, 596, 596, 2048):
            field = draw_field(FieldRecipe(width_px=side, height_px=side), np.random.default_rng(0))
            path = Path(folder) / f"{side}.png"
            Image.fromarray(field.rgb).save(path)
            command = [sys.executable, "-m", "nucleus_app", "score", str(path), "--mpp", "0.5", "--out", folder]
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={"NUCLEUS_DATA_DIR": f"{folder}/data"})
            memory_mb = follow_memory(process)
            seconds.append(time.perf_counter() - start)
            if process.returncode:
                raise RuntimeError(f"scoring {side}² px in a fresh process failed")
    names = ("first", "second", "third", "field_2048")
    return {name: round(s, 2) for name, s in zip(names, seconds, strict=True)} | {"peak_memory_mb": memory_mb}


def follow_memory(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process; its peak memory in MB. (What the system tells afterwards includes its parent's, from the fork.)"""
    peak = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status")
        lines = status.read_text().splitlines() if status.is_file() else []
        peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.02)
    return peak // 1024


def measure_peers(predictor: Predictor, side_px: int, rounds: int) -> dict[str, Any]:
    """Seconds of every detector on the same pixels, in one run."""
    field = draw_field(FieldRecipe(width_px=side_px, height_px=side_px), np.random.default_rng(0))
    detectors = {OURS: predictor.find, **open_peers()}
    seconds = measure_side_by_side(
        {name: lambda find=find: find(field.rgb, field.mpp) for name, find in detectors.items()}, rounds
    )
    return {
        name: {"seconds": round(value, 3), "over_ours": round(value / seconds[OURS], 1)}
        for name, value in seconds.items()
    }


def measure_accuracy(predictor: Predictor, data: Path, cases: tuple[str, ...]) -> dict[str, Any]:
    """Agreement of every detector with the labels, per set: at 6 µm, and at 8 and 16 pixels of 0.5 µm."""
    detectors: dict[str, Detector] = {OURS: predictor.find, **open_peers()}
    result: dict[str, Any] = {}
    for folder in sorted(p for p in [data, *data.iterdir()] if p.is_dir()):
        labels = [f for f in _labels_of(folder) if not cases or f.stem.startswith(cases)]
        if labels:
            images = [read_labelled(f) for f in labels]
            result[folder.name] = {name: compare(images, find) for name, find in detectors.items()}
    return result


def _labels_of(folder: Path) -> list[Path]:
    return [f for f in list_dataset(folder) if _is_classed(f)] if any(folder.glob("*.json")) else []


def _is_classed(label_file: Path) -> bool:
    return isinstance(json.loads(label_file.read_text("utf-8"))["points"], list)


def compare(images: list[LabelledImage], find: Detector) -> dict[str, Any]:
    found = [image.inside_labelled_area(find(image.rgb, image.mpp)) for image in images]

    def agreement(radius_um: float) -> Agreement:
        return Agreement(
            tuple(
                compare_nuclei(i.name, i.inside_labelled_area(i.nuclei), f, radius_um / i.mpp)
                for i, f in zip(images, found, strict=True)
            )
        )

    at_6um = agreement(MATCH_UM)
    return {
        "images": len(images),
        "detection_f1": round(at_6um.detection.f1, 4),
        "precision": round(at_6um.detection.precision, 4),
        "recall": round(at_6um.detection.recall, 4),
        "detection_f1_8um": round(agreement(8.0).detection.f1, 4),
        "detection_f1_4um": round(agreement(4.0).detection.f1, 4),
        "class_f1": {k.slug: round(at_6um.of_class(k).f1, 4) for k in at_6um.classes_in_truth},
        "weighted_f1": round(at_6um.weighted.f1, 4),
        "index_mae_points": None if at_6um.index_mae_points is None else round(at_6um.index_mae_points, 2),
    }


def print_table(result: dict[str, Any]) -> None:
    for side in ("field_596", "field_2048"):
        r = result[side]
        print(
            f"{side}: {r['seconds']['file_to_nuclei']:.2f} s file to nuclei, network at "
            f"{100 * r['network_over_sgemm_speed']:.0f} % of sgemm speed, peaks {100 * r['peaks_over_whole']:.0f} %"
        )
    cold = result["cold_process"]
    print(
        f"cold process: {cold['first']} s the first time, {cold['second']} s later; with 2048² px {cold['field_2048']} s, "
        f"{cold['peak_memory_mb']} MB"
    )
    print(f"\n{'detector':14} {'s':>7} {'over ours':>9}   (596² px)")
    for name, r in result["peers"].items():
        print(f"{name:14} {r['seconds']:7.2f} {r['over_ours']:9.1f}")
    if "accuracy" not in result:
        return
    print(
        f"\n{'set':12} {'detector':14} {'F1 6µm':>7} {'F1 8µm':>7} {'F1 4µm':>7} {'pos':>6} {'neg':>6} {'index error':>11}"
    )
    for name, detectors in result["accuracy"].items():
        for detector, r in detectors.items():
            knows_classes = detector == OURS or detector == "classical"
            positive, negative = (
                r["class_f1"].get(name, 0.0) if knows_classes else None for name in ("positive", "negative")
            )
            error = r["index_mae_points"] if knows_classes else None
            print(
                f"{name:12} {detector:14} {r['detection_f1']:7.3f} {r['detection_f1_8um']:7.3f} "
                f"{r['detection_f1_4um']:7.3f} {_shown(positive):>6} {_shown(negative):>6} {_shown(error):>11}"
            )


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
