"""Choosing the thresholds of a version on validation cases, and what its proximities mean as probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.kinet.config import Thresholds
from nucleus_app.kinet.evaluation import RadiusPx
from nucleus_app.kinet.predictor import Predictor

GRID = np.round(np.arange(0.10, 0.61, 0.01), 2)
FEWEST = 100
"""A class of which fewer nuclei are labelled gets the threshold of both tumour classes together."""


class Judged(NamedTuple):
    """Tumour nuclei that a version found in labelled images: proximity (N,), class (N,), whether a labelled nucleus of the
    same class is there (N,); and how many of either class are labelled.
    """

    scores: NDArray[np.float32]
    classes: NDArray[np.uint8]
    right: NDArray[np.bool_]
    labelled: tuple[int, int]


def calibrate_thresholds(predictor: Predictor, images: Sequence[LabelledImage], radius: RadiusPx) -> Thresholds:
    """The best threshold of either tumour class; non-tumour nuclei, which hardly any validation case labels, get that of
    negative ones.
    """
    judged = judge_nuclei(predictor.with_thresholds(per_class(float(GRID[0]))), images, radius)
    positive, negative = (_calibrate_class(judged, kind) for kind in (NucleusClass.POSITIVE, NucleusClass.NEGATIVE))
    return replace(predictor.version.thresholds, per_class=(positive, negative, negative))


def _calibrate_class(judged: Judged, kind: NucleusClass) -> float:
    chosen, labelled = judged.classes == kind, judged.labelled[kind]
    if labelled < FEWEST:
        chosen, labelled = np.ones_like(chosen), sum(judged.labelled)
    return best_threshold(judged.scores[chosen], judged.right[chosen], labelled)


def best_threshold(scores: NDArray[np.float32], right: NDArray[np.bool_], labelled: int) -> float:
    """The proximity from which on F1 is best, as the curve fitted to all nuclei expects it: where a nucleus is right half as
    often as that F1 (Lipton, Elkan & Naryanaswamy 2014, Optimal thresholding of classifiers to maximize F1 measure). The F1
    that was counted is flat over many thresholds, so that a few nuclei would decide which is best, and one too high costs a
    lab that was never seen far more than one too low (docs/decisions/0007).
    """
    if not len(scores):
        return float(GRID[0])
    expected = fit_confidence(scores, right).of(scores)
    reached = scores >= GRID[:, None]
    f1 = 2 * (reached * expected).sum(axis=1) / (reached.sum(axis=1) + labelled).clip(1)
    return float(GRID[int(f1.argmax())])


class Reliability(NamedTuple):
    """One bin of a reliability curve: of ``nuclei`` given ``said`` on average, the share ``true`` was right."""

    said: float
    true: float
    nuclei: int


def judge_nuclei(predictor: Predictor, images: Sequence[LabelledImage], radius: RadiusPx) -> Judged:
    """What labels say of the tumour nuclei found over the predictor's thresholds. Non-tumour nuclei are left out: hardly any
    image labels them.
    """
    scores, classes, right = [np.empty(0, np.float32)], [np.empty(0, np.uint8)], [np.empty(0, np.bool_)]
    labelled = np.zeros(2, np.int64)
    for image in images:
        truth = image.inside_labelled_area(image.nuclei)
        found = image.inside_labelled_area(predictor.find(image.rgb, image.mpp))
        pairs = match_points(truth.xy, found.xy, radius(image))
        same = np.zeros(len(found), np.bool_)
        same[pairs.found] = truth.classes[pairs.truth] == found.classes[pairs.found]
        is_tumour = found.classes != NucleusClass.OTHER
        scores.append(found.scores[is_tumour])
        classes.append(found.classes[is_tumour])
        right.append(same[is_tumour])
        labelled += truth.counts()[:2]
    positive, negative = labelled.tolist()
    return Judged(np.concatenate(scores), np.concatenate(classes), np.concatenate(right), (positive, negative))


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
