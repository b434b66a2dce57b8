"""GeoJSON shaped as QuPath writes it, built by hand."""

from __future__ import annotations

import json
from typing import Any

POSITIVE = {"name": "Positive", "color": [250, 62, 62]}
NEGATIVE_02 = {"name": "Negative", "colorRGB": -9408287}
DERIVED = {"names": ["Tumor", "Positive"], "color": [200, 0, 0]}


def feature(geometry: dict[str, Any] | None, classification: Any = None, kind: str = "annotation", **more: Any) -> Any:
    properties: dict[str, Any] = {"objectType": kind}
    if classification is not None:
        properties["classification"] = classification
    return {
        "type": "Feature",
        "id": "a1b2c3d4-0000-4000-8000-000000000000",
        "geometry": geometry,
        **{key: value for key, value in more.items() if key == "nucleusGeometry"},
        "properties": properties | {key: value for key, value in more.items() if key != "nucleusGeometry"},
    }


def point(x: float, y: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [x, y]}


def multipoint(*places: tuple[float, float]) -> dict[str, Any]:
    return {"type": "MultiPoint", "coordinates": [list(place) for place in places]}


def ring(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def collection(*features: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": list(features)}).encode()
