"""Fields and nuclei of one image as QuPath 0.5 and later reads them: File → Import objects from file.

What was decided, read from QuPath's own reader and writer:

- Nuclei are point *annotations*, what QuPath's counting tool makes; a detection that is a point is not drawn by every version.
- The two kinds of tumour nuclei are derived classes (``names``: "Tumor: Positive", "Tumor: Negative"), the rest is "Other". Each has
  a colour, without which QuPath's reader refuses a classification that is an object.
- Nuclei that a region leaves out are not counted, so they are not exported. A nucleus within two fields is exported once.
- What is painted comes as areas of one class each, which nobody need choose again when the file comes back: "Tumor", "Non-tumour",
  "Ignore*" (QuPath's own class for what is not to be measured) and "Reviewed".
- QuPath's origin is the corner of the top-left pixel, ours its centre: half a pixel is added, to nuclei and to fields alike. So a
  field has the corner and the size that the report prints of it.
- Nuclei of imported annotations have no measurements: the network gave them no score.
- Ids are UUIDs made from the image's hash, so that the same report gives the same objects.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.domain.edits import RegionLabel
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.sheet import FieldBox
from nucleus_app.reports.areas import REGION_COLOURS
from nucleus_app.reports.case_report import CaseReport, FieldReport, NucleusMark, PaintedArea
from nucleus_app.reports.marks import PALETTES

HALF_PIXEL = 0.5
FIELD_COLOUR = (40, 40, 40)
CLASSIFICATIONS: dict[NucleusClass, dict[str, Any]] = {
    NucleusClass.POSITIVE: {"names": ["Tumor", "Positive"], "color": list(PALETTES["qupath"].colours[0])},
    NucleusClass.NEGATIVE: {"names": ["Tumor", "Negative"], "color": list(PALETTES["qupath"].colours[1])},
    NucleusClass.OTHER: {"name": "Other", "color": list(PALETTES["qupath"].colours[2])},
}
REGIONS: dict[str, dict[str, Any]] = {
    RegionLabel.TUMOUR: {"name": "Tumor", "color": list(REGION_COLOURS[RegionLabel.TUMOUR])},
    RegionLabel.NON_TUMOUR: {"name": "Non-tumour", "color": list(REGION_COLOURS[RegionLabel.NON_TUMOUR])},
    RegionLabel.EXCLUDE: {"name": "Ignore*", "color": list(REGION_COLOURS[RegionLabel.EXCLUDE])},
    RegionLabel.REVIEWED: {"name": "Reviewed", "color": list(REGION_COLOURS[RegionLabel.REVIEWED])},
}
Feature = dict[str, Any]


def report_to_geojson(report: CaseReport, image_id: int, multipoint: bool = False) -> str:
    """One image of a report, in its pixels. Raises KeyError when no field of the report lies on it."""
    return features_to_geojson(list_features(report, image_id, multipoint))


def features_to_geojson(features: list[Feature]) -> str:
    return json.dumps(
        {"type": "FeatureCollection", "notice": RESEARCH_USE_ONLY, "features": features}, ensure_ascii=False
    )


def list_features(
    report: CaseReport, image_id: int, multipoint: bool = False, corner: tuple[int, int] = (0, 0)
) -> list[Feature]:
    """The image's fields as locked polygons, what is painted on it, then its counted nuclei: one Point each, or with ``multipoint``
    one MultiPoint a class.

    ``corner``: where the image's upper left corner lies on the slide that it was cut out of; places are the slide's then. Raises
    KeyError when no field of the report lies on that image.
    """
    fields = [field for field in report.fields if field.image_id == image_id]
    if not fields:
        raise KeyError(image_id)
    nuclei = list_counted(fields)
    sha256 = fields[0].image_sha256
    features = [_box_to_feature(field) for field in fields]
    features += [_area_to_feature(f"{sha256}:region:{n}", area) for n, area in enumerate(report.list_painted(image_id))]
    for kind in NucleusClass:
        chosen = [nucleus for nucleus in nuclei if nucleus.kind == kind]
        if multipoint and chosen:
            points = [_to_point(nucleus) for nucleus in chosen]
            features.append(_make_feature(f"{sha256}:{kind.slug}", {"type": "MultiPoint", "coordinates": points}, kind))
        elif not multipoint:
            features += [_nucleus_to_feature(fields[0], nucleus, kind) for nucleus in chosen]
    for feature in features:
        feature["geometry"]["coordinates"] = _move(feature["geometry"]["coordinates"], corner)
    return features


def list_counted(fields: list[FieldReport]) -> list[NucleusMark]:
    """The counted nuclei of fields on one image, each once."""
    return list({nucleus.id: nucleus for field in fields for nucleus in field.nuclei if not nucleus.left_out}.values())


def _nucleus_to_feature(field: FieldReport, nucleus: NucleusMark, kind: NucleusClass) -> Feature:
    geometry = {"type": "Point", "coordinates": _to_point(nucleus)}
    feature = _make_feature(f"{field.image_sha256}:{nucleus.id}", geometry, kind)
    feature["properties"]["metadata"] = {"nucleus": str(nucleus.id), "origin": nucleus.origin}
    if not field.is_imported:
        measurements = {"Score": round(nucleus.score, 4)}
        if nucleus.confidence is not None:
            measurements["Confidence"] = round(nucleus.confidence, 4)
        feature["properties"]["measurements"] = measurements
    return feature


def _move(places: Any, corner: tuple[int, int]) -> Any:
    """A place, or lists of places however deep, further right and down."""
    if isinstance(places[0], list):
        return [_move(each, corner) for each in places]
    return [round(value + by, 2) for value, by in zip(places, corner, strict=True)]


def _make_feature(name: str, geometry: dict[str, Any], kind: NucleusClass) -> Feature:
    properties = {"objectType": "annotation", "classification": CLASSIFICATIONS[kind]}
    return {"type": "Feature", "id": _make_id(name), "geometry": geometry, "properties": properties}


def _box_to_feature(field: FieldReport) -> Feature:
    """A field as a locked rectangle without a class, so that it counts as no kind of tissue."""
    properties = {"objectType": "annotation", "name": field.name, "color": list(FIELD_COLOUR), "isLocked": True}
    properties["metadata"] = {"role": field.role.value}
    geometry = {"type": "Polygon", "coordinates": [_to_ring(field.box)]}
    return {
        "type": "Feature",
        "id": _make_id(f"{field.image_sha256}:field:{field.id}"),
        "geometry": geometry,
        "properties": properties,
    }


def _area_to_feature(name: str, area: PaintedArea) -> Feature:
    properties = {"objectType": "annotation", "classification": REGIONS[area.label]}
    rings = [[_shift(value) for value in ring] for ring in area.rings]
    corners = [[[x, y] for x, y in zip(ring[::2], ring[1::2], strict=True)] for ring in rings]
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in corners]}
    return {"type": "Feature", "id": _make_id(name), "geometry": geometry, "properties": properties}


def _to_ring(box: FieldBox) -> list[list[float]]:
    """A box as a closed ring. A whole image, from -0.5 to its width - 0.5 by pixel centres, goes from 0 to its width."""
    left, top, right, bottom = (_shift(edge) for edge in box)
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def _to_point(nucleus: NucleusMark) -> list[float]:
    return [_shift(nucleus.x_px), _shift(nucleus.y_px)]


def _shift(value_px: float) -> float:
    return round(value_px + HALF_PIXEL, 2)


def _make_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))
