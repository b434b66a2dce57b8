"""The page: what it holds, and that nothing a person can type or leave out breaks it."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import replace

import numpy as np
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_app.domain.sheet import FieldBox, Role
from nucleus_app.reports.case_report import CaseReport, Signature, VersionOfNetwork
from nucleus_app.reports.pdf import render_pdf
from nucleus_app.reports.printable import make_printable
from tests.reports.making import (
    NET_SHEET,
    SIDE_PX,
    breast_report,
    grey_pixels,
    make_field,
    make_nuclei,
    make_report,
    net_report,
)
from tests.reports.reading import read_pdf

WHOLE = FieldBox(0, 0, SIDE_PX, SIDE_PX)
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
        report, sheet=sheet, fields=(field,), readers=(name,), warnings=(name,), signature=Signature(1, name, "2026-11-24T18:30:00Z", name)
    )  # fmt: skip


def test_a_signed_report_says_by_whom_when_and_of_which_hash() -> None:
    page = read_pdf(render_pdf(net_report(), grey_pixels, sha256="5e" * 32))[0]
    for said in (
        "SIGNED revision 2",
        "Dr. Ada Reader",
        "2026-11-24 18:30 UTC",
        "One field was of another block.",
        "5e" * 32,
    ):
        assert said in page


def test_every_page_of_a_draft_says_that_it_is_not_signed() -> None:
    pages = read_pdf(render_pdf(breast_report(3, signature=None), grey_pixels))
    assert all("DRAFT not signed" in page for page in pages)
    assert "SIGNED" not in pages[0]


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


def test_the_file_claims_pdf_a_and_embeds_its_fonts() -> None:
    pdf = render_pdf(net_report(), grey_pixels)
    assert b"pdfaid" in pdf
    assert len(pdf) < 400_000
    assert pypdfium2.PdfDocument(io.BytesIO(pdf)).get_metadata_dict()["Title"] == "Ki67 report: NET-2026-017"
