"""Reports that were signed long ago stay readable."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nucleus_app.reports.case_report import CaseReport, json_to_report, report_to_json
from nucleus_app.reports.pdf import render_pdf
from tests.reports.making import grey_pixels
from tests.reports.reading import read_pdf

FROZEN = {"frozen-1.json": "d11c3de2a284abd1275edd7342bfdb423ac96753dadf81942365965b652ede75"}
"""File → its SHA-256. Each file is a signed report as one release froze it, and must never be changed: such reports lie in
databases under their hash, and must stay readable. If a test fails, mend the reader. A new format adds another file.
"""


def read_frozen(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


@pytest.fixture(params=FROZEN)
def frozen(request: pytest.FixtureRequest) -> bytes:
    return read_frozen(request.param)


def test_no_frozen_file_was_changed() -> None:
    assert {name: hashlib.sha256(read_frozen(name)).hexdigest() for name in FROZEN} == FROZEN


def test_a_frozen_report_is_read_and_written_back_to_the_same_bytes(frozen: bytes) -> None:
    """Its hash is what was signed, so a byte more would be another report."""
    assert report_to_json(json_to_report(frozen)) == frozen


def test_a_frozen_report_is_printed_with_the_numbers_that_were_signed(frozen: bytes) -> None:
    report: CaseReport = json_to_report(frozen)
    assert report.signature
    assert report.score.primary
    page = read_pdf(render_pdf(report, grey_pixels, sha256=hashlib.sha256(frozen).hexdigest()))[0]
    assert f"SIGNED · Revision {report.revision}" in page
    assert f"{report.score.primary.shown} %" in page
    assert hashlib.sha256(frozen).hexdigest() in page


def test_the_first_format_holds_what_a_signed_case_can_hold() -> None:
    report = json_to_report(read_frozen("frozen-1.json"))
    assert (report.format, report.revision, report.score.primary and report.score.primary.shown) == (1, 2, "35.0")
    assert report.reopened
    assert [(field.is_whole_image, field.is_imported) for field in report.fields] == [(False, False), (True, True)]
    assert {nucleus.origin for field in report.fields for nucleus in field.nuclei} == {
        "network",
        "imported",
        "edited",
        "placed",
    }
