"""What accuracy costs: F1 against GFLOP and seconds per megapixel, for the sizes and numbers of views at hand.

``make frontier`` or ``python -m benchmarks.frontier [FILE ...] [--data DIR]``: the shipped weights and each FILE, in one,
two and eight orientations, and the paper's network. That one is untrained: its speed is measured, its accuracy is not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoring import VALIDATION, compare, count_gflop, describe_machine, measure_side_by_side
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.imaging.dataset import list_dataset, read_labelled
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version, load_version, state_of
from nucleus_app.kinet.config import PAPER, Provenance, Thresholds
from nucleus_app.kinet.network import KiNet
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import Rgb
from trainer.base.teacher import ALL_VIEWS, TWO_VIEWS, Teacher, View

ONE_VIEW: tuple[View, ...] = ((0, False),)
VIEWS = {1: ONE_VIEW, 2: TWO_VIEWS, 8: ALL_VIEWS}
SIDE_PX = 596
SETS = ("ki67_breast", "ki67_ginet", "ki67_glioma")


@dataclass(frozen=True, slots=True)
class Point:
    """A way to find nuclei: a network, in so many orientations."""

    name: str
    predictor: Predictor
    views: tuple[View, ...]
    is_trained: bool = True

    def find(self, rgb: Rgb, mpp: float) -> Nuclei:
        field = self.predictor.prepare(rgb, mpp)
        found, strength = Teacher(self.predictor).find(field.rgb, self.views)
        return self.predictor.join(field, [found.select(strength >= 1)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="*", metavar="FILE", help="further versions")
    parser.add_argument("--data", type=Path, help="folder of the labelled sets; accuracy is left out without")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/frontier.local.json"))
    options = parser.parse_args()
    points = list_points([SHIPPED_WEIGHTS, *options.weights])
    result = {
        "machine": describe_machine(),
        "points": measure(points, options.data if options.data and options.data.is_dir() else None, options.rounds),
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1), "utf-8")
    print(f"{'network':24} {'views':>5} {'GFLOP/MP':>9} {'s/MP':>6} {'F1 6µm':>7} {'weighted':>8} {'index error':>11}")
    for p in result["points"]:
        accuracy = [p.get("detection_f1"), p.get("weighted_f1"), p.get("index_mae_points")]
        shown = [
            "not trained" if not p["is_trained"] else "–" if value is None else f"{value:.3f}" for value in accuracy
        ]
        print(
            f"{p['name']:24} {p['views']:5} {p['gflop_per_megapixel']:9.0f} {p['seconds_per_megapixel']:6.2f} "
            f"{shown[0]:>7} {shown[1]:>8} {shown[2]:>11}"
        )


def list_points(files: Sequence[Path]) -> list[Point]:
    """Every version in one, two and eight orientations, and the paper's network in one."""
    versions = [load_version(file) for file in files]
    points = [Point(v.name, p, views) for v in versions for p in [Predictor.open(v)] for views in VIEWS.values()]
    paper = Version(PAPER, Thresholds(), Provenance("PAPER"), "", state_of(KiNet(PAPER).eval()))
    return [*points, Point("PAPER (Xing 2019)", Predictor.open(paper), ONE_VIEW, is_trained=False)]


def measure(points: Sequence[Point], data: Path | None, rounds: int) -> list[dict[str, Any]]:
    """Cost and accuracy of each point; the network's seconds side by side on one field."""
    rgb = draw_field(FieldRecipe(width_px=SIDE_PX, height_px=SIDE_PX), np.random.default_rng(0)).rgb
    megapixels = SIDE_PX**2 / 1e6
    seconds = measure_side_by_side({str(i): lambda p=p: p.find(rgb, 0.5) for i, p in enumerate(points)}, rounds)
    lines = []
    for i, point in enumerate(points):
        gflop = count_gflop(point.predictor, SIDE_PX, SIDE_PX) * len(point.views)
        line: dict[str, Any] = {
            "name": point.name,
            "sha256": point.predictor.version.sha256,
            "is_trained": point.is_trained,
            "views": len(point.views),
            "gflop_per_megapixel": round(gflop / megapixels, 1),
            "seconds_per_megapixel": round(seconds[str(i)] / megapixels, 3),
        }
        if data and point.is_trained:
            line |= compare(_validation_images(data), point.find)
        lines.append(line)
    return lines


def _validation_images(data: Path) -> list[Any]:
    files = [f for name in SETS if (data / name).is_dir() for f in list_dataset(data / name)]
    return [read_labelled(f) for f in files if f.stem.startswith(VALIDATION)]


if __name__ == "__main__":
    main()
