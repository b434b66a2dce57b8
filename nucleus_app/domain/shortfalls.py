"""What keeps a case from being scored as its protocol asks. Sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nucleus_app.domain.cautions import say_sparse
from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI
from nucleus_app.domain.line import shorten
from nucleus_app.domain.rules import HPF_MM2, TARGET_PER_FIELD, allocate_fields
from nucleus_app.domain.scores import CountedField, Score, has_hot_spot, select_used
from nucleus_app.domain.sheet import CATEGORIES, CaseSheet, Protocol, Role

LARGEST_HOT_SPOT_MM2 = 2 * HPF_MM2
"""A hot spot over this is told: it is no longer one field at high power."""
UNEVEN = 2
"""Fields of which the fullest holds more than so many times the nuclei of the emptiest are told."""


def say_missing(sheet: CaseSheet, fields: Sequence[CountedField]) -> str:
    """Why there is no score."""
    if not fields:
        return "This case has no field yet: add an image, or drag a field on one."
    if all(f.counts is None for f in fields):
        return "Nothing is counted in any field: each says why."
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
    if sheet.protocol.is_global and not select_used(sheet, fields):
        return "Every field is a hot spot: a global score needs other fields."
    return "No tumour nucleus was counted: there is no index."


def list_shortfalls(
    sheet: CaseSheet, fields: Sequence[CountedField], used: Sequence[CountedField], counted: int, target: int
) -> Iterable[str]:
    """Of a scored case: ``used`` are the fields that count, ``counted`` their tumour nuclei."""
    if 0 < counted < MIN_TUMOUR_NUCLEI:
        yield say_sparse(counted)
    elif sheet.protocol.is_hot_spot and 0 < counted < target:
        yield f"Fewer than {target} tumour cells available: {counted} were counted."
    counts = [(field.name, field.counts) for field in used]
    nothing = [f"{name}: nothing was counted in this field." for name, c in counts if c is None]
    yield from shorten(nothing, "fields in which nothing was counted")
    empty = [f"{name}: no tumour nucleus in this field." for name, c in counts if c and not c.tumour]
    yield from shorten(empty, "fields without a tumour nucleus")
    if sheet.protocol is Protocol.BREAST_GLOBAL:
        yield from _say_uneven([c.tumour for _, c in counts if c and c.tumour])
    if sheet.protocol.is_global:
        few = [(name, c.tumour) for name, c in counts if c and 0 < c.tumour < TARGET_PER_FIELD]
        said = [f"{name}: {n} tumour nuclei, fewer than {TARGET_PER_FIELD}." for name, n in few]
        yield from shorten(said, f"fields with fewer than {TARGET_PER_FIELD}")
        yield from _check_allocation(sheet, fields)
    if sheet.protocol.is_hot_spot:
        yield from _check_hot_spots(sheet, used)


def _say_uneven(tumour: Sequence[int]) -> Iterable[str]:
    """Of the nuclei of fields that are counted together."""
    if tumour and max(tumour) > UNEVEN * min(tumour):
        yield (
            f"The fields hold {min(tumour):,} to {max(tumour):,} tumour nuclei, and all are counted; the protocol counts "
            f"{TARGET_PER_FIELD} in each. So an unweighted score leans to the fullest field: make the fields alike."
        )


def _check_allocation(sheet: CaseSheet, fields: Sequence[CountedField]) -> Iterable[str]:
    if sheet.shares is None:
        yield "The share of each category is not given: fields were not allotted by it."
        return
    if not sheet.shares.is_whole:
        yield f"The shares of the categories sum to {sheet.shares.total:g} %, not to 100 %."
        return
    allotted = allocate_fields(sheet.shares)
    counted = {c: sum(f.role is c and bool(f.counts and f.counts.tumour) for f in fields) for c in allotted}
    for category, n in allotted.items():
        have, of_all = counted[category], sum(counted.values())
        said = f"{have} of {n} {category.value} field{'s' if n > 1 else ''} counted"
        if have < n:
            yield f"{said}."
        elif sheet.protocol is Protocol.BREAST_GLOBAL and have > n and have * sum(allotted.values()) > n * of_all:
            yield f"{said}: more than its share of the tumour asks for, so it weighs more in the score."
    none = [
        f"{f.name} has no category: it counts in the unweighted score only." for f in fields if f.role is Role.FIELD
    ]
    yield from shorten(none, "fields without a category")
    absent = [f for f in fields if f.role in CATEGORIES and not sheet.shares.of(f.role)]
    strays = [f"{f.name} is {f.role.value}, a category without a share of the tumour." for f in absent]
    yield from shorten(strays, "fields of a category without a share")


def _check_hot_spots(sheet: CaseSheet, used: Sequence[CountedField]) -> Iterable[str]:
    if len(used) > 1 and not has_hot_spot(used):
        yield f"No field is marked as the hot spot: all {len(used)} are counted together as one."
    elif len(used) > 1 and sheet.protocol is Protocol.BREAST_HOT_SPOT:
        yield f"{len(used)} hot spots are counted together; the protocol asks for the one with the highest share."
    large = [(f.name, f.area_mm2) for f in used if f.area_mm2 is not None and f.area_mm2 > LARGEST_HOT_SPOT_MM2]
    said = [f"{name} covers {mm2:.2g} mm²; a hot spot is a field of about {HPF_MM2:g} mm²." for name, mm2 in large]
    yield from shorten(said, f"fields of more than {LARGEST_HOT_SPOT_MM2:g} mm²")


def list_sparse(scores: Iterable[Score], primary: Score | None) -> Iterator[str]:
    """Which scores beside the protocol's own rest on too few nuclei."""
    for score in scores:
        if score is not primary and score.tumour < MIN_TUMOUR_NUCLEI:
            yield f"{score.name}: {say_sparse(score.tumour)}"
