"""The page: what it holds, and that nothing a person can type or leave out breaks it."""

from __future__ import annotations

import io
import json
import unicodedata
from dataclasses import replace

import numpy as np
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nucleus_app.domain.rules import Rule
from nucleus_app.domain.sheet import FieldBox, Role
from nucleus_app.reports.case_report import CaseReport, PaintedArea, Reopening, Signature, SlidePlace, VersionOfNetwork
from nucleus_app.reports.coco import report_to_coco
from nucleus_app.reports.pdf import SMALLEST_PLACE_MM, place_on_overview, render_pdf
from nucleus_app.reports.printable import make_printable
from nucleus_app.reports.printed import print_case
from nucleus_app.reports.workbook import cases_to_xlsx
from tests.reports.making import (
    NET_SHEET,
    SIDE_PX,
    WHOLE,
    breast_report,
    grey_pixels,
    make_field,
    make_imported,
    make_nuclei,
    make_report,
    net_report,
)
from tests.reports.reading import read_pdf, read_table, read_xlsx

HOSTILE = (
    '#eval("1") $x$ *b* _i_ <l> @ref //c [x] \\u{41} #import "@preview/x:1"', "شيرين דוד (12) 中文 日本語 한국어 ไทย हिन्दी",
    "👩‍🔬🧬 ᚠᚢ 𒀀 \U000f0000 \x00\x07\u202e e\u0301\u0300 क\u0301", "W" * 120, "漢" * 120, "=cmd|' /C calc'!A0", "  ", "\u200d\u200d\ufe0f",
)  # fmt: skip


def net_with(name: str) -> CaseReport:
    """A case in which everything that a person can type is the same text."""
    report = net_report()
    sheet = replace(
        report.sheet, label=name, specimen=name, block=name, tumour_type=name, antibody=name, platform=name, scanner=name,
        comment=f"{name}\n\n{name}",
    )  # fmt: skip
    version = VersionOfNetwork(name, "ab" * 32, name, (0.1, 0.2, 0.3))
    field = replace(report.fields[0], name=name, image_label=name, mpp_source=name, version=version, warnings=(name,))
    return replace(
        report, sheet=sheet, fields=(field,), readers=(name,), warnings=(name,), signature=Signature(name, "2026-11-24T18:30:00Z"),
        reopened=Reopening(name, name, name),
    )  # fmt: skip


def test_regions_are_in_the_legend_where_there_are_such() -> None:
    report = net_report()
    ring = tuple(float(value) for value in (10, 10, 60, 10, 60, 60, 10, 60))
    image = report.fields[0].image_id
    for label, said in (("exclude", "excluded, not counted"), ("non-tumour", "non-tumour region, not counted")):
        painted = replace(report, painted=(PaintedArea(image, label, (ring,)), PaintedArea(image, "reviewed", (ring,))))
        assert all(said in page for page in read_pdf(render_pdf(painted, grey_pixels)))
    assert "not counted" in (plain := read_pdf(render_pdf(report, grey_pixels))[0])
    assert "excluded" not in plain


def test_a_signed_report_says_by_whom_when_and_of_which_hash() -> None:
    page = read_pdf(render_pdf(net_report(), grey_pixels, sha256="5e" * 32))[0]
    for said in (
        "SIGNED · Revision 2",
        "Signed in the app by Dr. Ada Reader, 2026-11-24 18:30 UTC.",
        "Revision 2. Reopened by Dr. Ben Second on 2026-11-23 09:05 UTC: One field was of another block.",
        "5e" * 32,
    ):
        assert said in page


def test_every_page_of_a_draft_says_that_it_is_not_signed() -> None:
    second = breast_report(3, signature=None)
    first = replace(second, revision=1, reopened=None)
    for report, badge in ((first, "DRAFT, not signed"), (second, "DRAFT of revision 2, not signed")):
        pages = read_pdf(render_pdf(report, grey_pixels))
        assert all(badge in page for page in pages)
        assert "SIGNED" not in pages[0]
        assert ("Reopened by Dr. Ben Second" in pages[0]) is (report is second)
        assert f"Revision {report.revision}." in pages[0]


def test_a_frozen_report_prints_the_rule_that_it_was_signed_with() -> None:
    old = Rule("NET of old", "G1 below 2 %, on the unrounded index.", (2.0, 30.0), "Ki67 hot-spot index")
    report = replace(net_report(kinds=(40, 960, 0)), rule=old)
    page = read_pdf(render_pdf(report, grey_pixels))[0]
    assert "PROTOCOL: NET OF OLD" in page
    assert "G1 below 2 %, on the unrounded index." in page
    assert [cut["at"] for cut in print_case(report, None)["score"]["axis"]["cutoffs"]] == [2.0]
    assert json.loads(report_to_coco(report))["info"]["protocol"] == "NET of old"
    assert read_table(read_xlsx(cases_to_xlsx([report]))["Cases"])[0]["protocol"] == "NET of old"


def test_under_a_hundred_tumour_nuclei_the_number_is_grey_and_the_page_says_why() -> None:
    def darkest(report: CaseReport) -> int:
        page = pypdfium2.PdfDocument(render_pdf(report, grey_pixels))[0]
        number = page.render(scale=2).to_pil().convert("L").crop((110, 330, 300, 390))
        return int(np.asarray(number).min())

    sparse, plain = net_report(kinds=(4, 70, 8)), net_report()
    assert darkest(plain) < 40 < 110 < darkest(sparse) < 160
    assert "Fewer than 100 tumour nuclei: no class." in read_pdf(render_pdf(sparse, grey_pixels))[0]


def test_imported_annotations_are_never_called_the_networks() -> None:
    report = net_report()
    report = replace(report, fields=(make_imported(report.fields[0]),))
    case, field = read_pdf(render_pdf(report, grey_pixels))
    assert f"Imported annotations QuPath import SHA-256 of the file {'cd' * 32}" in case
    for word in ("Version of the network", "thresholds", "of 530"):
        assert word not in case
    assert "Network alone –" in field
    assert "Nuclei imported annotations" in field
    assert "Cuts used" not in field


def test_page_one_holds_what_a_report_must_hold() -> None:
    report = net_report(kinds=(28, 1100, 80))
    page = read_pdf(render_pdf(report, grey_pixels))[0]
    for said in (
        "NET-2026-017", "Ileum, resection", "A3", "Neuroendocrine tumour", "MIB-1, 1:100", "Ventana Benchmark Ultra", "Aperio AT2, 20×",
        "NET HOT SPOT", "G1 below 3 %", "NET G1", "Wilson score", "Not settled.", report.score.advice, "Positivity rule:",
        "Paper (yellow, red, green)", "base-3", "ab" * 32, "0.5 µm/px (from the file)", "thresholds positive 0.31", "Signature, date",
    ):  # fmt: skip
        assert said in page


def test_a_case_without_fields_is_one_page_that_says_what_to_do() -> None:
    pages = read_pdf(render_pdf(make_report(NET_SHEET, [], None), grey_pixels))
    assert len(pages) == 1
    assert "No index This case has no field yet" in pages[0]


def test_a_field_without_tumour_nuclei_has_no_index() -> None:
    field = make_field(1, Role.FIELD, make_nuclei(np.random.default_rng(0), (0, 0, 12), WHOLE, touched=False))
    pages = read_pdf(render_pdf(make_report(NET_SHEET, [field]), grey_pixels))
    assert "No tumour nucleus was counted" in pages[0]
    assert "– – · 0 positive of 0 tumour" in pages[1]


def test_a_field_where_nothing_was_counted_says_so_and_claims_no_scale() -> None:
    field = make_field(1, Role.FIELD, None, mpp=None, mpp_source="", area_mm2=None)
    pages = read_pdf(render_pdf(make_report(NET_SHEET, [field], None), grey_pixels))
    assert "Nothing was counted" in pages[1]
    assert "No scale bar: µm/px unknown" in pages[1]


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_a_person_types_breaks_the_page(name: str) -> None:
    pages = read_pdf(render_pdf(net_with(name), grey_pixels))
    assert len(pages) <= 4
    assert all("For research use only." in page for page in pages)


def test_typst_code_in_a_name_is_printed_as_it_was_typed() -> None:
    assert '#eval("1") $x$ *b* _i_ <l> @ref //c [x]' in read_pdf(render_pdf(net_with(HOSTILE[0]), grey_pixels))[0]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_text_becomes_printable_and_keeps_what_can_be_shown(texts: list[str]) -> None:
    shown = make_printable(texts)
    assert set(shown) == set(texts)
    again = make_printable(shown.values())
    assert all(again[line].replace("\u200b", "") == line.replace("\u200b", "") for line in shown.values())
    for text, line in shown.items():
        assert all(unicodedata.category(c)[0] != "C" or c in "\n\u200b\u200d" for c in line)
        if text.isascii() and text.isprintable():
            assert line.replace("\u200b", "") == " ".join(text.split())


def test_what_no_font_shows_becomes_a_visible_sign() -> None:
    assert make_printable(["Ada ᚠ 中"]) == {"Ada ᚠ 中": "Ada \ufffd 中"}


def test_a_mark_without_a_letter_takes_no_space_with_it() -> None:
    assert make_printable(["force F \u20d7 of ≥ 30 %", "invasive, ER+ HER2−"]) == {
        "force F \u20d7 of ≥ 30 %": "force F \ufffd of ≥ 30 %",
        "invasive, ER+ HER2−": "invasive, ER+ HER2−",
    }


def test_a_hash_can_be_copied() -> None:
    text = "".join(
        page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(render_pdf(net_with(""), grey_pixels))
    )
    assert "ab" * 32 in text


def test_two_hundred_fields_have_a_page_each() -> None:
    pdf = pypdfium2.PdfDocument(render_pdf(breast_report(200), grey_pixels))
    assert 200 + 6 <= len(pdf) <= 200 + 22
    last = pdf[len(pdf) - 1].get_textpage().get_text_range()
    first = pdf[len(pdf) - 200].get_textpage().get_text_range()
    assert "field 200 of 200" in last
    assert "field 1 of 200" in first


def test_the_crop_of_a_field_is_what_its_page_shows() -> None:
    report = breast_report(3)
    pixels = np.full((SIDE_PX, SIDE_PX, 3), (40, 90, 200), np.uint8)
    pixels[8:72, 16:80] = (200, 60, 40)
    hot = replace(report.fields[-1], nuclei=())
    pdf = pypdfium2.PdfDocument(render_pdf(replace(report, fields=(hot,)), lambda _: pixels))
    page = pdf[len(pdf) - 1].render(scale=1).to_pil()
    colours = {page.getpixel((x, y)) for x in range(60, 530, 40) for y in range(100, 540, 40)}
    assert all(abs(r - 200) < 12 and abs(b - 40) < 12 for r, _, b in colours)


def test_a_box_is_drawn_on_a_small_picture_of_its_whole_image_and_a_whole_image_is_not() -> None:
    pixels = np.full((SIDE_PX, SIDE_PX, 3), (40, 90, 200), np.uint8)
    whole, corner = make_field(1, Role.HOT_SPOT, ()), FieldBox(71.5, 71.5, 95.5, 95.5)
    box = replace(whole, box=corner, is_whole_image=False)
    mm = 3 * 72 / 25.4
    for field, has_overview in ((whole, False), (box, True)):
        page = pypdfium2.PdfDocument(render_pdf(make_report(NET_SHEET, [field]), lambda _: pixels))[1]
        image = np.asarray(page.render(scale=3).to_pil().convert("RGB")).astype(int)
        facts = image[round(215 * mm) :]
        blue = (facts[..., 2] > 170) & (facts[..., 0] < 80)
        assert blue.any() is np.bool_(has_overview)
        if has_overview:
            rows, columns = np.flatnonzero(blue.any(1)), np.flatnonzero(blue.any(0))
            shown = facts[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert np.array(shown.shape[:2]) / mm == pytest.approx((30, 30), abs=0.8)
            dark = np.argwhere(shown.sum(2) < 120)
            assert dark.min(0) / shown.shape[:2] == pytest.approx((0.75, 0.75), abs=0.03)


@pytest.mark.parametrize("corner", [(0, 0), (49_990, 29_990), (25_000, 7)])
def test_a_tiny_field_is_seen_on_the_overview_of_a_whole_slide(corner: tuple[int, int]) -> None:
    x, y = corner
    box = FieldBox(x - 0.5, y - 0.5, x + 9.5, y + 9.5)
    field = make_field(1, Role.HOT_SPOT, (), box=box, is_whole_image=False, width_px=50_000, height_px=30_000)
    overview = place_on_overview(field, "overview.jpg")
    left, top, width, height = overview.place_mm
    assert (width, height) == (SMALLEST_PLACE_MM, SMALLEST_PLACE_MM)
    assert 0 <= left <= overview.width_mm - width
    assert 0 <= top <= overview.height_mm - height
    assert overview.width_mm <= 45


def test_a_field_of_a_slide_is_shown_on_that_slide_whole_image_or_not() -> None:
    drawn: list[str] = []

    def read(blob: str) -> NDArray[np.uint8]:
        drawn.append(blob)
        return np.full((300, 400, 3), 200, np.uint8) if blob == "slide" else grey_pixels(blob)

    whole = net_report().fields[0]
    fields = [replace(whole, id=n, slide=SlidePlace(3, 2000.0 * n, 900.0, 8000, 6000, "slide")) for n in (1, 2)]
    pages = read_pdf(render_pdf(make_report(NET_SHEET, fields), read))
    assert drawn.count("slide") == 1
    assert all("On the slide slide 3, x" in page for page in pages[-2:])
    overview = place_on_overview(fields[1], "s.jpg")
    assert (overview.title, overview.width_mm, overview.height_mm) == ("The slide", 40.0, 30.0)
    left, top, width, _ = overview.place_mm
    assert (left + width / 2, top) == pytest.approx((4048 * 40 / 8000, 900 * 30 / 6000), abs=1)
    old = replace(whole, slide=SlidePlace(3, 2000.0, 900.0))  # cut before there were such pictures
    assert render_pdf(make_report(NET_SHEET, [old]), read)


def test_the_file_claims_pdf_a_and_embeds_its_fonts() -> None:
    pdf = render_pdf(net_report(), grey_pixels)
    assert b"pdfaid" in pdf
    assert len(pdf) < 400_000
    assert pypdfium2.PdfDocument(io.BytesIO(pdf)).get_metadata_dict()["Title"] == "Ki67 report: NET-2026-017"


def test_a_field_that_the_protocol_does_not_count_is_told() -> None:
    hot, plain = net_report().fields[0], breast_report(2).fields[0]
    report = make_report(NET_SHEET, [hot, replace(plain, id=2, role=Role.FIELD)])
    text = pypdfium2.PdfDocument(render_pdf(report, grey_pixels))[0].get_textpage().get_text_range()
    assert text.count("not in the score") == 1
    assert "FIELDS COUNTED: 2 OF 2, 1 IN THE SCORE" in text
