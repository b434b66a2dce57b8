"""Files for other programs: safe to open, and the value itself goes to JSON and back."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.sheet import FieldBox, Role
from nucleus_app.reports.case_report import (
    CaseReport,
    NucleusMark,
    Reopening,
    Signature,
    json_to_report,
    report_to_json,
)
from nucleus_app.reports.coco import report_to_coco
from nucleus_app.reports.geojson import report_to_geojson
from nucleus_app.reports.printed import say_box
from nucleus_app.reports.tables import guard_cell, report_to_fields_csv, report_to_nuclei_csv
from nucleus_app.reports.workbook import cases_to_xlsx, report_to_xlsx
from tests.reports.making import (
    NET_SHEET,
    REOPENED,
    SIGNATURE,
    breast_report,
    make_field,
    make_imported,
    make_report,
    net_report,
)
from tests.reports.reading import read_csv, read_table, read_xlsx

FINITE = st.floats(0, 1e6, allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUCLEI = st.lists(
    st.builds(
        NucleusMark, st.integers(0, 10**6) | TEXT, FINITE, FINITE, st.integers(0, 2), st.floats(0, 1), st.none() | st.floats(0, 1),
        st.sampled_from(["network", "imported", "edited", "placed"]), st.booleans(),
    ),
    max_size=4,
)  # fmt: skip


TWO_FIELDS = breast_report(2)


def named(name: str) -> CaseReport:
    report = net_report(kinds=(1, 2, 1))
    return replace(report, fields=(replace(report.fields[0], name=name, image_label=name),), readers=(name,))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://x")', "＝1"])
def test_no_text_is_a_formula_to_a_spreadsheet(name: str) -> None:
    assert guard_cell(name) == f"'{name}"
    for row in read_csv(report_to_fields_csv(named(name))):
        assert (row["name"], row["image_label"]) == (f"'{name}", f"'{name}")
    assert {row["field_name"] for row in read_csv(report_to_nuclei_csv(named(name)))} == {f"'{name}"}


def test_a_negative_number_stays_a_number() -> None:
    assert guard_cell(-1.5) == -1.5
    report = breast_report(2)
    field = replace(report.fields[0], box=FieldBox(-2.5, 0, 10, 10))
    assert read_csv(report_to_fields_csv(replace(report, fields=(field,))))[0]["left_px"] == "-2.5"


@pytest.mark.parametrize("name", ["=1+1", "http://example.org", "007", "mailto:a@b", "\x01bell", "x" * 40_000])
def test_a_text_in_a_workbook_is_a_text(name: str) -> None:
    report = net_report(kinds=(1, 1, 1))
    report = replace(report, fields=(replace(report.fields[0], image_label=name),))
    said = read_table(read_xlsx(report_to_xlsx(report))["Fields"])[0]["image_label"]
    assert isinstance(said, str)
    assert said.replace("_x0001_", "\x01") == name[:32_000]


def test_a_workbook_of_a_huge_case_has_no_sheet_of_nuclei(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucleus_app.reports.workbook.MAX_NUCLEI", 10)
    assert list(read_xlsx(report_to_xlsx(net_report()))) == ["Case", "Fields"]


def test_a_case_without_fields_has_every_format() -> None:
    empty = make_report(NET_SHEET, [], None)
    assert read_csv(report_to_fields_csv(empty)) == read_csv(report_to_nuclei_csv(empty)) == []
    assert read_table(read_xlsx(report_to_xlsx(empty))["Fields"]) == []
    assert json.loads(report_to_coco(empty))["annotations"] == []
    with pytest.raises(KeyError):
        report_to_geojson(empty, 1)


def test_a_field_that_was_not_counted_has_empty_cells_not_zeros() -> None:
    report = make_report(NET_SHEET, [make_field(1, Role.FIELD, None, mpp=None, area_mm2=None)], None)
    row = read_csv(report_to_fields_csv(report))[0]
    assert [row[c] for c in ("positive", "tumour", "index_percent", "area_mm2", "mpp")] == [""] * 5


def test_qupath_gets_annotations_with_uuids_classes_with_colours_and_corners_as_origin() -> None:
    report = net_report()
    features = json.loads(report_to_geojson(report, report.fields[0].image_id))["features"]
    box, nuclei = features[0], features[1:]
    assert box["properties"]["objectType"] == "annotation"
    assert box["geometry"]["coordinates"][0][0] == box["geometry"]["coordinates"][0][-1] == [0, 0]
    for feature in nuclei:
        assert feature["properties"]["objectType"] == "annotation"
        assert len(feature["properties"]["classification"]["color"]) == 3
    assert len({uuid.UUID(feature["id"]) for feature in features}) == len(features)
    by_id = {n.id: n for n in report.fields[0].nuclei}
    first = nuclei[0]
    nucleus = by_id[int(first["properties"]["metadata"]["nucleus"])]
    assert first["geometry"]["coordinates"] == pytest.approx([nucleus.x_px + 0.5, nucleus.y_px + 0.5])


@pytest.mark.parametrize(
    ("box", "ring"),
    [
        (FieldBox(-0.5, -0.5, 999.5, 799.5), [[0, 0], [1000, 0], [1000, 800], [0, 800], [0, 0]]),
        (FieldBox(99.5, 49.5, 599.5, 449.5), [[100, 50], [600, 50], [600, 450], [100, 450], [100, 50]]),
        (FieldBox(10, 20.2, 30, 40.7), [[10.5, 20.7], [30.5, 20.7], [30.5, 41.2], [10.5, 41.2], [10.5, 20.7]]),
    ],
)
def test_qupath_gets_a_field_where_the_report_says_that_it_lies(box: FieldBox, ring: list[list[float]]) -> None:
    field = make_field(1, Role.HOT_SPOT, (), box=box, width_px=1000, height_px=800)
    feature = json.loads(report_to_geojson(make_report(NET_SHEET, [field]), field.image_id))["features"][0]
    (drawn,) = feature["geometry"]["coordinates"]
    assert drawn == ring
    (left, top), (right, bottom) = drawn[0], drawn[2]
    assert say_box(box) == f"x {left:g}, y {top:g}, {right - left:g} × {bottom - top:g} px"


def test_imported_annotations_have_no_numbers_of_the_network() -> None:
    report = net_report()
    report = replace(report, fields=(make_imported(report.fields[0]),))
    field = read_csv(report_to_fields_csv(report))[0]
    assert (field["nuclei_from"], field["version"], field["version_sha256"]) == ("imported", "QuPath import", "cd" * 32)
    assert {field[column] for column in field if column.startswith(("network_", "cut_"))} == {""}
    nuclei = read_csv(report_to_nuclei_csv(report))
    assert {row["origin"] for row in nuclei} == {"imported", "edited", "placed"}
    assert {row["score"] + row["confidence"] for row in nuclei} == {""}
    cells = read_table(read_xlsx(report_to_xlsx(report))["Nuclei"])
    assert {cell["score"] for cell in cells} == {None}
    assert all("score" not in annotation for annotation in json.loads(report_to_coco(report))["annotations"])
    features = json.loads(report_to_geojson(report, report.fields[0].image_id))["features"]
    assert all("measurements" not in feature["properties"] for feature in features)


def test_the_list_of_cases_says_which_revision_and_why_it_was_reopened() -> None:
    for signature, state in ((None, "draft, not signed"), (SIGNATURE, "signed")):
        row = read_table(read_xlsx(cases_to_xlsx([net_report(signature)]))["Cases"])[0]
        assert (row["state"], row["revision"]) == (state, 2)
        assert (row["reopened_by"], row["reopened_at"]) == (REOPENED.reader, REOPENED.at)
        assert row["reopened_because"] == REOPENED.reason


def test_a_nucleus_in_two_fields_of_an_image_is_exported_once() -> None:
    report = net_report()
    twice = replace(report, fields=(report.fields[0], replace(report.fields[0], id=2)))
    once = json.loads(report_to_coco(report))["annotations"]
    assert json.loads(report_to_coco(twice))["annotations"] == once
    points = [f for f in json.loads(report_to_geojson(twice, report.fields[0].image_id))["features"] if "id" in f]
    assert len(points) == len(once) + 2


def test_coco_has_one_visible_keypoint_in_a_tiny_box() -> None:
    annotation = json.loads(report_to_coco(net_report()))["annotations"][0]
    x, y, visible = annotation["keypoints"]
    assert (visible, annotation["num_keypoints"]) == (2, 1)
    assert annotation["bbox"] == pytest.approx([x - 1, y - 1, 2, 2])


@given(
    TEXT,
    NUCLEI,
    st.none() | st.builds(Signature, TEXT, TEXT),
    st.none() | st.builds(Reopening, TEXT, TEXT, TEXT),
    st.none() | FINITE,
)
def test_a_report_goes_to_json_and_back_unchanged(
    name: str, nuclei: list[NucleusMark], signature: Signature | None, reopened: Reopening | None, mpp: float | None
) -> None:
    report = replace(TWO_FIELDS, signature=signature, reopened=reopened)
    fields = tuple(replace(f, name=name, nuclei=tuple(nuclei), mpp=mpp) for f in report.fields)
    report = replace(report, fields=fields, readers=(name,), warnings=(name,))
    frozen = report_to_json(report)
    assert json_to_report(frozen) == report
    assert report_to_json(json_to_report(frozen)) == frozen
