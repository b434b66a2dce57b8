"""To QuPath and back: nuclei, what is painted, and places on a slide."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.slides import StoredSlide
from nucleus_app.errors import InvalidAnnotations
from nucleus_app.reports.case_report import PaintedArea, json_to_report
from nucleus_app.services.downloads import write_geojson, write_slide_geojson
from nucleus_app.services.qupath import import_annotations, list_classes
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.slide_shelf import SlideShelf
from nucleus_app.services.slides import take_in_slide
from nucleus_app.services.workplace import Workplace
from tests.domain.qupath_files import collection, feature, multipoint, polygon, ring
from tests.imaging.slide_files import write_slide
from tests.services.casefolder import Folder
from tests.services.reviewing import EXCLUDE, add_image, add_scoring, body, reclass

RGB = np.random.default_rng(0).integers(0, 255, (900, 1300, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "slide.svs", RGB)


@pytest.fixture
def small(workplace: Workplace) -> Workplace:
    """A workplace for which the slide is too large to be one image."""
    return replace(workplace, settings=replace(workplace.settings, max_megapixels=1))


@pytest.fixture
def slide(small: Workplace, original: Path, tmp_path: Path) -> StoredSlide:
    return take_in_slide(small, Path(shutil.copyfile(original, tmp_path / "a.svs")), "a.svs")


@pytest.mark.parametrize("multipoint", [False, True])
def test_what_is_exported_for_qupath_comes_back_as_the_same_nuclei(
    case: Folder, image_id: int, scoring_id: int, multipoint: bool
) -> None:
    case.reviews.take_edits(scoring_id, body(reclass(1, c=1), {"op": "add", "x": 12.25, "y": 20.5, "c": 0}))
    before = case.desk.report(case.id)[0].fields[0]
    exported = write_geojson(case.desk, case.id, image_id, multipoint=multipoint).content
    found = list_classes(case.workplace, image_id, exported)
    guesses = {each.name: each.guess for each in found.classes}
    assert {name: guesses[name] for name in ("Tumor: Positive", "Tumor: Negative")} == {
        "Tumor: Positive": "positive",
        "Tumor: Negative": "negative",
    }
    mapping = {name: "other" if name == "Other" else guess for name, guess in guesses.items()}
    import_annotations(case.workplace, image_id, exported, mapping, "Dr. B")
    after = case.desk.report(case.id)[0].fields[0]
    assert after.tallies.tumour == before.tallies.tumour
    assert (after.percent, after.low_percent, after.high_percent) == (
        before.percent,
        before.low_percent,
        before.high_percent,
    )
    assert sorted((m.kind, m.x_px, m.y_px) for m in after.nuclei) == sorted(
        (m.kind, m.x_px, m.y_px) for m in before.nuclei
    )


def test_what_is_painted_comes_back_from_qupath_without_a_choice(case: Folder, image_id: int, scoring_id: int) -> None:
    """With the classes as they are guessed: excluded stays excluded, with its hole, and what is reviewed is reviewed."""
    case.reviews.take_edits(scoring_id, body(
        {"op": "region", "label": "tumour", "shape": "polygon", "pts": [0, 0, 79, 0, 79, 59, 0, 59]},
        {"op": "region", "label": "exclude", "shape": "polygon", "pts": [15, 5, 45, 5, 45, 30, 15, 30]},
        {"op": "region", "label": "tumour", "shape": "brush", "r": 3, "pts": [20, 10]},
        {"op": "region", "label": "non-tumour", "shape": "brush", "r": 5, "pts": [60, 30, 70, 50]},
        {"op": "region", "label": "reviewed", "shape": "polygon", "pts": [0, 0, 40, 0, 40, 59, 0, 59]},
    ))  # fmt: skip
    before = case.desk.report(case.id)[0]
    assert (before.fields[0].tallies.tumour, before.fields[0].tallies.left_out) == (2, 2)
    exported = write_geojson(case.desk, case.id, image_id, multipoint=False).content
    guesses = {each.name: each.guess for each in list_classes(case.workplace, image_id, exported).classes}
    import_annotations(case.workplace, image_id, exported, guesses, "Dr. B")
    after = case.desk.report(case.id)[0]
    assert (after.fields[0].tallies.tumour, after.fields[0].tallies.left_out) == (2, 0), (
        "those left out were not exported"
    )
    assert after.fields[0].area_mm2 == pytest.approx(before.fields[0].area_mm2, rel=0.002)
    assert [area.label for area in after.painted] == [area.label for area in before.painted]
    for was, is_ in zip(before.painted, after.painted, strict=True):
        assert len(is_.rings) == len(was.rings)
        assert measure(is_) == pytest.approx(measure(was), rel=0.001)


def measure(area: PaintedArea) -> list[float]:
    """The area of each ring in px²."""
    rings = [np.array(ring).reshape(-1, 2).T for ring in area.rings]
    return [abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2 for x, y in rings]


def test_what_is_painted_is_signed_and_what_never_was_changes_no_byte(case: Folder, scoring_id: int) -> None:
    assert b'"painted"' not in case.desk.freeze(case.id)
    case.reviews.take_edits(scoring_id, body(EXCLUDE))
    case.sign()
    signed, sha256 = case.desk.report(case.id)
    assert sha256
    ((label, rings),) = [(area.label, area.rings) for area in signed.painted]
    assert (label, len(rings)) == ("exclude", 1)
    assert json_to_report(case.desk.freeze(case.id)) == signed
    assert case.summary().painted == ()


def test_nuclei_of_all_fields_come_to_qupath_at_their_places_on_the_slide(small: Workplace, slide: StoredSlide) -> None:
    shelf = SlideShelf(small)
    corners = ((100, 200), (700, 40))
    for left, top in corners:
        image = shelf.cut(slide.id, (left, top, left + 300, top + 300))
        add_scoring(small, image.id)
    case = Folder(small, image.case_id)
    written = json.loads(write_slide_geojson(small, case.desk, slide.id).content)
    assert written["notice"].startswith("For research use only")
    points = [f["geometry"]["coordinates"] for f in written["features"] if f["geometry"]["type"] == "Point"]
    counted = [(10, 10), (20, 10), (30, 10), (40, 10)]  # QuPath's origin is the corner of the first pixel
    assert sorted(points) == sorted([left + x + 0.5, top + y + 0.5] for left, top in corners for x, y in counted)
    rings = [f["geometry"]["coordinates"][0] for f in written["features"] if f["geometry"]["type"] == "Polygon"]
    assert [ring[0] for ring in rings] == [list(corner) for corner in corners]
    assert [ring[2] for ring in rings] == [[left + 300, top + 300] for left, top in corners]
    assert len({f["id"] for f in written["features"]}) == len(written["features"])


def test_annotations_made_on_the_slide_come_into_the_field_that_they_lie_in(
    small: Workplace, slide: StoredSlide, tmp_path: Path
) -> None:
    shelf = SlideShelf(small)
    image = shelf.cut(slide.id, (100, 200, 400, 500))
    add_scoring(small, image.id)
    far = [feature(polygon(ring(900 + n % 50, 700, 901 + n % 50, 701)), "Tumor") for n in range(2001)]
    points = multipoint((110.5, 210.5), (399.5, 210.5), (10, 10))
    made = collection(feature(points, "Positive"), feature(polygon(ring(390, 205, 500, 215)), "Necrosis"), *far)
    found = list_classes(small, image.id, made)
    assert found.on_slide is True
    guesses = {each.name: each.guess for each in found.classes}
    imported = import_annotations(small, image.id, made, guesses, "Dr. A", on_slide=True)
    assert imported.notes == ("2,002 objects outside of the image passed over: they lie elsewhere on the slide.",)
    shown = get_scored_image(small, image.id)
    assert (tuple(shown.tally.counts), shown.tally.left_out) == ((1, 0, 0), 1)
    case = Folder(small, image.case_id)
    (kept,) = [mark for mark in case.desk.report(case.id)[0].fields[0].nuclei if not mark.left_out]
    assert (kept.x_px, kept.y_px) == (10, 10)
    written = write_slide_geojson(small, case.desk, slide.id).content
    (area,) = [
        f for f in json.loads(written)["features"] if f["properties"].get("classification", {}).get("name") == "Ignore*"
    ]
    assert sorted(area["geometry"]["coordinates"][0][:-1]) == [[390, 205], [390, 215], [400, 205], [400, 215]]
    assert list_classes(small, image.id, written).on_slide is True
    own = write_geojson(case.desk, case.id, image.id, multipoint=False).content
    assert list_classes(small, image.id, own).on_slide is False
    plain = add_image(small, tmp_path)
    assert list_classes(small, plain, made).on_slide is None
    add_scoring(small, plain)
    with pytest.raises(InvalidAnnotations, match="not cut out of a slide"):
        import_annotations(small, plain, made, guesses, "Dr. A", on_slide=True)
