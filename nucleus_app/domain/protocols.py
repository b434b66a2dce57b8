"""From the counted fields of a case to its score: index, interval, class, what is missing to settle it, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI
from nucleus_app.domain.rules import (
    FIELDS,
    RULES,
    TARGET_PER_FIELD,
    allocate_fields,
    list_deciding_cutoffs,
    name_class,
)
from nucleus_app.domain.scores import CountedField, Score, has_hot_spot, list_scores, list_strata, pool, select_used
from nucleus_app.domain.sheet import CaseSheet, Protocol, Role
from nucleus_app.domain.shortfalls import list_shortfalls, list_sparse, say_missing
from nucleus_app.domain.strata import cells_needed, cells_needed_in_proportion, resample_fields

HOT_SPOT_CAUTION = "The interval covers counting only. A hot spot is chosen for being the highest, so its index lies above the tumour's."

MOST_TO_ASK = 10_000
"""No one counts more tumour nuclei to settle a class."""


@dataclass(frozen=True, slots=True)
class CaseScore:
    """What a case comes to under its protocol. ``primary`` is None where there is none, and ``missing`` says why."""

    primary: Score | None
    missing: str
    others: tuple[Score, ...]
    class_name: str | None
    class_text: str
    unsettled: tuple[float, ...]
    """Cut-offs in percent that lie within the interval."""
    cells_more: int | None
    """About so many more tumour nuclei would settle the class."""
    advice: str
    counted: int
    target: int
    hot_spot_minus_average: float | None
    """Percentage points."""
    between_fields: tuple[float, float] | None
    """95 % interval in percent when whole fields are drawn anew."""
    allotted: tuple[tuple[Role, int], ...]
    note: str
    """What belongs next to the number itself."""
    warnings: tuple[str, ...]

    @property
    def is_sparse(self) -> bool:
        return self.primary is None or self.primary.tumour < MIN_TUMOUR_NUCLEI


def score_case(sheet: CaseSheet, fields: Sequence[CountedField]) -> CaseScore:
    """Apply the sheet's protocol to its fields, which are in the sheet's order."""
    scores = list_scores(sheet, fields)
    primary = next((score for score in scores if score.name == RULES[sheet.protocol].score), None)
    counted = primary.tumour if primary else 0
    used = select_used(sheet, fields)
    class_name, class_text = None, ""
    unsettled: tuple[float, ...] = ()
    if primary is not None and counted >= MIN_TUMOUR_NUCLEI:
        class_name, class_text = name_class(sheet, primary.counts, primary.percent)
        unsettled = tuple(c for c in list_deciding_cutoffs(sheet) if primary.low_percent <= c <= primary.high_percent)
    elif primary is not None:
        class_text = f"Fewer than {MIN_TUMOUR_NUCLEI} tumour nuclei: no class."
    more = _find_more(sheet, fields, primary, unsettled) if primary else None
    target = _target(sheet)
    return CaseScore(
        primary=primary,
        missing="" if primary else say_missing(sheet, fields),
        others=tuple(score for score in scores if score is not primary),
        class_name=class_name,
        class_text=class_text,
        unsettled=unsettled,
        cells_more=more,
        advice=_advise(sheet, unsettled, more),
        counted=counted,
        target=target,
        hot_spot_minus_average=_compare_hot_spot(fields),
        between_fields=_resample(sheet, used),
        allotted=tuple(allocate_fields(sheet.shares).items()) if sheet.shares and sheet.protocol.is_global else (),
        note=HOT_SPOT_CAUTION if sheet.protocol.is_hot_spot and primary else "",
        warnings=(*list_shortfalls(sheet, fields, used, counted, target), *list_sparse(scores, primary)),
    )  # fmt: skip


def _compare_hot_spot(fields: Sequence[CountedField]) -> float | None:
    """Hot spots minus the other fields, in percentage points; None where either is missing."""
    if not has_hot_spot(fields):
        return None
    rule = RULES[Protocol.INDEX_ONLY]
    hot = pool(rule, (f for f in fields if f.role is Role.HOT_SPOT))
    average = pool(rule, (f for f in fields if f.role is not Role.HOT_SPOT))
    return hot.percent - average.percent if hot and average else None


def _resample(sheet: CaseSheet, used: Sequence[CountedField]) -> tuple[float, float] | None:
    if sheet.protocol is Protocol.BREAST_WEIGHTED:
        return None  # its fields stand for different areas: drawing them anew would change the weights
    between = resample_fields([(f.counts.positive, f.counts.tumour) for f in used if f.counts])
    return (100 * between[0], 100 * between[1]) if between else None


def _find_more(
    sheet: CaseSheet, fields: Sequence[CountedField], score: Score, unsettled: tuple[float, ...]
) -> int | None:
    """For the cut-off that takes longest. None where counting does not settle it, or takes more than anybody counts."""
    strata = list_strata(sheet.shares, fields) if sheet.protocol is Protocol.BREAST_WEIGHTED else None
    more = []
    for cutoff in unsettled:
        if strata:
            more.append(cells_needed_in_proportion(strata, cutoff / 100))
        else:
            needed = cells_needed(score.positive, score.tumour, cutoff / 100, score.tumour)
            more.append(needed - score.tumour if needed else None)
    if not more or any(n is None or n > MOST_TO_ASK for n in more):
        return None
    return max(n for n in more if n is not None)


def _advise(sheet: CaseSheet, unsettled: tuple[float, ...], more: int | None) -> str:
    if not unsettled:
        return ""
    cut = " and ".join(f"{c:g}" for c in unsettled)
    what = f"The interval spans the cut-off{'s' if len(unsettled) > 1 else ''} at {cut} %"
    if more is None:
        return f"{what}, and the index lies so close that counting more will hardly settle it."
    how = ", spread over the categories as now," if sheet.protocol is Protocol.BREAST_WEIGHTED else ""
    return f"{what}: count about {more:,} more tumour nuclei{how} to settle this."


def _target(sheet: CaseSheet) -> int:
    if sheet.protocol.is_hot_spot:
        return sheet.target
    if sheet.protocol.is_global:
        allotted = sum(allocate_fields(sheet.shares).values()) if sheet.shares else 0
        return TARGET_PER_FIELD * (allotted or FIELDS)
    return MIN_TUMOUR_NUCLEI
