"""Judging a predictor on labelled images, by the same code for the command line, the trainer and the gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from nucleus_app.domain.agreement import (
    Agreement,
    Scores,
    area_under_precision_recall,
    compare_nuclei,
)
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.kinet.predictor import Predictor

CURVE_STEPS = np.geomspace(0.25, 2.0, 15)
"""Multiples of the calibrated thresholds at which the precision-recall curve is drawn."""

RadiusPx = Callable[[LabelledImage], float]


def radius_in_um(radius_um: float) -> RadiusPx:
    """A matching radius in µm, turned into each image's pixels."""
    return lambda image: radius_um / image.mpp


def radius_in_px(radius_px: float) -> RadiusPx:
    return lambda image: radius_px


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Agreement at the calibrated thresholds, area under the classification curve, time and size."""

    agreement: Agreement
    auc: float
    n_nuclei: int
    seconds: float
    megapixels: float


def evaluate(predictor: Predictor, images: Iterable[LabelledImage], radius: RadiusPx) -> Evaluation:
    """Score a predictor. Nuclei outside the labelled area are left out on both sides."""
    lowest = predictor.with_thresholds(_scaled(predictor, float(CURVE_STEPS[0])))
    compared, curves = [], [[] for _ in CURVE_STEPS]  # type: ignore[var-annotated]
    seconds = megapixels = 0.0
    n_nuclei = 0
    for image in images:
        start = time.perf_counter()
        candidates = lowest.find(image.rgb, image.mpp)
        seconds += time.perf_counter() - start
        megapixels += image.rgb.shape[0] * image.rgb.shape[1] / 1e6
        truth = image.inside_labelled_area(image.nuclei)
        candidates = image.inside_labelled_area(candidates)
        n_nuclei += len(truth)
        for step, at in zip(CURVE_STEPS, curves, strict=True):
            at.append(compare_nuclei(image.name, truth, candidates.reaching(_scaled(predictor, step)), radius(image)))
        found = candidates.reaching(predictor.version.thresholds.per_class)
        compared.append(compare_nuclei(image.name, truth, found, radius(image)))
    curve: list[Scores] = [Agreement(tuple(at)).weighted for at in curves]
    return Evaluation(Agreement(tuple(compared)), area_under_precision_recall(curve), n_nuclei, seconds, megapixels)


def _scaled(predictor: Predictor, factor: float) -> tuple[float, float, float]:
    positive, negative, other = (float(t * factor) for t in predictor.version.thresholds.per_class)
    return positive, negative, other
