"""Choosing the thresholds of a version on validation cases, and what its proximities mean as probabilities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from nucleus_app.domain.agreement import Agreement, ImageAgreement, compare_nuclei
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.kinet.config import Thresholds
from nucleus_app.kinet.evaluation import RadiusPx
from nucleus_app.kinet.predictor import Predictor

GRID = np.round(np.arange(0.10, 0.61, 0.01), 2)
ALMOST = 0.001
"""Less F1 than this is no difference; the lower threshold is taken, since one too high costs an unknown lab more."""


def calibrate_thresholds(predictor: Predictor, images: Sequence[LabelledImage], radius: RadiusPx) -> Thresholds:
    """One threshold for all classes (hardly any validation case labels non-tumour nuclei): the lowest with almost the best
    detection F1, averaged over sets (not images), so that the largest lab does not decide for the others. A set is named
    by the first word of its images' names. The lowest, since one that is too high costs an unseen lab far more than one
    that is too low (docs/decisions/0007).
    """
    lowest = predictor.with_thresholds(per_class(float(GRID[0])))
    by_threshold: list[dict[str, list[ImageAgreement]]] = [defaultdict(list) for _ in GRID]
    for image in images:
        truth = image.inside_labelled_area(image.nuclei)
        candidates = image.inside_labelled_area(lowest.find(image.rgb, image.mpp))
        for level, sets in zip(GRID, by_threshold, strict=True):
            found = candidates.reaching(per_class(float(level)))
            sets[image.name.split("_")[0]].append(compare_nuclei(image.name, truth, found, radius(image)))
    f1 = np.array([np.mean([Agreement(tuple(a)).detection.f1 for a in sets.values()]) for sets in by_threshold])
    chosen = float(GRID[int(np.argmax(f1 >= f1.max() - ALMOST))])
    return replace(predictor.version.thresholds, per_class=per_class(chosen))


class Reliability(NamedTuple):
    """One bin of a reliability curve: of ``nuclei`` given ``said`` on average, the share ``true`` was right."""

    said: float
    true: float
    nuclei: int


def judge_nuclei(
    predictor: Predictor, images: Sequence[LabelledImage], radius: RadiusPx
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Proximity (N,) of tumour nuclei found down to half the thresholds, and whether a labelled nucleus of the same
    class is there. Non-tumour nuclei are left out: hardly any image labels them.
    """
    lowest = predictor.with_thresholds(per_class(predictor.version.thresholds.per_class[0] / 2))
    scores, right = [], []
    for image in images:
        truth = image.inside_labelled_area(image.nuclei)
        found = image.inside_labelled_area(lowest.find(image.rgb, image.mpp))
        pairs = match_points(truth.xy, found.xy, radius(image))
        same = np.zeros(len(found), np.bool_)
        same[pairs.found] = truth.classes[pairs.truth] == found.classes[pairs.found]
        is_tumour = found.classes != NucleusClass.OTHER
        scores.append(found.scores[is_tumour])
        right.append(same[is_tumour])
    return np.concatenate(scores), np.concatenate(right)


def fit_confidence(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> Confidence:
    """Maximum-likelihood logistic curve from proximity to being right."""

    def loss(values: NDArray[np.float64]) -> float:
        logit = values[0] * scores + values[1]
        return float(np.mean(np.logaddexp(0, np.where(right, -logit, logit))))

    best = minimize(loss, np.array([6.0, -2.0]), method="Nelder-Mead")
    return Confidence(round(float(best.x[0]), 4), round(float(best.x[1]), 4))


def measure_reliability(
    confidence: Confidence, scores: NDArray[np.float32], right: NDArray[np.bool_], bins: int = 8
) -> list[Reliability]:
    """The reliability curve, in bins of equally many nuclei."""
    said = confidence.of(scores)
    order = np.array_split(np.argsort(said, kind="stable"), bins)
    return [Reliability(float(said[at].mean()), float(right[at].mean()), len(at)) for at in order if len(at)]


def per_class(level: float) -> tuple[float, float, float]:
    """The same threshold for every class."""
    return level, level, level
