"""What keeps a case from being scored as its protocol asks. Sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI
from nucleus_app.domain.rules import HPF_MM2, TARGET_PER_FIELD, allocate_fields
from nucleus_app.domain.scores import CountedField, has_hot_spot, select_used
from nucleus_app.domain.sheet import CATEGORIES, CaseSheet, Protocol, Role

LARGEST_HOT_SPOT_MM2 = 2 * HPF_MM2
"""A hot spot over this is told: it is no longer one field at high power."""


def say_missing(sheet: CaseSheet, fields: Sequence[CountedField]) -> str:
    """Why there is no score."""
    if not fields:
        return "This case has no field yet: add an image, or drag a field on one."
    if all(f.counts is None for f in fields):
        return "No field is scored yet."
    if sheet.protocol is Protocol.BREAST_WEIGHTED:
        if sheet.shares is None or not sheet.shares.is_whole:
            total = sheet.shares.total if sheet.shares else 0
            return f"Give the share of each category: they sum to {total:g} %, not to 100 %."
        empty = [
            c.value for c in CATEGORIES
            if sheet.shares.of(c) > 0 and not any(f.role is c and f.counts and f.counts.tumour for f in fields)
        ]  # fmt: skip
        have = "has" if len(empty) == 1 else "have"
        return f"No weighted score: {' and '.join(empty)} {have} a share of the tumour, but no counted field."
    if sheet.protocol.is_global and not select_used(sheet.protocol, fields):
        return "Every field is a hot spot: a global score needs other fields."
    return "No tumour nucleus was counted: there is no index."


def list_shortfalls(
    sheet: CaseSheet, fields: Sequence[CountedField], used: Sequence[CountedField], counted: int, target: int
) -> Iterable[str]:
    """Of a scored case: ``used`` are the fields that count, ``counted`` their tumour nuclei."""
    if 0 < counted < MIN_TUMOUR_NUCLEI:
        yield f"Only {counted} tumour nuclei were counted; fewer than {MIN_TUMOUR_NUCLEI} give no reliable index."
    elif sheet.protocol.is_hot_spot and 0 < counted < target:
        yield f"Fewer than {target} tumour cells available: {counted} were counted."
    for field in used:
        if field.counts is None:
            yield f"{field.name}: nothing was counted in this field."
        elif not field.counts.tumour:
            yield f"{field.name}: no tumour nucleus in this field."
        elif sheet.protocol.is_global and field.counts.tumour < TARGET_PER_FIELD:
            yield f"{field.name}: {field.counts.tumour} tumour nuclei, fewer than {TARGET_PER_FIELD}."
    if sheet.protocol.is_global:
        yield from _check_allocation(sheet, fields)
    if sheet.protocol.is_hot_spot:
        yield from _check_hot_spots(sheet, used)


def _check_allocation(sheet: CaseSheet, fields: Sequence[CountedField]) -> Iterable[str]:
    if sheet.shares is None:
        yield "The share of each category is not given: fields were not allotted by it."
        return
    if not sheet.shares.is_whole:
        yield f"The shares of the categories sum to {sheet.shares.total:g} %, not to 100 %."
        return
    for category, n in allocate_fields(sheet.shares).items():
        have = sum(f.role is category and bool(f.counts and f.counts.tumour) for f in fields)
        if have < n:
            yield f"{have} of {n} {category.value} field{'s' if n > 1 else ''} counted."
    for field in fields:
        if field.role is Role.FIELD:
            yield f"{field.name} has no category: it counts in the unweighted score only."
        elif field.role in CATEGORIES and not sheet.shares.of(field.role):
            yield f"{field.name} is {field.role.value}, a category without a share of the tumour."


def _check_hot_spots(sheet: CaseSheet, used: Sequence[CountedField]) -> Iterable[str]:
    if len(used) > 1 and not has_hot_spot(used):
        yield f"No field is marked as the hot spot: all {len(used)} are counted together as one."
    elif len(used) > 1 and sheet.protocol is Protocol.BREAST_HOT_SPOT:
        yield f"{len(used)} hot spots are counted together; the protocol asks for the one with the highest share."
    for field in used:
        if field.area_mm2 is not None and field.area_mm2 > LARGEST_HOT_SPOT_MM2:
            yield f"{field.name} covers {field.area_mm2:.2g} mm²; a hot spot is a field of about {HPF_MM2:g} mm²."
