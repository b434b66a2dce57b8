"""How well found nuclei agree with true ones: detection, classification, index.

Definitions of Xing et al. 2019, section IV-C: one class-free matching; a pair counts for a class when both
sides have it; the weighted score weighs every class by its share of the true nuclei.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.index import find_labelling_index
from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import N_CLASSES, Nuclei, NucleusClass


class Tally(NamedTuple):
    """True positives, false positives, false negatives."""

    tp: int
    fp: int
    fn: int

    def plus(self, other: Tally) -> Tally:
        return Tally(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        whole = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class ImageAgreement:
    """Agreement on one image. ``confusion`` (3, 3) counts matched pairs, truth by found."""

    name: str
    truth_counts: NDArray[np.int64]
    found_counts: NDArray[np.int64]
    confusion: NDArray[np.int64]
    distance_px: NDArray[np.float64]
    true_percent: float | None
    found_percent: float | None

    @property
    def detection(self) -> Tally:
        tp = int(self.confusion.sum())
        return Tally(tp, int(self.found_counts.sum()) - tp, int(self.truth_counts.sum()) - tp)

    def of_class(self, kind: NucleusClass) -> Tally:
        tp = int(self.confusion[kind, kind])
        return Tally(tp, int(self.found_counts[kind]) - tp, int(self.truth_counts[kind]) - tp)

    @property
    def index_error_points(self) -> float | None:
        """Absolute difference of the two indices in percentage points; None where the truth has no tumour nucleus.

        Finding no tumour where there is some counts as an index of 0: finding nothing must never look accurate.
        """
        if self.true_percent is None:
            return None
        return abs(self.true_percent - (self.found_percent or 0.0))


def compare_nuclei(name: str, truth: Nuclei, found: Nuclei, radius_px: float) -> ImageAgreement:
    """Agreement of two sets of nuclei of one image at a matching radius in pixels."""
    pairs = match_points(truth.xy, found.xy, radius_px)
    confusion = np.zeros((N_CLASSES, N_CLASSES), np.int64)
    np.add.at(confusion, (truth.classes[pairs.truth], found.classes[pairs.found]), 1)
    true_index, found_index = find_labelling_index(truth.counts()), find_labelling_index(found.counts())
    return ImageAgreement(
        name,
        np.bincount(truth.classes, minlength=N_CLASSES),
        np.bincount(found.classes, minlength=N_CLASSES),
        confusion,
        pairs.distance_px,
        true_index.percent if true_index else None,
        found_index.percent if found_index else None,
    )


class Scores(NamedTuple):
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement pooled over images."""

    images: tuple[ImageAgreement, ...]

    @property
    def detection(self) -> Tally:
        return _total(image.detection for image in self.images)

    def of_class(self, kind: NucleusClass) -> Tally:
        return _total(image.of_class(kind) for image in self.images)

    @property
    def classes_in_truth(self) -> tuple[NucleusClass, ...]:
        return tuple(k for k in NucleusClass if sum(int(image.truth_counts[k]) for image in self.images))

    @property
    def weighted(self) -> Scores:
        """Per-class scores weighted by the share of each class in the truth; absent classes are left out."""
        tallies = {kind: self.of_class(kind) for kind in self.classes_in_truth}
        total = sum(t.tp + t.fn for t in tallies.values())
        shares = [((t.tp + t.fn) / total, t) for t in tallies.values()]
        return Scores(
            sum(share * t.precision for share, t in shares),
            sum(share * t.recall for share, t in shares),
            sum(share * t.f1 for share, t in shares),
        )

    @property
    def distance_px(self) -> NDArray[np.float64]:
        parts = [image.distance_px for image in self.images]
        return np.concatenate(parts) if parts else np.empty(0)

    @property
    def index_mae_points(self) -> float | None:
        errors = [e for image in self.images if (e := image.index_error_points) is not None]
        return float(np.mean(errors)) if errors else None


def _total(tallies: Iterable[Tally]) -> Tally:
    total = Tally(0, 0, 0)
    for tally in tallies:
        total = total.plus(tally)
    return total


def area_under_precision_recall(curve: Sequence[Scores]) -> float:
    """Area under precision over recall, by trapezoids, for scores at several thresholds in any order.

    The curve is continued level to recall 0; beyond the highest recall reached it counts as 0.
    """
    if not curve:
        return 0.0
    points = sorted((s.recall, s.precision) for s in curve)
    recall = np.array([0.0, *(r for r, _ in points)])
    precision = np.array([points[0][1], *(p for _, p in points)])
    return float(np.trapezoid(precision, recall))
