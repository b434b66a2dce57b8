"""Cut-offs, classes and targets of each protocol, as sentences that the page and the report print. docs/protocols.md has the sources."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.sheet import CATEGORIES, CaseSheet, Protocol, Role, Shares

TARGET_PER_FIELD = 100
"""Tumour nuclei in each field of a global score."""
NET_CUTOFFS = (3.0, 20.0)
BREAST_CUTOFFS = (5.0, 30.0)
MITOTIC_CUTOFFS = (2.0, 20.0)
HPF_MM2 = 0.2
"""A high-power field: ten of them are the 2 mm² of the mitotic count."""
FIELDS = 4
DIFFERENCE_FOR_THREE_TO_ONE = 25.0

GRADES = ("G1", "G2", "G3")
LUNG, METASTASIS = ("lung", "pulmo", "bronch"), "metasta"
NO_GRADE_OF_LUNG = "The tumour type names the lung, whose neuroendocrine tumours are not graded by Ki67: the number is reported, no grade."


@dataclass(frozen=True, slots=True)
class Rule:
    """A protocol in words, and its cut-offs in percent."""

    title: str
    text: str
    cutoffs: tuple[float, ...]
    score: str
    """Name of the number it reports."""


RULES = {
    Protocol.INDEX_ONLY: Rule(
        "Index only",
        "Positive tumour nuclei of all tumour nuclei, over all fields together. No class.",
        (),
        "Ki67 labelling index",
    ),
    Protocol.NET_HOT_SPOT: Rule(
        "NET hot spot",
        "Neuroendocrine tumour of the digestive tract (WHO): at least 500 tumour nuclei where labelling is highest. "
        "G1 below 3 %, G2 from 3 to 20 %, G3 above 20 %, on the unrounded index; the higher of Ki67 and mitotic grade decides.",
        NET_CUTOFFS,
        "Ki67 hot-spot index",
    ),
    Protocol.BREAST_GLOBAL: Rule(
        "Breast global, unweighted",
        "International Ki67 Working Group: 100 invasive tumour nuclei in each of four fields chosen by the share of each "
        "category; positive of all counted. At most 5 % and at least 30 % are usable (ER+ HER2−, T1-2 N0-1); between them the "
        "number is reported without a class.",
        BREAST_CUTOFFS,
        "Unweighted global score",
    ),
    Protocol.BREAST_WEIGHTED: Rule(
        "Breast global, weighted",
        "International Ki67 Working Group: the proportion of each category, weighted by its share of the invasive tumour area. "
        "At most 5 % and at least 30 % are usable (ER+ HER2−, T1-2 N0-1); between them the number is reported without a class.",
        BREAST_CUTOFFS,
        "Weighted global score",
    ),
    Protocol.BREAST_HOT_SPOT: Rule(
        "Breast hot spot",
        "One high-power field with the highest share of positive nuclei, 500 invasive tumour nuclei. At most 5 % and at least "
        "30 % are usable (ER+ HER2−, T1-2 N0-1); between them the number is reported without a class.",
        BREAST_CUTOFFS,
        "Ki67 hot-spot score",
    ),
}  # fmt: skip


def allocate_fields(shares: Shares) -> dict[Role, int]:
    """How many fields to count in each category, by the International Ki67 Working Group (npj Breast Cancer 2016;2:16014).

    Empty until the shares sum to 100.
    """
    if not shares.is_whole:
        return {}
    present = sorted((c for c in CATEGORIES if shares.of(c) > 0), key=shares.of, reverse=True)
    largest, n = present[0], len(present)
    if n == 1:
        return {largest: FIELDS}
    if n == 2:
        if shares.of(largest) - shares.of(present[1]) >= DIFFERENCE_FOR_THREE_TO_ONE:
            return {largest: 3, present[1]: 1}
        return dict.fromkeys(present, 2)
    allotted = dict.fromkeys(present, 1)
    if n == 3 and len({shares.of(c) for c in present}) == 3:
        allotted[largest] = 2
    return allotted


def grade_by_counts(counts: Counts) -> int:
    """WHO grade 1 to 3 of a neuroendocrine tumour by Ki67, on exact counts: 2.96 % is G1, 3 % and 20 % are G2."""
    low, high = map(int, NET_CUTOFFS)
    if 100 * counts.positive < low * counts.tumour:
        return 1
    return 2 if 100 * counts.positive <= high * counts.tumour else 3


def grade_by_mitoses(mitoses_per_2mm2: float) -> int:
    """WHO grade 1 to 3 by mitoses per 2 mm²: under 2, 2 to 20, over 20."""
    if mitoses_per_2mm2 < MITOTIC_CUTOFFS[0]:
        return 1
    return 2 if mitoses_per_2mm2 <= MITOTIC_CUTOFFS[1] else 3


def name_class(sheet: CaseSheet, counts: Counts, percent: float) -> tuple[str | None, str]:
    """Class of an index under the sheet's protocol, short (None for none), and the sentence that says how it came about."""
    if sheet.protocol is Protocol.NET_HOT_SPOT:
        return (None, NO_GRADE_OF_LUNG) if _is_of_lung(sheet) else _grade(sheet, grade_by_counts(counts))
    if sheet.protocol is Protocol.INDEX_ONLY:
        return None, "This protocol gives no class."
    low, high = BREAST_CUTOFFS
    if percent <= low:
        return "≤ 5 %", "At most 5 %: usable as low (ER+ HER2−, T1-2 N0-1; International Ki67 Working Group)."
    if percent >= high:
        return "≥ 30 %", "At least 30 %: usable as high (ER+ HER2−, T1-2 N0-1; International Ki67 Working Group)."
    return None, "Between 5 and 30 %: the number is reported, no class."


def list_deciding_cutoffs(sheet: CaseSheet) -> tuple[float, ...]:
    """Cut-offs in percent at which the class changes: none that mitoses or differentiation have settled already."""
    cutoffs = RULES[sheet.protocol].cutoffs
    if sheet.protocol is not Protocol.NET_HOT_SPOT:
        return cutoffs
    if sheet.well_differentiated is False or _is_of_lung(sheet):
        return ()
    if sheet.well_differentiated is None or sheet.mitoses_per_2mm2 is None:
        return cutoffs
    return cutoffs[max(0, grade_by_mitoses(sheet.mitoses_per_2mm2) - 1) :]


def _is_of_lung(sheet: CaseSheet) -> bool:
    tumour = sheet.tumour_type.lower()
    return any(word in tumour for word in LUNG) and METASTASIS not in tumour


def _grade(sheet: CaseSheet, by_ki67: int) -> tuple[str | None, str]:
    """Ki67 alone until differentiation and mitoses are given; then the higher of the two."""
    if sheet.well_differentiated is False:
        return (
            None,
            "Not well differentiated: a neuroendocrine carcinoma is high grade by definition and not graded by Ki67.",
        )
    ki67 = GRADES[by_ki67 - 1]
    missing = [
        name
        for name, value in (("differentiation", sheet.well_differentiated), ("mitotic count", sheet.mitoses_per_2mm2))
        if value is None
    ]
    if sheet.well_differentiated is None or sheet.mitoses_per_2mm2 is None:
        return f"Ki67-based {ki67}", f"Ki67-based grade: {ki67}. Not given: {' and '.join(missing)}."
    by_mitoses = grade_by_mitoses(sheet.mitoses_per_2mm2)
    per_2mm2 = sheet.mitoses_per_2mm2
    mitoses = (
        f"{per_2mm2:g} {'mitosis' if per_2mm2 == 1 else 'mitoses'} per 2 mm² {'gives' if per_2mm2 == 1 else 'give'}"
    )
    grade = GRADES[max(by_ki67, by_mitoses) - 1]
    return (
        f"NET {grade}",
        f"WHO grade: NET {grade}. Ki67 gives {ki67}, {mitoses} {GRADES[by_mitoses - 1]}; the higher decides.",
    )


def show_percent(percent: float, cutoffs: tuple[float, ...] = ()) -> str:
    """One decimal, or two where one would put the number on the other side of a cut-off: 2.96 stays 2.96. One of sixteen,
    6.25 %, is shown as 6.3.
    """
    for decimals in range(1, 16):
        shown = Decimal(percent).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)  # as toFixed on the page
        if all((percent < c) == (shown < c) and (percent > c) == (shown > c) for c in cutoffs):
            return str(shown)
    return repr(percent)
