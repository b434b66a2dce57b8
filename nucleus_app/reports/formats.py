"""JSON and CSV of a scored image."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.reports.record import ImageRecord


def record_to_mapping(record: ImageRecord) -> dict[str, Any]:
    """The record as JSON types. ``index_percent`` is null when there is no tumour nucleus."""
    index = record.index
    nuclei = record.nuclei
    return {
        "notice": RESEARCH_USE_ONLY,
        "image_sha256": record.image_sha256,
        "width_px": record.width_px,
        "height_px": record.height_px,
        "mpp": record.pixel_size.mpp,
        "mpp_source": record.pixel_size.source,
        "version": {"name": record.version_name, "sha256": record.version_sha256},
        "app_version": record.app_version,
        "thresholds": dict(zip((k.slug for k in NucleusClass), map(_exact, record.thresholds), strict=True)),
        "classes": [kind.slug for kind in NucleusClass],
        "nuclei_columns": ["x_px", "y_px", "class", "score", "confidence"],
        "counted": record.counted,
        "counts": record.counts._asdict() if record.counted else None,
        "index_percent": None if index is None else index.percent,
        "ci95_percent": None if index is None else [index.low_percent, index.high_percent],
        "warnings": list(record.warnings),
        "nuclei": [
            [round(float(x), 2), round(float(y), 2), int(kind), round(float(score), 4), confidence]
            for (x, y), kind, score, confidence in zip(
                nuclei.xy, nuclei.classes, nuclei.scores, record.confidences, strict=True
            )
        ],
    }


def record_to_json(record: ImageRecord) -> str:
    return json.dumps(record_to_mapping(record), ensure_ascii=False)


def record_to_csv(record: ImageRecord) -> str:
    """One row a nucleus, in pixels and µm. The last column's heading is the research-use line."""
    mpp = record.pixel_size.mpp
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["nucleus", "x_px", "y_px", "x_um", "y_um", "class", "class_name", "score", "confidence", RESEARCH_USE_ONLY]
    )
    nuclei = record.nuclei
    for i, ((x, y), kind, score, confidence) in enumerate(
        zip(nuclei.xy.tolist(), nuclei.classes, nuclei.scores.tolist(), record.confidences, strict=True)
    ):
        writer.writerow(
            [
                i,
                f"{x:.2f}",
                f"{y:.2f}",
                f"{x * mpp:.2f}",
                f"{y * mpp:.2f}",
                int(kind),
                NucleusClass(kind).slug,
                f"{score:.4f}",
                "" if confidence is None else f"{confidence:.4f}",
                "",
            ]
        )
    return buffer.getvalue()


def _exact(value: float) -> float:
    return round(float(value), 6)
