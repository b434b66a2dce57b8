"""How long each format of a case takes: fields of 1200 × 1200 px with 1,500 nuclei each, synthetic.

``python -m benchmarks.report [--fields 10] [--json OUT]`` prints one table. Times are of this machine; the JSON names it.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scoring import describe_machine
from nucleus_app.domain.sheet import FieldBox, Role
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.reports.case_report import CaseReport, NucleusMark, report_to_json
from nucleus_app.reports.coco import report_to_coco
from nucleus_app.reports.geojson import report_to_geojson
from nucleus_app.reports.pdf import render_pdf
from nucleus_app.reports.tables import report_to_fields_csv, report_to_nuclei_csv
from nucleus_app.reports.workbook import cases_to_xlsx, report_to_xlsx
from tests.reports.making import BREAST_SHEET, CATEGORY_CYCLE, make_field, make_report

SIDE_PX, NUCLEI = 1200, 1500
SPACING_UM = 13.5
IMAGES = 3
"""So many different images are drawn, and taken in turn: drawing them is not what is measured."""
BAR_S = 5.0
"""For the PDF of ten fields on two cores."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/report.local.json"))
    options = parser.parse_args()
    report, images = make_case(options.fields)
    results = {name: measure(write, options.rounds) for name, write in list_formats(report, images).items()}
    for name, result in results.items():
        print(f"{name:12} {result['median_s']:8.3f} s   {result['bytes'] / 1e6:8.2f} MB")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak_mb:.0f} MB; bar for a PDF of 10 fields: {BAR_S:g} s")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    said = {"machine": describe_machine(), "fields": options.fields, "formats": results, "peak_mb": round(peak_mb)}
    options.json.write_text(json.dumps(said, indent=2), "utf-8")


def make_case(n: int) -> tuple[CaseReport, list[NDArray[np.uint8]]]:
    rng = np.random.default_rng(0)
    recipe = FieldRecipe(SIDE_PX, SIDE_PX, tumour_spacing_um=SPACING_UM, stroma_spacing_um=SPACING_UM)
    drawn = [draw_field(recipe, rng) for _ in range(IMAGES)]
    fields = []
    for i in range(1, n + 1):
        nuclei = drawn[i % IMAGES].nuclei
        marks = tuple(
            NucleusMark(j, x, y, int(kind), 0.8, None, "edited" if j % 40 == 0 else "network", False)
            for j, ((x, y), kind) in enumerate(zip(nuclei.xy.tolist(), nuclei.classes, strict=True), 1)
        )[:NUCLEI]
        field = make_field(i, Role.HOT_SPOT if i == n else CATEGORY_CYCLE[i % 4], marks, area_mm2=0.36)
        box = FieldBox(0, 0, SIDE_PX, SIDE_PX)
        fields.append(replace(field, width_px=SIDE_PX, height_px=SIDE_PX, box=box))
    return make_report(BREAST_SHEET, fields), [image.rgb for image in drawn]


def list_formats(report: CaseReport, images: list[NDArray[np.uint8]]) -> dict[str, Callable[[], bytes | str]]:
    pixels = {field.blob: images[field.id % IMAGES] for field in report.fields}
    first = report.fields[0].image_id
    return {
        "pdf": lambda: render_pdf(report, pixels.__getitem__),
        "json": lambda: report_to_json(report),
        "fields.csv": lambda: report_to_fields_csv(report),
        "nuclei.csv": lambda: report_to_nuclei_csv(report),
        "report.xlsx": lambda: report_to_xlsx(report),
        "cases.xlsx": lambda: cases_to_xlsx([report] * 100),
        "geojson": lambda: report_to_geojson(report, first),
        "coco": lambda: report_to_coco(report),
    }


def measure(write: Callable[[], bytes | str], rounds: int) -> dict[str, Any]:
    """The first round is counted: nothing in a report is worth warming up."""
    seconds, size = [], 0
    for _ in range(rounds):
        start = time.perf_counter()
        size = len(write())
        seconds.append(time.perf_counter() - start)
    return {"median_s": statistics.median(seconds), "first_s": seconds[0], "bytes": size}


if __name__ == "__main__":
    main()
