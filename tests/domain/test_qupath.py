"""Files as QuPath writes them, and files that cannot be."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nucleus_app.domain import qupath
from nucleus_app.domain.edits import Bounds, Polygon, RegionLabel
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.qupath import Annotations, parse_annotations
from nucleus_app.domain.qupath_import import ImportPlan, plan_import
from nucleus_app.domain.qupath_targets import Target, guess_target, list_classes, parse_mapping
from nucleus_app.domain.regions import find_inside
from nucleus_app.errors import InvalidAnnotations
from tests.domain.qupath_files import (
    DERIVED,
    NEGATIVE_02,
    POSITIVE,
    collection,
    feature,
    multipoint,
    point,
    polygon,
    ring,
)

BOUNDS = Bounds(100, 80, (0.25, 0.25, 0.25))


def plan(annotations: Annotations, mapping: dict[str, str], bounds: Bounds = BOUNDS) -> ImportPlan:
    return plan_import(annotations, parse_mapping(mapping, annotations.names), bounds)


@pytest.mark.parametrize(
    ("classification", "name"),
    [
        (POSITIVE, "Positive"),
        (NEGATIVE_02, "Negative"),
        (DERIVED, "Tumor: Positive"),
        ({"names": ["Stroma"], "color": [1, 2, 3]}, "Stroma"),
        ("Tumor: Negative", "Tumor: Negative"),
        ("Tumor:Negative", "Tumor: Negative"),
        (None, "Unclassified"),
        ("", "Unclassified"),
        ({"color": [1, 2, 3]}, "Unclassified"),
        ("Σ\u202e\nname", "Σ name"),
    ],
)
def test_a_class_has_its_name_however_it_is_written(classification: Any, name: str) -> None:
    found = parse_annotations(collection(feature(point(1, 1), classification)))
    assert found.names == (name,)
    null = feature(point(1, 1))
    null["properties"]["classification"] = None
    assert parse_annotations(collection(null)).names == ("Unclassified",)


def test_the_middle_of_a_pixel_there_is_a_whole_number_here() -> None:
    found = parse_annotations(collection(feature(multipoint((10.5, 20.5), (0, 0)), POSITIVE), feature(point(3, 4))))
    assert found.xy.tolist() == [[10, 20], [-0.5, -0.5], [2.5, 3.5]]
    assert found.point_names.tolist() == [0, 0, 1]


def test_a_collection_a_list_and_one_object_are_read_alike() -> None:
    one = feature(point(5, 5), POSITIVE)
    for data in (collection(one), json.dumps([one]).encode(), b"\xef\xbb\xbf" + json.dumps(one).encode()):
        assert parse_annotations(data).xy.tolist() == [[4.5, 4.5]]


def test_a_cell_is_at_its_nucleus_and_is_no_drawn_area() -> None:
    cell = feature(polygon(ring(0, 0, 30, 30)), "Positive", "cell", nucleusGeometry=polygon(ring(20, 20, 24, 26)))
    found = parse_annotations(collection(cell))
    assert not found.areas[0].is_drawn
    assert plan(found, {"Positive": "positive"}).nuclei.xy.tolist() == [[21.5, 22.5]]


def test_types_of_version_0_2_and_objects_within_objects_are_read() -> None:
    old = {
        "type": "Feature",
        "id": "PathDetectionObject",
        "geometry": polygon(ring(0, 0, 4, 4)),
        "properties": {"classification": NEGATIVE_02, "isLocked": False, "measurements": []},
    }
    holder = feature(polygon(ring(0, 0, 50, 50)), "Tumor", childObjects=[old, feature(point(9, 9), "Positive")])
    found = parse_annotations(collection(holder))
    assert found.names == ("Tumor", "Negative", "Positive")
    assert [area.is_drawn for area in found.areas] == [True, False]
    assert len(found.xy) == 1


def test_measurements_that_are_no_numbers_do_no_harm() -> None:
    data = collection(
        feature(point(1, 1), "Positive", "detection", measurements={"Nucleus: DAB OD mean": float("nan")})
    )
    assert b"NaN" in data
    assert len(parse_annotations(data).xy) == 1


def test_lines_and_empty_objects_are_passed_over_and_it_is_said() -> None:
    line = {"type": "LineString", "coordinates": [[0, 0], [5, 5]]}
    found = parse_annotations(collection(feature(line), feature(None), feature(polygon()), feature(point(1, 1))))
    assert found.notes == (
        "1 lines passed over.",
        "1 objects without a shape passed over.",
        "1 empty areas passed over.",
    )
    with pytest.raises(InvalidAnnotations, match=r"no points and no areas\. 1 lines passed over\. Export"):
        parse_annotations(collection(feature(line)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON"),
        (b"\x1f\x8b\x08 gzip", "no JSON.*without compression"),
        (b"x,y\n1,2", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"type": "FeatureCollection"}', "no GeoJSON"),
        (b'{"type": "Polygon", "coordinates": []}', "no GeoJSON"),
        (b"3", "no GeoJSON"),
        (b"[]", "no points and no areas"),
        (b"[7]", "Object 1 of the file is no GeoJSON feature"),
        (collection(feature(point(float("nan"), 1))), "Object 1 .* not NaN"),
        (collection(feature(polygon([[0, 0], [float("inf"), 1], [2, 2]]))), "Object 1"),
        (collection(feature({"type": "Point", "coordinates": ["1", "2"]})), "Object 1"),
        (collection(feature({"type": "Point", "coordinates": [True, 2]})), "Object 1"),
        (collection(feature({"type": "Point", "coordinates": 3})), "Object 1"),
        (collection(feature({"type": "Point", "coordinates": [1]})), "Object 1"),
        (collection(feature({"type": "MultiPoint", "coordinates": {"0": [1, 2]}})), "Object 1"),
        (collection(feature({"type": "Polygon", "coordinates": [[["a", "b"]] * 4]})), "Object 1"),
        (collection(feature({"type": "Circle"})), "Object 1"),
        (collection(feature({"type": "Point", "coordinates": [10**400, 2]})), "Object 1"),
    ],
)
def test_what_is_no_such_file_is_refused_with_what_to_do(data: bytes, says: str) -> None:
    with pytest.raises(InvalidAnnotations, match=says):
        parse_annotations(data)


def test_files_and_numbers_of_objects_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qupath, "MAX_OBJECTS", 3)
    with pytest.raises(InvalidAnnotations, match="more than 3 objects"):
        parse_annotations(collection(feature(multipoint(*[(1, 1)] * 4))))
    monkeypatch.setattr(qupath, "MAX_BYTES", 10)
    with pytest.raises(InvalidAnnotations, match="over 0: export points"):
        parse_annotations(b" " * 11)


@pytest.mark.parametrize(
    ("name", "as_marks", "as_regions"),
    [
        ("Positive", "positive", "positive"),
        ("Negative", "negative", "negative"),
        ("Tumor: Positive", "positive", "positive"),
        ("Tumor: Negative", "negative", "negative"),
        ("Tumor: 2+", "positive", "positive"),
        ("Immunopositive tumour", "positive", "positive"),
        ("Immunonegative tumour", "negative", "negative"),
        ("Non-tumour", "other", "non-tumour"),
        ("Tumor", "ignore", "tumour"),
        ("Stroma", "other", "non-tumour"),
        ("Stroma: Positive", "other", "non-tumour"),
        ("Immune cells", "other", "non-tumour"),
        ("Other", "other", "non-tumour"),
        ("Necrosis", "ignore", "exclude"),
        ("Ignore*", "ignore", "exclude"),
        ("Region*", "ignore", "ignore"),
        ("Reviewed", "ignore", "reviewed"),
        ("Unclassified", "ignore", "ignore"),
        ("Position of pen", "ignore", "ignore"),
    ],
)
def test_a_class_is_guessed_from_its_name_and_what_is_uncertain_is_ignored(
    name: str, as_marks: str, as_regions: str
) -> None:
    assert (guess_target(name, is_region=False), guess_target(name, is_region=True)) == (as_marks, as_regions)


def test_classes_are_listed_with_what_they_hold() -> None:
    cell = feature(polygon(ring(0, 0, 4, 4)), "Stroma", "cell")
    data = collection(feature(multipoint((1, 1), (2, 2)), POSITIVE), cell, feature(polygon(ring(0, 0, 9, 9)), "Tumor"))
    listed = [(c.name, c.points, c.areas, c.guess) for c in list_classes(parse_annotations(data))]
    assert listed == [("Positive", 2, 0, "positive"), ("Stroma", 0, 1, "other"), ("Tumor", 0, 1, "tumour")]


def test_points_and_areas_become_nuclei_and_regions() -> None:
    donut = polygon(ring(10, 10, 50, 50), ring(20, 20, 40, 40))
    found = parse_annotations(
        collection(
            feature(multipoint((1, 1), (2, 2)), "Positive"),
            feature(polygon(ring(60, 60, 64, 64)), "Negative", "detection"),
            feature(donut, "Necrosis"),
            feature(point(70, 70), "Stroma"),
        )
    )
    made = plan(found, {"Positive": "positive", "Negative": "negative", "Necrosis": "exclude", "Stroma": "ignore"})
    assert made.nuclei.xy.tolist() == [[0.5, 0.5], [1.5, 1.5], [61.5, 61.5]]
    assert made.nuclei.classes.tolist() == [NucleusClass.POSITIVE, NucleusClass.POSITIVE, NucleusClass.NEGATIVE]
    assert made.nuclei.scores.tolist() == [1, 1, 1]
    (region,) = made.regions
    assert region.label is RegionLabel.EXCLUDE
    assert find_inside(region.shape, np.array([15.0, 30.0, 45.0]), np.array([30.0, 30.0, 12.0])).tolist() == [
        True, False, True,
    ]  # fmt: skip
    assert made.notes == ()


def test_of_nested_areas_the_inner_one_is_painted_last_wherever_it_is_in_the_file() -> None:
    inner, outer = feature(polygon(ring(30, 30, 40, 40)), "Necrosis"), feature(polygon(ring(0, 0, 90, 70)), "Tumor")
    for data in (collection(inner, outer), collection(outer, inner)):
        made = plan(parse_annotations(data), {"Tumor": "tumour", "Necrosis": "exclude"})
        assert [region.label for region in made.regions] == [RegionLabel.TUMOUR, RegionLabel.EXCLUDE]


def test_a_region_that_reaches_beyond_the_image_ends_at_its_border() -> None:
    made = plan(parse_annotations(collection(feature(polygon(ring(-50, -50, 500, 40)), "Tumor"))), {"Tumor": "tumour"})
    shape = made.regions[0].shape
    assert isinstance(shape, Polygon)
    assert {*zip(shape.pts[::2], shape.pts[1::2], strict=True)} == {
        (-0.5, -0.5),
        (99.5, -0.5),
        (99.5, 39.5),
        (-0.5, 39.5),
    }


def test_what_is_outside_of_the_image_is_counted_and_passed_over() -> None:
    far = feature(multipoint((100, 80), (100.1, 5), (1e300, 5), (-3, 5)), "Positive")
    off = feature(polygon(ring(200, 200, 210, 210)), "Tumor")
    found = parse_annotations(collection(far, off))
    made = plan(found, {"Positive": "positive", "Tumor": "tumour"})
    assert made.nuclei.xy.tolist() == [[99.5, 79.5]], "the far corner is still the image's"
    assert made.notes == (
        "4 objects outside of the image passed over: is the file of this image, and not of a crop?",
    )  # fmt: skip
    with pytest.raises(InvalidAnnotations, match=r"Nothing to import\. 1 objects outside"):
        plan(found, {"Tumor": "tumour"})


def test_a_point_is_no_region_and_it_is_said() -> None:
    found = parse_annotations(collection(feature(point(5, 5), "Tumor"), feature(point(6, 6), "Positive")))
    made = plan(found, {"Tumor": "tumour", "Positive": "positive"})
    assert len(made.nuclei) == 1
    assert made.notes == ("1 points passed over: their class was said to be a region, and a point is none.",)


def test_cells_are_not_painted_one_by_one() -> None:
    cells = [feature(polygon(ring(x % 90, 3, x % 90 + 2, 5)), "Tumor", "cell") for x in range(2001)]
    found = parse_annotations(collection(*cells))
    with pytest.raises(InvalidAnnotations, match=r"2,001 areas would become regions.*map them to positive"):
        plan(found, {"Tumor": "tumour"})
    assert len(plan(found, {"Tumor": "negative"}).nuclei) == 2001


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        (None, "no object"),
        ([], "no object"),
        ({}, "Every class is ignored"),
        ({"Positive": "ignore"}, "Every class is ignored"),
        ({"Positiv": "positive"}, "no class 'Positiv': its classes are Positive"),
        ({"Positive": "tumor"}, "no target 'tumor': use one of positive, negative"),
        ({"Positive": 0}, "no target 0"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_with_what_can(mapping: Any, says: str) -> None:
    with pytest.raises(InvalidAnnotations, match=says):
        parse_mapping(mapping, ("Positive",))


def test_every_target_is_a_nucleus_a_region_or_nothing() -> None:
    assert {target for target in Target if target.kind is None and target.label is None} == {Target.IGNORE}
    assert Target.NON_TUMOUR.label is RegionLabel.NON_TUMOUR
    assert Target.OTHER.kind is NucleusClass.OTHER
