"""Case reports without a database: synthetic nuclei in fields, scored by the real protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.index import find_labelling_index
from nucleus_app.domain.nuclei import Counts, NucleusClass
from nucleus_app.domain.protocols import CountedField, score_case
from nucleus_app.domain.rules import RULES
from nucleus_app.domain.sheet import CaseSheet, FieldBox, FieldPlan, Protocol, Role, Shares
from nucleus_app.reports.case_report import (
    FORMAT,
    CaseReport,
    FieldReport,
    NucleusMark,
    Reopening,
    Signature,
    Tallies,
    VersionOfNetwork,
)

VERSION = VersionOfNetwork("base-3", "ab" * 32, "0.3.0", (0.31, 0.29, 0.4))
IMPORTED = VersionOfNetwork("QuPath import", "cd" * 32, "0.3.0", ())
SIGNATURE = Signature("Dr. Ada Reader", "2026-11-24T18:30:00+00:00")
REOPENED = Reopening("Dr. Ben Second", "2026-11-23T09:05:00+00:00", "One field was of another block.")
SIDE_PX = 96
WHOLE = FieldBox(-0.5, -0.5, SIDE_PX - 0.5, SIDE_PX - 0.5)
"""All of an image of SIDE_PX, as the app makes it: pixel centres lie at integers."""
CATEGORY_CYCLE = (Role.NEGLIGIBLE, Role.LOW, Role.MEDIUM, Role.HIGH)
Kinds = tuple[int, int, int]


def make_nuclei(rng: np.random.Generator, kinds: Kinds, box: FieldBox, touched: bool = True) -> tuple[NucleusMark, ...]:
    """So many of each class within the box; every 20th edited, 25th placed, 30th left out where touched."""
    marks = []
    for kind, n in enumerate(kinds):
        for _ in range(n):
            i = len(marks) + 1
            origin = "network" if not touched else "placed" if i % 25 == 0 else "edited" if i % 20 == 0 else "network"
            x, y = rng.uniform((box.left, box.top), (box.right, box.bottom))
            score = float(round(rng.uniform(0.3, 1), 4))
            confidence = None if origin != "network" or kind == 2 else float(round(rng.uniform(0.5, 1), 4))
            marks.append(
                NucleusMark(i, round(x, 2), round(y, 2), kind, score, confidence, origin, touched and i % 30 == 0)
            )
    return tuple(marks)


def tally(nuclei: Sequence[NucleusMark]) -> Tallies:
    counted = [sum(m.kind == kind and not m.left_out for m in nuclei) for kind in NucleusClass]
    return Tallies(
        *counted,
        left_out=sum(m.left_out for m in nuclei),
        edited=sum(m.origin == "edited" for m in nuclei),
        placed=sum(m.origin == "placed" for m in nuclei),
    )


def make_field(id_: int, role: Role, nuclei: tuple[NucleusMark, ...] | None, **changes: object) -> FieldReport:
    tallies = None if nuclei is None else tally(nuclei)
    index = find_labelling_index(Counts(tallies.positive, tallies.negative, tallies.other)) if tallies else None
    field = FieldReport(
        id=id_, name=f"Field {id_}", role=role, image_id=10 + id_, image_label=f"Slide {id_}", image_sha256=f"{id_:02x}" * 32,
        blob=f"blob-{id_}", width_px=SIDE_PX, height_px=SIDE_PX, is_whole_image=True, box=WHOLE,
        mpp=0.5, mpp_source="from the file", area_mm2=0.00230, tallies=tallies,
        network=None if tallies is None else (tallies.positive + 1, tallies.negative + 2, tallies.other), is_imported=False,
        percent=index.percent if index else None, low_percent=index.low_percent if index else None,
        high_percent=index.high_percent if index else None, cuts=(0.31, 0.29, 0.4) if tallies else (),
        version=VERSION if tallies else None, nuclei=nuclei or (), warnings=(),
    )  # fmt: skip
    return replace(field, **changes)


def make_report(sheet: CaseSheet, fields: Sequence[FieldReport], signature: Signature | None = SIGNATURE) -> CaseReport:
    """The report of fields under a sheet, scored as the app scores; the sheet's own fields follow from them. It is revision 2."""
    planned = tuple(FieldPlan(f.id, f.image_id, f.name, f.role, None if f.is_whole_image else f.box) for f in fields)
    sheet = replace(sheet, fields=planned)
    counted = [
        CountedField(f.name, f.role, Counts(f.tallies.positive, f.tallies.negative, f.tallies.other) if f.tallies else None, f.area_mm2)
        for f in fields
    ]  # fmt: skip
    score = score_case(sheet, counted)
    return CaseReport(
        format=FORMAT, case_id=7, revision=2, reopened=REOPENED, sheet=sheet, rule=RULES[sheet.protocol], score=score, fields=tuple(fields), warnings=score.warnings, edits=41,
        readers=("Dr. Ada Reader", "Dr. Ben Second"), app_version="0.3.0", made="2026-11-24T18:00:00+00:00", signature=signature,
    )  # fmt: skip


NET_SHEET = CaseSheet(
    label="NET-2026-017", specimen="Ileum, resection", block="A3", tumour_type="Neuroendocrine tumour", antibody="MIB-1, 1:100",
    platform="Ventana Benchmark Ultra", scanner="Aperio AT2, 20×", protocol=Protocol.NET_HOT_SPOT, well_differentiated=True,
    mitoses_per_2mm2=1.0,
)  # fmt: skip
BREAST_SHEET = CaseSheet(
    label="B-2026-0412", specimen="Left breast, core biopsy", block="1B", tumour_type="Invasive carcinoma NST, ER+ HER2−",
    antibody="MIB-1", platform="Dako Omnis", scanner="NanoZoomer S360, 20×", protocol=Protocol.BREAST_WEIGHTED,
    shares=Shares(10, 25, 40, 25), comment="Core biopsy; crush artefact at one end was left out.",
)  # fmt: skip


def make_imported(field: FieldReport) -> FieldReport:
    """The field as it would be had its nuclei come from QuPath: what persons did to them stays."""
    nuclei = tuple(
        n._replace(origin="imported" if n.origin == "network" else n.origin, score=1.0, confidence=None) for n in field.nuclei
    )  # fmt: skip
    return replace(field, nuclei=nuclei, network=None, is_imported=True, cuts=(0.5, 0.5, 0.5), version=IMPORTED)


def net_report(signature: Signature | None = SIGNATURE, kinds: Kinds = (20, 520, 80)) -> CaseReport:
    nuclei = make_nuclei(np.random.default_rng(1), kinds, WHOLE)
    return make_report(NET_SHEET, [make_field(1, Role.HOT_SPOT, nuclei)], signature)


def breast_report(n: int = 10, signature: Signature | None = SIGNATURE) -> CaseReport:
    """n fields by turns of each category, the last one a hot spot in a corner of its image."""
    rng, fields = np.random.default_rng(2), []
    for i in range(1, n):
        role = CATEGORY_CYCLE[i % 4]
        share = (0.01, 0.08, 0.2, 0.45)[i % 4]
        positive = int(120 * share)
        nuclei = make_nuclei(rng, (positive, 120 - positive, 15), WHOLE)
        fields.append(make_field(i, role, nuclei))
    corner = FieldBox(16, 8, 80, 72)
    hot = make_nuclei(rng, (60, 50, 9), corner)
    fields.append(make_field(n, Role.HOT_SPOT, hot, box=corner, is_whole_image=False))
    return make_report(BREAST_SHEET, fields, signature)


def grey_pixels(blob: str) -> NDArray[np.uint8]:
    """A plain picture of SIDE_PX, another shade for each blob."""
    return np.full((SIDE_PX, SIDE_PX, 3), 120 + hash_of(blob) % 100, np.uint8)


def hash_of(text: str) -> int:
    return sum(map(ord, text))
