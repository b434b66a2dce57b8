"""The Ki67 labelling index and its confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.nuclei import Counts

Floats = NDArray[np.float64]
Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""

MIN_TUMOUR_NUCLEI = 100
"""Below this many tumour nuclei an index is shown grey and without a class."""


def wilson_interval(positive: float, total: float, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of the proportion ``positive / total``, no continuity correction, as fractions.

    Brown, Cai, DasGupta, Stat Sci 2001;16:101. Raises ValueError unless 0 <= positive <= total and total > 0.
    """
    if total <= 0 or not 0 <= positive <= total:
        raise ValueError(f"{positive} of {total} is no proportion: need 0 <= positive <= total, total > 0")
    p = positive / total
    z2 = z * z
    centre = p + z2 / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    low = 0.0 if positive == 0 else (centre - half) / scale
    high = 1.0 if positive == total else (centre + half) / scale
    return low, high


def wilson_intervals(positive: NDArray[Any], total: NDArray[Any]) -> tuple[Floats, Floats]:
    """:func:`wilson_interval` of many, for arrays of one shape; ``total`` > 0 everywhere."""
    n = total.astype(np.float64)
    p, z2 = positive / n, Z_95 * Z_95
    centre, half = p + z2 / (2 * n), Z_95 * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = (centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)
    return np.where(positive == 0, 0.0, low), np.where(positive == total, 1.0, high)


@dataclass(frozen=True, slots=True)
class LabellingIndex:
    """Positive tumour / (positive + negative tumour), in percent, with its 95 % Wilson interval."""

    counts: Counts
    percent: float
    low_percent: float
    high_percent: float

    @property
    def is_sparse(self) -> bool:
        """True while too few tumour nuclei were counted for the index to mean much."""
        return self.counts.tumour < MIN_TUMOUR_NUCLEI


def find_labelling_index(counts: Counts) -> LabellingIndex | None:
    """The labelling index, or None when there is no tumour nucleus. Non-tumour nuclei never enter."""
    if counts.tumour == 0:
        return None
    low, high = wilson_interval(counts.positive, counts.tumour)
    return LabellingIndex(counts, 100 * counts.positive / counts.tumour, 100 * low, 100 * high)
