"""Speed of finding hot spots, beside sorting the same points.

``python -m benchmarks.hotspots [--json OUT]``. Ratios are of medians measured round by round on the same machine; absolute
times depend on it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import name_machine
from nucleus_app.domain.heat_map import draw_heat_map
from nucleus_app.domain.hotspots import TumourNuclei, find_spots_of_area, find_spots_of_count

MPP = 0.5
DENSITY_PER_MM2 = 3000.0
AREA_MM2, TARGET = 0.2, 500
SORTING = "lexsort"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/hotspots.local.json"))
    options = parser.parse_args()
    result = {
        "machine": name_machine(),
        "rows": {str(n): measure(n, options.rounds) for n in (10_000, 100_000, 1_000_000)},
    }
    options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for n, row in result["rows"].items():
        print(f"{n:>9} nuclei", *(f"{name} {value}" for name, value in row.items()), sep="   ")


def draw_nuclei(n: int) -> tuple[NDArray[np.float32], NDArray[np.bool_], tuple[int, int]]:
    """Tumour of even density whose positivity falls off around one place, on a square of the area that n nuclei need."""
    side = round((n / DENSITY_PER_MM2) ** 0.5 * 1000 / MPP)
    random = np.random.default_rng(0)
    xy = random.uniform(-0.5, side - 0.5, (n, 2)).astype(np.float32)
    away = np.hypot(*(xy - 0.3 * side).T) * MPP
    return xy, random.random(n) < 0.03 + 0.3 * np.exp(-((away / 400) ** 2)), (side, side)


def measure(n: int, rounds: int) -> dict[str, float]:
    """Median seconds of the ways, each with the heat map, and how many times as long as a sort they take."""
    xy, is_positive, size = draw_nuclei(n)
    nuclei = TumourNuclei.within(xy, is_positive, size, MPP)
    ways: dict[str, Callable[[], object]] = {
        "area": lambda: find_spots_of_area(TumourNuclei.within(xy, is_positive, size, MPP), AREA_MM2),
        "count": lambda: find_spots_of_count(nuclei, TARGET),
        "heat": lambda: draw_heat_map(xy, is_positive, size, MPP),
        SORTING: lambda: np.lexsort((xy[:, 0], xy[:, 1])),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - started)
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    ratios = {
        f"{name}_and_heat_over_{SORTING}": round((seconds[name] + seconds["heat"]) / seconds[SORTING], 2)
        for name in ("area", "count")
    }
    return {f"{name}_s": round(value, 4) for name, value in seconds.items()} | ratios


if __name__ == "__main__":
    main()
