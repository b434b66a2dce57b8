"""Every format says the same."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.rules import show_percent
from nucleus_app.reports.case_report import CaseReport, FieldReport, report_to_json
from nucleus_app.reports.coco import report_to_coco
from nucleus_app.reports.geojson import report_to_geojson
from nucleus_app.reports.pdf import render_pdf
from nucleus_app.reports.tables import report_to_fields_csv, report_to_nuclei_csv
from nucleus_app.reports.workbook import cases_to_xlsx, report_to_xlsx
from tests.reports.making import breast_report, grey_pixels, net_report
from tests.reports.reading import read_csv, read_pdf, read_table, read_xlsx

REPORTS = {"NET": net_report(), "breast": breast_report(10)}
CLASS_OF = {"Tumor: Positive": "positive", "Tumor: Negative": "negative", "Other": "other"}


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> CaseReport:
    return REPORTS[request.param]


def counts_of(field: FieldReport) -> dict[str, int]:
    tallies = field.tallies
    assert tallies
    return {"positive": tallies.positive, "negative": tallies.negative, "other": tallies.other}


def test_the_pdf_shows_every_number_of_the_case_and_of_each_field(report: CaseReport) -> None:
    pages = read_pdf(render_pdf(report, grey_pixels, sha256="5e" * 32))
    primary, cutoffs = report.score.primary, report.rule.cutoffs
    assert primary
    case = " ".join(pages[: -len(report.fields)])
    assert f"{primary.shown} %" in pages[0]
    assert f"{primary.positive:,} positive of {primary.tumour:,} tumour nuclei" in pages[0]
    assert f"{show_percent(primary.low_percent, cutoffs)} – {show_percent(primary.high_percent, cutoffs)} %" in pages[0]
    for score in report.score.others:
        assert f"{score.name} {score.shown} %" in case
    for field, page in zip(report.fields, pages[-len(report.fields) :], strict=True):
        tallies = field.tallies
        assert tallies
        assert field.percent is not None
        assert field.network
        row = (
            f"{tallies.positive:,} {tallies.tumour:,} {show_percent(field.percent, cutoffs)} % "
            f"{show_percent(field.low_percent or 0, cutoffs)} – {show_percent(field.high_percent or 0, cutoffs)} % "
            f"{field.network[0]:,} of {field.network[0] + field.network[1]:,} {tallies.edited}, {tallies.placed} {field.area_mm2:.3f} mm²"
        )
        assert row in case
        assert f"{tallies.positive:,} positive of {tallies.tumour:,} tumour" in page
        assert f"Left out {tallies.left_out}" in page
        assert field.image_sha256 in page


def test_fields_csv_says_what_the_report_says(report: CaseReport) -> None:
    for row, field in zip(read_csv(report_to_fields_csv(report)), report.fields, strict=True):
        assert {kind: int(row[kind]) for kind in ("positive", "negative", "other")} == counts_of(field)
        assert (float(row["index_percent"]), float(row["low_percent"])) == (field.percent, field.low_percent)
        assert tuple(int(row[f"network_{kind}"]) for kind in ("positive", "negative", "other")) == field.network
        assert tuple(float(row[edge]) for edge in ("left_px", "top_px", "right_px", "bottom_px")) == field.box


def test_nuclei_csv_counts_to_the_same(report: CaseReport) -> None:
    rows = read_csv(report_to_nuclei_csv(report))
    for n, field in enumerate(report.fields, 1):
        counted = Counter(row["class_name"] for row in rows if row["field"] == str(n) and row["left_out"] == "0")
        assert {kind.slug: counted[kind.slug] for kind in NucleusClass} == counts_of(field)
    assert float(rows[0]["x_um"]) == pytest.approx(float(rows[0]["x_px"]) / 2, abs=0.006)


def test_the_workbook_says_what_the_csv_files_say(report: CaseReport) -> None:
    sheets = read_xlsx(report_to_xlsx(report))
    assert list(sheets) == ["Case", "Fields", "Nuclei"]
    for cells, row in zip(read_table(sheets["Fields"]), read_csv(report_to_fields_csv(report)), strict=True):
        for title, cell in cells.items():
            if isinstance(cell, float):
                assert cell == pytest.approx(float(row[str(title)]), rel=1e-14)
            else:
                assert (cell or "") == row[str(title)]
    assert len(read_table(sheets["Nuclei"])) == sum(len(field.nuclei) for field in report.fields)
    case = {row[0]: row[1] for row in sheets["Case"] if len(row) > 1}
    assert report.score.primary
    assert case["index_percent"] == pytest.approx(report.score.primary.percent, rel=1e-14)
    assert case["positive"] == report.score.primary.positive


def test_the_list_of_cases_has_one_row_a_case() -> None:
    rows = read_table(read_xlsx(cases_to_xlsx(REPORTS.values()))["Cases"])
    assert [row["label"] for row in rows] == ["NET-2026-017", "B-2026-0412"]
    assert [row["index_shown"] for row in rows] == [r.score.primary.shown for r in REPORTS.values() if r.score.primary]


@pytest.mark.parametrize("multipoint", [False, True])
def test_geojson_and_coco_count_to_the_same(report: CaseReport, multipoint: bool) -> None:
    coco = json.loads(report_to_coco(report))
    names = {category["id"]: category["name"] for category in coco["categories"]}
    for field in report.fields:
        counted: Counter[str] = Counter()
        for feature in json.loads(report_to_geojson(report, field.image_id, multipoint))["features"]:
            if "classification" in feature["properties"]:
                said = feature["properties"]["classification"]
                points = feature["geometry"]["coordinates"] if multipoint else [feature["geometry"]["coordinates"]]
                counted[CLASS_OF[said.get("name") or ": ".join(said["names"])]] += len(points)
        assert dict(counted) == counts_of(field)
        annotated = Counter(names[a["category_id"]] for a in coco["annotations"] if a["image_id"] == field.image_id)
        assert dict(annotated) == counts_of(field)


def test_json_holds_every_count(report: CaseReport) -> None:
    said = json.loads(report_to_json(report))
    assert [field["tallies"]["positive"] for field in said["fields"]] == [
        counts_of(f)["positive"] for f in report.fields
    ]


def test_every_format_carries_the_research_use_line(report: CaseReport) -> None:
    image = report.fields[0].image_id
    assert all(RESEARCH_USE_ONLY in page for page in read_pdf(render_pdf(report, grey_pixels)))
    assert RESEARCH_USE_ONLY in report_to_fields_csv(report).splitlines()[0]
    assert RESEARCH_USE_ONLY in report_to_nuclei_csv(report).splitlines()[0]
    assert all(rows[0][0] == RESEARCH_USE_ONLY for rows in read_xlsx(report_to_xlsx(report)).values())
    for text in (report_to_geojson(report, image), report_to_coco(report), report_to_json(report).decode()):
        assert RESEARCH_USE_ONLY in text


def test_the_same_report_is_the_same_bytes(report: CaseReport) -> None:
    assert render_pdf(report, grey_pixels) == render_pdf(report, grey_pixels)
    assert report_to_xlsx(report) == report_to_xlsx(report)
    assert report_to_geojson(report, report.fields[0].image_id) == report_to_geojson(report, report.fields[0].image_id)
