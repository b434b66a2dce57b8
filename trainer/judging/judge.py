"""A version's agreement with labelled images, set by set; also on the same images as another lab would have stained them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nucleus_app.domain.agreement import Agreement, compare_nuclei
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import MATCH_UM
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import scale_image
from trainer.learning.augment import restain
from trainer.learning.calibrate import GRID, per_class
from trainer.learning.dataset import measure_stains

WIDE_UM, NARROW_UM = 8.0, 4.0
LARGEST_TO_RESTAIN_MPX = 1.5
SEED = 7


def judge(predictor: Predictor, images: Iterable[LabelledImage]) -> dict[str, dict[str, Any]]:
    """Per set (first word of image names) and for ``all``: what is reported of a version, at its own thresholds, and the
    best detection F1 that one threshold for all classes would have reached (``best_f1``: an oracle, never a result).
    """
    lowest = predictor.with_thresholds(per_class(float(GRID[0])))
    sets: dict[str, list[tuple[LabelledImage, Any]]] = defaultdict(list)
    for image in images:
        pair = image, image.inside_labelled_area(lowest.find(image.rgb, image.mpp))
        sets[image.name.split("_")[0]].append(pair)
        sets["all"].append(pair)
    own = predictor.version.thresholds.per_class

    def agreement(pairs: list[tuple[LabelledImage, Any]], levels: tuple[float, ...], radius_um: float) -> Agreement:
        return Agreement(
            tuple(
                compare_nuclei(i.name, i.inside_labelled_area(i.nuclei), found.reaching(levels), radius_um / i.mpp)
                for i, found in pairs
            )
        )

    lines: dict[str, dict[str, Any]] = {}
    for name, pairs in sets.items():
        at = agreement(pairs, own, MATCH_UM)
        index = at.index_mae_points
        best = max((agreement(pairs, per_class(float(t)), MATCH_UM).detection.f1, float(t)) for t in GRID[10::2])
        lines[name] = {
            "images": len(pairs),
            "detection_f1": round(at.detection.f1, 4),
            "precision": round(at.detection.precision, 4),
            "recall": round(at.detection.recall, 4),
            "f1_8um": round(agreement(pairs, own, WIDE_UM).detection.f1, 4),
            "f1_4um": round(agreement(pairs, own, NARROW_UM).detection.f1, 4),
            "class_f1": {k.slug: round(at.of_class(k).f1, 4) for k in at.classes_in_truth},
            "weighted_f1": round(at.weighted.f1, 4),
            "index_mae_points": None if index is None else round(index, 2),
            "best_f1": [round(best[0], 4), best[1]],
        }
    return lines


def restain_images(images: Iterable[LabelledImage], mpp: float, copies: int) -> Iterator[LabelledImage]:
    """Each image that is not large, ``copies`` times with stain vectors, light, focus and noise of another lab."""
    rng = np.random.default_rng(SEED)
    for image in images:
        if image.rgb.shape[0] * image.rgb.shape[1] > LARGEST_TO_RESTAIN_MPX * 1e6:
            continue
        rgb, scaling = scale_image(image.rgb, image.mpp, mpp)
        at = replace(image.nuclei, xy=scaling.to_network(image.nuclei.xy))
        stains = torch.from_numpy(measure_stains(rgb, at).astype(np.float32))[None]
        pixels = torch.from_numpy(np.array(image.rgb)).permute(2, 0, 1)[None].float()
        for _ in range(copies):
            stained = ((restain(pixels, stains, rng)[0].permute(1, 2, 0).numpy() + 1) * 127.5).round()
            yield replace(image, rgb=stained.astype(np.uint8))
