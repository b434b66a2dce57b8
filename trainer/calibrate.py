"""Choosing the thresholds of a version on validation cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nucleus_app.domain.agreement import Agreement, ImageAgreement, compare_nuclei
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.kinet.config import Thresholds
from nucleus_app.kinet.evaluation import RadiusPx, cut
from nucleus_app.kinet.predictor import Predictor

GRID = np.round(np.arange(0.10, 0.61, 0.01), 2)
NON_TUMOUR_FACTOR = 1.4
"""How much higher the non-tumour threshold is. Almost no validation case labels non-tumour nuclei, so it cannot be
calibrated; at 1 the weakly taught third class takes tumour nuclei at the rim of nests (decision 0003).
"""


def calibrate_thresholds(predictor: Predictor, images: Sequence[LabelledImage], radius: RadiusPx) -> Thresholds:
    """One threshold for both tumour classes, and a higher one for non-tumour: the one with the best detection F1,
    averaged over sets (not images), so that the largest lab does not decide for the others. A set is named by the
    first word of its images' names.
    """
    lowest = predictor.with_thresholds(per_class(float(GRID[0])))
    by_threshold: list[dict[str, list[ImageAgreement]]] = [defaultdict(list) for _ in GRID]
    for image in images:
        truth = image.inside_labelled_area(image.nuclei)
        candidates = image.inside_labelled_area(lowest.find(image.rgb, image.mpp))
        for level, sets in zip(GRID, by_threshold, strict=True):
            found = cut(candidates, per_class(float(level)))
            sets[image.name.split("_")[0]].append(compare_nuclei(image.name, truth, found, radius(image)))
    f1 = [np.mean([Agreement(tuple(a)).detection.f1 for a in sets.values()]) for sets in by_threshold]
    best = float(GRID[int(np.argmax(f1))])
    return replace(predictor.version.thresholds, per_class=per_class(best))


def per_class(tumour: float) -> tuple[float, float, float]:
    """Thresholds of the three classes for one of the tumour classes."""
    return tumour, tumour, round(NON_TUMOUR_FACTOR * tumour, 4)
