"""From the counted fields of a case to its score: index, interval, class, what is missing to settle it, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol as TypingProtocol
from typing import TypeVar

from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI, find_labelling_index
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.rules import RULES, TARGET_PER_FIELD, Rule, allocate_fields, name_class, show_percent
from nucleus_app.domain.sheet import CATEGORIES, CaseSheet, Protocol, Role, Shares
from nucleus_app.domain.strata import (
    Stratum,
    cells_needed,
    resample_fields,
    stratified_wilson,
    weighted_proportion,
)

WILSON = "Wilson score, 95 %"
STRATIFIED_WILSON = "stratified Wilson with fixed weights, 95 %"
HOT_SPOT_CAUTION = "The interval covers counting only. A hot spot is chosen for being the highest, so its index lies above the tumour's."


@dataclass(frozen=True, slots=True)
class CountedField:
    """A field and what was counted in it; ``counts`` is None where nothing was (not scored, or no Ki67 field)."""

    name: str
    role: Role
    counts: Counts | None
    area_mm2: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """One named index with its interval, in percent. ``shown`` has as many decimals as its class needs."""

    name: str
    method: str
    positive: int
    tumour: int
    percent: float
    low_percent: float
    high_percent: float
    shown: str

    @property
    def counts(self) -> Counts:
        return Counts(self.positive, self.tumour - self.positive, 0)


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
    rule = RULES[sheet.protocol]
    scores = _list_scores(sheet, fields)
    primary = next((score for score in scores if score.name == rule.score), None)
    hot, average = (
        next((s for s in scores if s.name == RULES[p].score), None) for p in (_hot(sheet), Protocol.BREAST_GLOBAL)
    )
    counted = primary.tumour if primary else 0
    used = select_used(sheet.protocol, fields)
    class_name, class_text, more = None, "", None
    unsettled: tuple[float, ...] = ()
    if primary is not None and counted >= MIN_TUMOUR_NUCLEI:
        class_name, class_text = name_class(sheet, primary.counts, primary.percent)
        unsettled = _list_unsettled(sheet, primary, rule)
        more = _find_more(primary, unsettled)
    elif primary is not None:
        class_text = f"Fewer than {MIN_TUMOUR_NUCLEI} tumour nuclei: no class."
    between = resample_fields([(f.counts.positive, f.counts.tumour) for f in used if f.counts])
    target = _target(sheet)
    return CaseScore(
        primary=primary,
        missing="" if primary else _say_missing(sheet, fields),
        others=tuple(score for score in scores if score is not primary),
        class_name=class_name,
        class_text=class_text,
        unsettled=unsettled,
        cells_more=more,
        advice=_advise(unsettled, more),
        counted=counted,
        target=target,
        hot_spot_minus_average=hot.percent - average.percent if hot and average else None,
        between_fields=(100 * between[0], 100 * between[1]) if between and sheet.protocol is not Protocol.BREAST_WEIGHTED else None,
        allotted=tuple(allocate_fields(sheet.shares).items()) if sheet.shares and sheet.protocol.is_global else (),
        note=HOT_SPOT_CAUTION if sheet.protocol.is_hot_spot and primary else "",
        warnings=tuple(_list_warnings(sheet, fields, used, counted, target)),
    )  # fmt: skip


def _hot(sheet: CaseSheet) -> Protocol:
    return Protocol.NET_HOT_SPOT if sheet.protocol is Protocol.NET_HOT_SPOT else Protocol.BREAST_HOT_SPOT


class HasRole(TypingProtocol):
    """Something that stands for a field."""

    @property
    def role(self) -> Role: ...


Field = TypeVar("Field", bound=HasRole)


def select_used(protocol: Protocol, fields: Sequence[Field]) -> list[Field]:
    """The fields that a protocol counts together. In a hot-spot protocol a case without a field of that role is one hot spot."""
    hot = [f for f in fields if f.role is Role.HOT_SPOT]
    if protocol.is_hot_spot:
        return hot or list(fields)
    return [f for f in fields if f.role is not Role.HOT_SPOT] if protocol.is_global else list(fields)


def _list_scores(sheet: CaseSheet, fields: Sequence[CountedField]) -> list[Score]:
    """Every score that the fields allow under the sheet's kind of tumour; names are never mixed."""
    kinds = {
        Protocol.INDEX_ONLY: (Protocol.INDEX_ONLY,),
        Protocol.NET_HOT_SPOT: (Protocol.NET_HOT_SPOT,),
    }.get(sheet.protocol, (Protocol.BREAST_GLOBAL, Protocol.BREAST_WEIGHTED, Protocol.BREAST_HOT_SPOT))
    scores = []
    for protocol in kinds:
        is_asked = protocol is sheet.protocol
        if protocol is Protocol.BREAST_WEIGHTED:
            score = _weigh(sheet.shares, fields)
        elif protocol.is_hot_spot and not is_asked and all(f.role is not Role.HOT_SPOT for f in fields):
            score = None
        else:
            score = _pool(RULES[protocol], select_used(protocol, fields))
        if score:
            scores.append(score)
    return scores


def _pool(rule: Rule, fields: Iterable[CountedField]) -> Score | None:
    counted = [f.counts for f in fields if f.counts]
    index = find_labelling_index(Counts(*(sum(c[kind] for c in counted) for kind in range(3))))
    if index is None:
        return None
    return Score(
        rule.score, WILSON, index.counts.positive, index.counts.tumour, index.percent, index.low_percent,
        index.high_percent, show_percent(index.percent, rule.cutoffs),
    )  # fmt: skip


def _weigh(shares: Shares | None, fields: Sequence[CountedField]) -> Score | None:
    """None while a category that has area has no counted nuclei, or the shares are not whole."""
    if shares is None or not shares.is_whole:
        return None
    strata = []
    for category in CATEGORIES:
        counted = [f.counts for f in fields if f.role is category and f.counts]
        positive, tumour = sum(c.positive for c in counted), sum(c.tumour for c in counted)
        if shares.of(category) > 0:
            if not tumour:
                return None
            strata.append(Stratum(positive, tumour, shares.of(category) / shares.total))
    percent = 100 * weighted_proportion(strata)
    low, high = stratified_wilson(strata)
    rule = RULES[Protocol.BREAST_WEIGHTED]
    return Score(
        rule.score, STRATIFIED_WILSON, sum(s.positive for s in strata), sum(s.total for s in strata), percent,
        100 * low, 100 * high, show_percent(percent, rule.cutoffs),
    )  # fmt: skip


def _list_unsettled(sheet: CaseSheet, score: Score, rule: Rule) -> tuple[float, ...]:
    if sheet.protocol is Protocol.NET_HOT_SPOT and sheet.well_differentiated is False:
        return ()
    return tuple(c for c in rule.cutoffs if score.low_percent <= c <= score.high_percent)


def _find_more(score: Score, unsettled: tuple[float, ...]) -> int | None:
    """For the cut-off that takes longest."""
    p = score.percent / 100
    needed = [cells_needed(p * score.tumour, score.tumour, c / 100, score.tumour) for c in unsettled]
    if not needed or any(n is None for n in needed):
        return None
    return max(n for n in needed if n is not None) - score.tumour


def _advise(unsettled: tuple[float, ...], more: int | None) -> str:
    if not unsettled:
        return ""
    cut = " and ".join(f"{c:g}" for c in unsettled)
    what = f"The interval spans the cut-off{'s' if len(unsettled) > 1 else ''} at {cut} %"
    if more is None:
        return f"{what}, and the index lies so close that counting more will hardly settle it."
    return f"{what}: count about {more:,} more tumour nuclei to settle this."


def _target(sheet: CaseSheet) -> int:
    if sheet.protocol.is_hot_spot:
        return sheet.target
    if sheet.protocol.is_global:
        allotted = sum(allocate_fields(sheet.shares).values()) if sheet.shares else 0
        return TARGET_PER_FIELD * (allotted or 4)
    return MIN_TUMOUR_NUCLEI


def _say_missing(sheet: CaseSheet, fields: Sequence[CountedField]) -> str:
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


def _list_warnings(
    sheet: CaseSheet, fields: Sequence[CountedField], used: Sequence[CountedField], counted: int, target: int
) -> Iterable[str]:
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


def _check_allocation(sheet: CaseSheet, fields: Sequence[CountedField]) -> Iterable[str]:
    if sheet.shares is None:
        yield "The share of each category is not given: fields were not allotted by it."
        return
    if not sheet.shares.is_whole:
        yield f"The shares of the categories sum to {sheet.shares.total:g} %, not to 100 %."
        return
    for category, n in allocate_fields(sheet.shares).items():
        have = sum(f.role is category for f in fields)
        if have < n:
            yield f"{have} of {n} {category.value} field{'s' if n > 1 else ''} counted."
    for field in fields:
        if field.role is Role.FIELD:
            yield f"{field.name} has no category: it counts in the unweighted score only."
        elif field.role in CATEGORIES and not sheet.shares.of(field.role):
            yield f"{field.name} is {field.role.value}, a category without a share of the tumour."
