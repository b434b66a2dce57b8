"""JSON and CSV of a scored image."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.domain.edits import shape_to_mapping
from nucleus_app.domain.index import find_labelling_index
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.reviewed import Tally
from nucleus_app.reports.record import ImageRecord

CSV_COLUMNS = (
    "nucleus", "x_px", "y_px", "x_um", "y_um", "class", "class_name", "score", "confidence", "origin", "left_out",
)  # fmt: skip


def record_to_mapping(record: ImageRecord) -> dict[str, Any]:
    """The record as JSON types. ``index_percent`` is null when there is no tumour nucleus. Nuclei that a region leaves
    out are listed, with ``left_out``, and not counted.
    """
    reviewed = record.reviewed
    nuclei = reviewed.nuclei
    return {
        "notice": RESEARCH_USE_ONLY,
        "image_sha256": record.image_sha256,
        "width_px": record.width_px,
        "height_px": record.height_px,
        "mpp": record.pixel_size.mpp,
        "mpp_source": record.pixel_size.source,
        "version": {"name": record.version_name, "sha256": record.version_sha256},
        "app_version": record.app_version,
        "thresholds": _per_class(record.thresholds),
        "cuts": _per_class(record.cuts),
        "classes": [kind.slug for kind in NucleusClass],
        "nuclei_columns": ["x_px", "y_px", "class", "score", "confidence", "origin", "left_out"],
        "counted": record.counted,
        **tally_to_mapping(record.tally),
        **({} if record.counted else {"counts": None}),
        "network_counts": record.network_counts._asdict() if record.counted else None,
        "warnings": list(record.warnings),
        "regions": [{"label": region.label.value, **shape_to_mapping(region.shape)} for region in record.regions],
        "nuclei": [
            [round(float(x), 2), round(float(y), 2), int(kind), round(float(score), 4), confidence, origin.value, out]
            for (x, y), kind, score, confidence, origin, out in zip(
                nuclei.xy,
                nuclei.classes,
                nuclei.scores,
                record.find_confidences(),
                reviewed.origins,
                reviewed.left_out.tolist(),
                strict=True,
            )
        ],
    }


def record_to_json(record: ImageRecord) -> str:
    return json.dumps(record_to_mapping(record), ensure_ascii=False)


def record_to_csv(record: ImageRecord) -> str:
    """One row a nucleus, in pixels and µm; ``left_out`` is 1 where a region keeps it from being counted. The last column's heading is the research-use line."""
    mpp = record.pixel_size.mpp
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, RESEARCH_USE_ONLY])
    reviewed = record.reviewed
    nuclei = reviewed.nuclei
    for id_, (x, y), kind, score, confidence, origin, out in zip(
        reviewed.ids, nuclei.xy.tolist(), nuclei.classes, nuclei.scores.tolist(), record.find_confidences(),
        reviewed.origins, reviewed.left_out.tolist(), strict=True,
    ):  # fmt: skip
        writer.writerow(
            [
                id_,
                f"{x:.2f}",
                f"{y:.2f}",
                f"{x * mpp:.2f}",
                f"{y * mpp:.2f}",
                int(kind),
                NucleusClass(kind).slug,
                f"{score:.4f}",
                "" if confidence is None else f"{confidence:.4f}",
                origin.value,
                int(out),
                "",
            ]
        )
    return buffer.getvalue()


def tally_to_mapping(tally: Tally) -> dict[str, Any]:
    """Counts, index and interval as JSON types: the same for the page's list, the score and the report."""
    index = find_labelling_index(tally.counts)
    return {
        "counts": tally.counts._asdict(),
        "tumour": tally.counts.tumour,
        "index_percent": index.percent if index else None,
        "ci95_percent": [index.low_percent, index.high_percent] if index else None,
        "sparse": index.is_sparse if index else False,
        "left_out": tally.left_out,
        "edited": tally.edited,
        "placed": tally.placed,
        "deleted": tally.deleted,
    }


def _per_class(levels: tuple[float, ...]) -> dict[str, float]:
    return dict(zip((k.slug for k in NucleusClass), map(_exact, levels), strict=True))


def _exact(value: float) -> float:
    return round(float(value), 6)
