"""Which nuclei the network is least sure of, and how far the index could move with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.domain.review import Review

DOUBTFUL_WITHIN = 0.2
"""A nucleus is doubtful when its probability is no further from one half."""
DOUBTFUL_RATIOS = (0.75, 1.33)
"""Or, for versions without a confidence, when its proximity over the threshold lies between these."""
TORN = 0.4
"""A tumour nucleus is doubtful too when the other tumour class comes within this share of its score (decision 0008)."""
MOST_DOUBTFUL = 0.45
"""Share of doubtful ones among the tumour nuclei that are shown (decision 0006 has what was measured)."""


def find_doubtful(candidates: Nuclei, thresholds: Sequence[float], confidence: Confidence | None) -> NDArray[np.int64]:
    """Places of the doubtful tumour candidates, hidden ones included: first those between positive and negative, then those
    of which it is doubtful whether they are nuclei; of each kind the least sure first.

    Non-tumour candidates are none: they have no confidence, and whether they are there moves no index.
    """
    if confidence is not None:
        surplus = confidence.of(candidates.scores).astype(np.float64) - 0.5
        doubt = np.abs(surplus)
        doubtful, is_faint = doubt <= DOUBTFUL_WITHIN, surplus < -DOUBTFUL_WITHIN
    else:
        ratio = candidates.scores / np.asarray(thresholds, np.float32)[candidates.classes]
        doubt = np.abs(np.log(np.maximum(ratio, 1e-9)))
        doubtful, is_faint = (ratio >= DOUBTFUL_RATIOS[0]) & (ratio <= DOUBTFUL_RATIOS[1]), ratio < DOUBTFUL_RATIOS[0]
    is_torn = (candidates.rivals >= 255 * TORN) & ~is_faint
    found = np.flatnonzero((doubtful | is_torn) & (candidates.classes != NucleusClass.OTHER))
    order = np.where(is_torn, -candidates.rivals.astype(np.float64), doubt)
    return found[np.argsort(order[found], kind="stable")].astype(np.int64)


def is_unsure(nuclei: Nuclei, confidence: Confidence | None) -> bool:
    """Whether so many of the tumour nuclei that a network found are doubtful that it hardly knows such an image. Not said of
    too few to tell, nor by versions without a confidence.
    """
    tumour = nuclei.select(nuclei.classes != NucleusClass.OTHER)
    if confidence is None or len(tumour) < MIN_TUMOUR_NUCLEI:
        return False
    doubtful = np.abs(confidence.of(tumour.scores).astype(np.float64) - 0.5) <= DOUBTFUL_WITHIN
    return bool(doubtful.mean() > MOST_DOUBTFUL)


@dataclass(frozen=True, slots=True)
class Swing:
    """``n`` doubtful nuclei that nobody has looked at, and the index in percent if all of them were otherwise: as low and
    as high as can be. None where there would be no tumour nucleus.
    """

    n: int
    low_percent: float | None
    high_percent: float | None


def find_swing(review: Review, doubtful: NDArray[np.int64]) -> Swing:
    """Low: open positive ones are negative, and open hidden ones come in as negative. High: the reverse."""
    open_ = doubtful[review.are_open(doubtful)]
    present = review.are_present(open_)
    kinds = review.candidates.classes[open_]
    positive = int(np.count_nonzero(present & (kinds == NucleusClass.POSITIVE)))
    negative = int(np.count_nonzero(present & (kinds == NucleusClass.NEGATIVE)))
    hidden = len(open_) - int(np.count_nonzero(present))
    counts = review.counts()
    total = counts.tumour + hidden
    if not total:
        return Swing(len(open_), None, None)
    low, high = counts.positive - positive, counts.positive + negative + hidden
    return Swing(len(open_), 100 * low / total, 100 * high / total)
