"""Intervals of an index that is put together from several fields."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from nucleus_app.domain.index import Z_95, wilson_interval, wilson_intervals

RESAMPLES = 4000
MIN_FIELDS_TO_RESAMPLE = 4
MOST_TIMES = 1000
SEED = 20160518
"""Of the resampling: the same fields give the same interval, on the page and in the report."""


class Stratum(NamedTuple):
    """Counts of one category and its share of the whole."""

    positive: float
    total: float
    weight: Fraction


def weighted_proportion(strata: Sequence[Stratum]) -> Fraction:
    """Sum of weight × proportion, exactly: a score of 30 % must not become 29.999999999999996 and lose its class."""
    return sum((s.weight * Fraction(s.positive) / Fraction(s.total) for s in strata), Fraction(0))


def stratified_wilson(strata: Sequence[Stratum], z: float = Z_95) -> tuple[float, float]:
    """Wilson interval of a weighted proportion with fixed weights, as fractions.

    Yan and Su, Stat Biopharm Res 2010;2:482: each stratum's Wilson interval at the quantile
    z·√Σw²v / Σw√v with v = p(1 - p)/n, weighted. Where no stratum varies (all 0 or all 1) v is taken at the Wilson
    centre instead, which the formula leaves open. Raises ValueError for an empty stratum.
    """
    proportions = [s.positive / s.total for s in strata]
    variances = [p * (1 - p) / s.total for p, s in zip(proportions, strata, strict=True)]
    if not any(s.weight and v for s, v in zip(strata, variances, strict=True)):
        centres = [(s.positive + z * z / 2) / (s.total + z * z) for s in strata]
        variances = [p * (1 - p) / s.total for p, s in zip(centres, strata, strict=True)]
    spreads = [float(s.weight) * math.sqrt(v) for s, v in zip(strata, variances, strict=True)]
    quantile = z * math.hypot(*spreads) / math.fsum(spreads)
    each = [wilson_interval(s.positive, s.total, quantile) for s in strata]
    return (
        math.fsum(float(s.weight) * low for s, (low, _) in zip(strata, each, strict=True)),
        math.fsum(float(s.weight) * high for s, (_, high) in zip(strata, each, strict=True)),
    )


def resample_fields(counts: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """95 % percentile interval, as fractions, of the pooled proportion when whole fields (positive, total) are drawn anew
    with replacement: what differs between fields, beyond counting. None below four fields with nuclei.
    """
    fields = np.array([field for field in counts if field[1]], np.int64).reshape(-1, 2)
    if len(fields) < MIN_FIELDS_TO_RESAMPLE:
        return None
    rng = np.random.default_rng(SEED)
    drawn = fields[rng.integers(0, len(fields), (RESAMPLES, len(fields)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    return float(low), float(high)


def cells_needed(positive: float, total: int, cutoff: float, counted: int = 0) -> int | None:
    """How many tumour nuclei, in tens and more than ``counted``, would settle on which side of ``cutoff`` (a fraction) an
    index of ``positive / total`` lies: the first count of which the Wilson interval of the rounded share excludes it.

    None where the index is the cut-off itself, or more than a million would be needed.
    """
    p = positive / total
    if p == cutoff:
        return None
    most = min(1_000_000, int(2 * Z_95**2 * max(p * (1 - p), cutoff * (1 - cutoff)) / (p - cutoff) ** 2) + 2000)
    n = np.arange(counted // 10 * 10 + 10, max(most, counted + 2000), 10, dtype=np.float64)
    low, high = wilson_intervals(np.rint(positive * n / total), n)
    settled = np.flatnonzero((low > cutoff) | (high < cutoff))
    return int(n[settled[0]]) if len(settled) else None


def cells_needed_in_proportion(strata: Sequence[Stratum], cutoff: float) -> int | None:
    """How many more tumour nuclei, in tens and spread over the categories as they are now, would bring the weighted
    interval off the cut-off (a fraction). None where a thousand times as many would not.
    """

    def is_settled(times: float) -> bool:
        low, high = stratified_wilson([Stratum(s.positive * times, s.total * times, s.weight) for s in strata])
        return not low <= cutoff <= high

    low, high = 1.0, float(MOST_TIMES)
    if not is_settled(high):
        return None
    while high - low > 1e-4 * low:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if is_settled(middle) else (middle, high)
    return 10 * math.ceil((high - 1) * sum(s.total for s in strata) / 10)
