"""What a trained network knows improves what the next one is taught: labels are centred, doubtful places are left out,
unlabelled images are labelled where the teacher is sure (Feng et al. 2019: what is unlabelled is not background).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.kinet.graph import decode_maps
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import Rgb
from trainer.base.seeds import LEAST_SEED, SeedFinder
from trainer.learning.dataset import (
    NON_TUMOUR,
    NUCLEUS_RADIUS_UM,
    TUMOUR,
    UNKNOWN,
    TrainingImage,
    codes_at,
    mask_near,
    measure_stains,
)

LABEL_REACH_UM = 4.0
"""A label this near a nucleus that the teacher found is centred on it."""
DOUBTFUL, SURE = 0.6, 1.15
"""Shares of the teacher's thresholds: under the first there is nothing, over the second there is a nucleus."""
SURE_ALONE = 1.4
"""The second share, of a nucleus that the second teacher does not see; one that both see is sure from DOUBTFUL on."""
SAME_NUCLEUS_UM = 3.5
View = tuple[int, bool]
"""Quarter turns, and whether mirrored."""
ALL_VIEWS: tuple[View, ...] = tuple((turn, mirrored) for turn in range(4) for mirrored in (False, True))
TWO_VIEWS: tuple[View, ...] = ((0, False), (2, True))


class Teacher:
    """A version asked in eight orientations (two where there are labels already), so that it is more certain than in one, and a second opinion where there
    is one on nuclei in unlabelled images.
    """

    def __init__(self, predictor: Predictor, seeds: SeedFinder | None = None) -> None:
        self._predictor = predictor
        self._seeds = seeds
        positive, negative, other = (DOUBTFUL * level for level in predictor.version.thresholds.per_class)
        self._thresholds = replace(predictor.version.thresholds, per_class=(positive, negative, other))
        self._mpp = predictor.version.config.mpp

    def find(self, rgb: Rgb, views: Sequence[View] = ALL_VIEWS) -> tuple[Nuclei, NDArray[np.float32]]:
        """Nuclei of an image at the network's scale and, for each, its proximity over its class's threshold."""
        maps = np.mean([self._oriented(rgb, turn, mirrored) for turn, mirrored in views], axis=0)
        found = decode_maps(maps, replace(self._thresholds, smoothing_px=0.0))  # the maps are smoothed already
        return found, found.scores / np.asarray(self._predictor.version.thresholds.per_class, np.float32)[found.classes]

    def _oriented(self, rgb: Rgb, turn: int, mirrored: bool) -> NDArray[np.float32]:
        view = np.rot90(rgb, turn)
        view = np.ascontiguousarray(view[:, ::-1] if mirrored else view)
        maps = self._predictor.stitch_maps(self._predictor.prepare(view, self._mpp))
        return np.rot90(maps[:, :, ::-1] if mirrored else maps, -turn, axes=(1, 2))

    def refine(self, image: TrainingImage) -> TrainingImage:
        """Centre the labels of an image, leave out nuclei that nobody labelled, and replace the stained blobs of weak
        regions by what the teacher finds there. Complete expert labels (with non-tumour nuclei) are kept as they are.
        """
        is_weak = codes_at(image.region, image.nuclei.xy) == NON_TUMOUR
        labelled = image.nuclei.select(~is_weak)
        if len(labelled.of_class(NucleusClass.OTHER)):
            return image
        found, strength = self.find(image.rgb, TWO_VIEWS)
        pairs = match_points(labelled.xy, found.xy, LABEL_REACH_UM / self._mpp)
        xy = labelled.xy.copy()
        xy[pairs.truth] = found.xy[pairs.found]
        unmatched = np.setdiff1d(np.arange(len(found)), pairs.found)
        in_weak = codes_at(image.region, found.xy[unmatched]) == NON_TUMOUR
        is_other = found.classes[unmatched] == NucleusClass.OTHER
        added = unmatched[in_weak & is_other & (strength[unmatched] >= SURE)]
        left_out = unmatched[np.where(in_weak, ~is_other | (strength[unmatched] < SURE), strength[unmatched] >= 1.0)]
        shape = (image.rgb.shape[0], image.rgb.shape[1])
        weight = image.weight.copy()
        weight[mask_near(found.xy[left_out], shape, NUCLEUS_RADIUS_UM / self._mpp)] = 0
        nuclei = Nuclei.concatenate([Nuclei(xy, labelled.classes, labelled.scores), found.select(added)])
        return replace(image, nuclei=nuclei, weight=weight)

    def label(self, name: str, rgb: Rgb, weight: float) -> TrainingImage:
        """A training image from an unlabelled one: what the teacher is sure of, and nothing where it is in doubt."""
        found, strength = self.find(rgb)
        is_sure, unseen = self._judge(rgb, found, strength)
        shape = (rgb.shape[0], rgb.shape[1])
        plane = np.full(shape, round(255 * weight), np.uint8)
        doubtful = np.concatenate([found.xy[~is_sure], unseen])
        plane[mask_near(doubtful, shape, NUCLEUS_RADIUS_UM / self._mpp)] = 0
        region = np.full(shape, UNKNOWN, np.uint8)
        sure = found.select(is_sure)
        near_other = mask_near(sure.of_class(NucleusClass.OTHER).xy, shape, NUCLEUS_RADIUS_UM / self._mpp)
        near_tumour = mask_near(sure.xy[sure.classes != NucleusClass.OTHER], shape, NUCLEUS_RADIUS_UM / self._mpp)
        region[near_other & ~near_tumour] = NON_TUMOUR
        region[near_tumour & ~near_other] = TUMOUR
        return TrainingImage(name, rgb, sure, plane, region, measure_stains(rgb, sure))

    def _judge(
        self, rgb: Rgb, found: Nuclei, strength: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which of the nuclei found are sure (N,), never non-tumour ones where there is a second opinion, and centres (M, 2) that only the second teacher sees."""
        if self._seeds is None:
            return strength >= SURE, np.empty((0, 2), np.float32)
        seeds, value = self._seeds.find(rgb)
        pairs = match_points(found.xy, seeds, SAME_NUCLEUS_UM / self._mpp)
        is_sure = strength >= SURE_ALONE
        is_sure[pairs.truth] = True
        is_sure &= found.classes != NucleusClass.OTHER  # red blood cells were among those
        alone = np.setdiff1d(np.flatnonzero(value >= LEAST_SEED), pairs.found)
        return is_sure, seeds[alone]
