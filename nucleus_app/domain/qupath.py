"""GeoJSON as QuPath 0.2 to 0.6 writes it → points and areas with the names of their classes.

After QuPath's own ``PathObjectTypeAdapters`` and ``ROITypeAdapters``: a FeatureCollection, a bare list of features, or one
feature; a class is an object with ``name`` or ``names``, or a string; a cell has a ``nucleusGeometry`` beside its geometry;
version 0.2 keeps the object's type in ``id``; measurements may be NaN, which is no JSON but what QuPath writes.

QuPath's origin is the top left corner of the top left pixel, ours is that pixel's centre: 0.5 is subtracted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from nucleus_app.domain.line import to_line
from nucleus_app.domain.outlines import Outline, Ring, are_within
from nucleus_app.errors import InvalidAnnotations

IMPORT_NAME = "QuPath import"
"""Name of the version of a scoring that came from such a file."""
UNCLASSIFIED = "Unclassified"
MAX_BYTES = 200 * 1024**2
MAX_OBJECTS = 1_000_000
MAX_CLASSES = 200
MAX_NAME = 120
FARTHEST_PX = 1e8
"""Whatever lies further away is outside of every image."""
EXPORT_AGAIN = "Export it from QuPath again: File, Export objects as GeoJSON, without compression."
_DETECTIONS = {"detection", "cell", "tile", "PathDetectionObject", "PathCellObject", "PathTileObject"}


@dataclass(frozen=True, slots=True)
class Area:
    """``name`` is its class's place in the names. ``is_drawn``: an annotation, not a detection or a cell."""

    name: int
    outline: Outline
    is_drawn: bool


@dataclass(frozen=True, slots=True)
class Annotations:
    """``xy`` (P, 2) float64 points in our pixels and ``point_names`` (P,) the places of their classes in ``names``, which
    are in the order in which they occur. ``notes``: sentences on what was passed over.
    """

    names: tuple[str, ...]
    xy: NDArray[np.float64]
    point_names: NDArray[np.int64]
    areas: tuple[Area, ...]
    notes: tuple[str, ...]

    def seen_from(self, corner: tuple[int, int]) -> Annotations:
        """The same in pixels of an image that was cut out with its upper left corner there."""
        by = np.array(corner, np.float64)
        areas = (replace(area, outline=area.outline.move(-by)) for area in self.areas)
        return replace(self, xy=self.xy - by, areas=tuple(areas))

    def count_within(self, width: int, height: int) -> int:
        """How many points, and areas by their first corner, lie in an image."""
        firsts = [area.outline.rings[0][:1] for area in self.areas]
        return int(np.count_nonzero(are_within(np.concatenate([self.xy, *firsts]), width, height)))


def parse_annotations(data: bytes) -> Annotations:
    """Raises InvalidAnnotations with what is wrong and what to do."""
    if len(data) > MAX_BYTES:
        raise InvalidAnnotations(
            f"The file has {len(data) / 1024**2:.0f} MB, over {MAX_BYTES // 1024**2}: export points, or cells without "
            "measurements, or fewer objects at a time."
        )
    try:
        parsed: object = from_json(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise InvalidAnnotations(f"The file is no JSON ({error}). {EXPORT_AGAIN}") from error
    reader = _Reader()
    for number, feature in enumerate(_list_features(parsed), 1):
        reader.read(number, feature)
    return reader.finish()


def _list_features(parsed: object) -> Iterator[object]:
    """All features in their order, each before those that it holds."""
    match parsed:
        case {"type": "FeatureCollection", "features": list(features)}:
            pass
        case {"type": "Feature"}:
            features = [parsed]
        case list(features):
            pass
        case _:
            raise InvalidAnnotations(f"The file is JSON, but no GeoJSON of objects. {EXPORT_AGAIN}")
    open_ = features[::-1]
    while open_:
        feature = open_.pop()
        yield feature
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if isinstance(properties, dict):
            for held in (properties.get("childObjects"), properties.get("children")):
                open_ += held[::-1] if isinstance(held, list) else []


@dataclass(slots=True)
class _Reader:
    """What was read so far."""

    names: dict[str, int] = field(default_factory=dict)
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    point_names: list[int] = field(default_factory=list)
    areas: list[Area] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def read(self, number: int, feature: object) -> None:
        """Take one feature more. Raises InvalidAnnotations."""
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise InvalidAnnotations(f"Object {number} of the file is no GeoJSON feature. {EXPORT_AGAIN}")
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        name = self.names.setdefault(_find_name(properties.get("classification")), len(self.names))
        kind = properties.get("objectType", properties.get("object_type", feature.get("id")))
        is_drawn = not (isinstance(kind, str) and kind in _DETECTIONS)
        geometry = feature.get("nucleusGeometry") or feature.get("geometry")
        try:
            self._read_geometry(geometry, name, is_drawn)
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            raise InvalidAnnotations(
                f"Object {number} of the file has no usable coordinates (numbers are wanted, not NaN). {EXPORT_AGAIN}"
            ) from error
        if len(self.x) + len(self.areas) > MAX_OBJECTS or len(self.names) > MAX_CLASSES:
            raise InvalidAnnotations(
                f"The file holds more than {MAX_OBJECTS:,} objects or {MAX_CLASSES} classes: export fewer at a time."
            )

    def _read_geometry(self, geometry: Any, name: int, is_drawn: bool) -> None:
        match geometry:
            case {"type": "Point", "coordinates": place}:
                self._add_points([place], name)
            case {"type": "MultiPoint", "coordinates": places}:
                self._add_points(places, name)
            case {"type": "Polygon", "coordinates": rings}:
                self._add_area([rings], name, is_drawn)
            case {"type": "MultiPolygon", "coordinates": polygons}:
                self._add_area(polygons, name, is_drawn)
            case {"type": "GeometryCollection", "geometries": list(parts)}:
                for part in parts:
                    self._read_geometry(part, name, is_drawn)
            case {"type": "LineString" | "MultiLineString"}:
                self.passed_over["lines"] += 1
            case None:
                self.passed_over["objects without a shape"] += 1
            case _:
                raise ValueError("no geometry")

    def _add_points(self, places: list[Any], name: int) -> None:
        for place in places:
            self.x.append(_to_px(place[0]))
            self.y.append(_to_px(place[1]))
        self.point_names += [name] * len(places)

    def _add_area(self, polygons: list[Any], name: int, is_drawn: bool) -> None:
        rings = [(_to_ring(ring), at > 0) for polygon in polygons for at, ring in enumerate(polygon)]
        whole = [(ring, hole) for ring, hole in rings if len(ring) >= 3]
        if not whole:
            self.passed_over["empty areas"] += 1
            return
        outline = Outline(tuple(ring for ring, _ in whole), tuple(hole for _, hole in whole))
        self.areas.append(Area(name, outline, is_drawn))

    def finish(self) -> Annotations:
        """Raises InvalidAnnotations when there was nothing."""
        notes = tuple(f"{n:,} {what} passed over." for what, n in self.passed_over.items())
        if not self.x and not self.areas:
            raise InvalidAnnotations(
                " ".join(["The file holds no points and no areas.", *notes, "Export annotations, detections or cells."])
            )
        xy = np.array([self.x, self.y], np.float64).T.reshape(-1, 2)
        return Annotations(tuple(self.names), xy, np.array(self.point_names, np.int64), tuple(self.areas), notes)


def _to_px(value: Any) -> float:
    """One coordinate in our pixels. Raises TypeError or ValueError for what is no finite number."""
    if type(value) not in (float, int) or not math.isfinite(value):
        raise ValueError("no number")
    return min(max(float(value) - 0.5, -FARTHEST_PX), FARTHEST_PX)


def _to_ring(corners: Any) -> Ring:
    try:
        ring = np.array(corners, np.float64).reshape(len(corners), -1)[:, :2]
    except ValueError:  # corners with and without a height, or no corners
        ring = np.array([(corner[0], corner[1]) for corner in corners], np.float64).reshape(-1, 2)
    if not np.isfinite(ring).all():
        raise ValueError("no number")
    ring = np.clip(ring - 0.5, -FARTHEST_PX, FARTHEST_PX)
    return ring[:-1] if len(ring) > 1 and (ring[0] == ring[-1]).all() else ring


def _find_name(classification: object) -> str:
    """The name as QuPath shows it: parts of a derived class with ": " between them."""
    match classification:
        case {"names": list(parts)}:
            text = ": ".join(part for part in parts if isinstance(part, str))
        case {"name": str(text)}:
            pass
        case str(text):
            pass
        case _:
            text = ""
    parts = [to_line(part, MAX_NAME) for part in text.split(":")]
    return ": ".join(part for part in parts if part)[:MAX_NAME] or UNCLASSIFIED
