"""From counted fields to named indices with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol as TypingProtocol
from typing import TypeVar

from nucleus_app.domain.index import find_labelling_index
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.rules import RULES, Rule, show_percent
from nucleus_app.domain.sheet import CATEGORIES, CaseSheet, Protocol, Role, Shares
from nucleus_app.domain.strata import Stratum, stratified_wilson, weighted_proportion

WILSON = "Wilson score, 95 %"
STRATIFIED_WILSON = "stratified Wilson with fixed weights, 95 %"
BREAST = (Protocol.BREAST_GLOBAL, Protocol.BREAST_WEIGHTED, Protocol.BREAST_HOT_SPOT)


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


class HasRole(TypingProtocol):
    """Something that stands for a field."""

    @property
    def role(self) -> Role: ...


Field = TypeVar("Field", bound=HasRole)


def select_used(sheet: CaseSheet, fields: Sequence[Field]) -> list[Field]:
    """The fields that the sheet's protocol counts."""
    if sheet.protocol is not Protocol.BREAST_WEIGHTED:
        return _select_pooled(sheet.protocol, fields)
    return [f for f in fields if f.role in CATEGORIES and (sheet.shares is None or sheet.shares.of(f.role) > 0)]


def _select_pooled(protocol: Protocol, fields: Sequence[Field]) -> list[Field]:
    """The fields that a protocol counts together. In a hot-spot protocol a case without a field of that role is one hot spot."""
    hot = [f for f in fields if f.role is Role.HOT_SPOT]
    if protocol.is_hot_spot:
        return hot or list(fields)
    return [f for f in fields if f.role is not Role.HOT_SPOT] if protocol.is_global else list(fields)


def has_hot_spot(fields: Iterable[CountedField]) -> bool:
    return any(field.role is Role.HOT_SPOT for field in fields)


def list_scores(sheet: CaseSheet, fields: Sequence[CountedField]) -> list[Score]:
    """Every score that the fields allow under the sheet's kind of tumour; names are never mixed, and fields that are no
    hot spot and none but hot spots are not scored twice under two names.
    """
    scores = []
    for protocol in BREAST if sheet.protocol in BREAST else (sheet.protocol,):
        if protocol is Protocol.BREAST_WEIGHTED:
            score = _weigh(sheet.shares, fields)
        elif (
            protocol is not sheet.protocol
            and protocol.is_hot_spot != sheet.protocol.is_hot_spot
            and not has_hot_spot(fields)
        ):
            score = None
        else:
            score = pool(RULES[protocol], _select_pooled(protocol, fields))
        if score:
            scores.append(score)
    return scores


def pool(rule: Rule, fields: Iterable[CountedField]) -> Score | None:
    """All nuclei of the fields together; None without a tumour nucleus."""
    counted = [f.counts for f in fields if f.counts]
    index = find_labelling_index(Counts(*(sum(c[kind] for c in counted) for kind in range(3))))
    if index is None:
        return None
    return Score(
        rule.score, WILSON, index.counts.positive, index.counts.tumour, index.percent, index.low_percent,
        index.high_percent, show_percent(index.percent, rule.cutoffs),
    )  # fmt: skip


def list_strata(shares: Shares | None, fields: Sequence[CountedField]) -> list[Stratum] | None:
    """Counts of each category that has area. None while one of them has no counted nuclei, or the shares are not whole."""
    if shares is None or not shares.is_whole:
        return None
    exact = {category: Fraction(str(shares.of(category))) for category in CATEGORIES}
    strata = []
    for category in (c for c in CATEGORIES if exact[c] > 0):
        counted = [f.counts for f in fields if f.role is category and f.counts]
        positive, tumour = sum(c.positive for c in counted), sum(c.tumour for c in counted)
        if not tumour:
            return None
        strata.append(Stratum(positive, tumour, exact[category] / sum(exact.values())))
    return strata


def _weigh(shares: Shares | None, fields: Sequence[CountedField]) -> Score | None:
    strata = list_strata(shares, fields)
    if strata is None:
        return None
    percent = float(100 * weighted_proportion(strata))
    low, high = stratified_wilson(strata)
    rule = RULES[Protocol.BREAST_WEIGHTED]
    return Score(
        rule.score, STRATIFIED_WILSON, int(sum(s.positive for s in strata)), int(sum(s.total for s in strata)), percent,
        100 * low, 100 * high, show_percent(percent, rule.cutoffs),
    )  # fmt: skip
