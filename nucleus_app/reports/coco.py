"""Counted nuclei as COCO keypoints: one annotation and one keypoint a nucleus, for training and comparing detectors."""

from __future__ import annotations

import json
from typing import Any

from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.reports.case_report import CaseReport, FieldReport, NucleusMark
from nucleus_app.reports.geojson import list_counted

BOX_PX = 2.0
"""Side of the box around a nucleus's centre: COCO wants one, a nucleus's outline is not known."""
VISIBLE = 2


def report_to_coco(report: CaseReport) -> str:
    """Every image once, every counted nucleus of an image once (left-out ones are not in it). Pixel centres lie at integers.

    Nuclei of imported annotations have no score: no network gave them one.
    """
    images: dict[int, list[FieldReport]] = {}
    for field in report.fields:
        images.setdefault(field.image_id, []).append(field)
    annotations: list[dict[str, Any]] = []
    for image_id, fields in images.items():
        for nucleus in list_counted(fields):
            annotation = _nucleus_to_annotation(len(annotations) + 1, image_id, nucleus)
            if not fields[0].is_imported:
                annotation["score"] = round(nucleus.score, 4)
            annotations.append(annotation)
    collection = {
        "info": {
            "description": report.notice,
            "version": report.app_version,
            "date_created": report.made,
            "contributor": ", ".join(report.readers),
            "case": report.case_id,
            "protocol": report.rule.title,
        },
        "licenses": [],
        "categories": [_class_to_category(kind) for kind in NucleusClass],
        "images": [_fields_to_image(image_id, fields) for image_id, fields in images.items()],
        "annotations": annotations,
    }
    return json.dumps(collection, ensure_ascii=False)


def _class_to_category(kind: NucleusClass) -> dict[str, Any]:
    """COCO's categories begin at 1, since 0 is the background."""
    return {"id": kind + 1, "name": kind.slug, "supercategory": "nucleus", "keypoints": ["centre"], "skeleton": []}


def _fields_to_image(image_id: int, fields: list[FieldReport]) -> dict[str, Any]:
    """An image, and in which of its parts nuclei are complete: ``fields``, as left, top, right, bottom."""
    first = fields[0]
    return {
        "id": image_id,
        "file_name": first.image_label or f"image-{image_id}",
        "width": first.width_px,
        "height": first.height_px,
        "sha256": first.image_sha256,
        "mpp": first.mpp,
        "fields": [list(field.box) for field in fields],
    }


def _nucleus_to_annotation(id_: int, image_id: int, nucleus: NucleusMark) -> dict[str, Any]:
    x, y = round(nucleus.x_px, 2), round(nucleus.y_px, 2)
    return {
        "id": id_,
        "image_id": image_id,
        "category_id": nucleus.kind + 1,
        "keypoints": [x, y, VISIBLE],
        "num_keypoints": 1,
        "bbox": [round(x - BOX_PX / 2, 2), round(y - BOX_PX / 2, 2), BOX_PX, BOX_PX],
        "area": BOX_PX**2,
        "iscrowd": 0,
        "origin": nucleus.origin,
    }
