"""What a signed image teaches, pixel by pixel: strongest where a person acted, nothing where nobody looked (decision 0010)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.kinet.preprocess import scale_image
from trainer.learning.dataset import (
    EXCLUDED,
    NON_TUMOUR,
    STROMA_BEYOND_UM,
    TUMOUR,
    TUMOUR_REACH_UM,
    UNKNOWN,
    TrainingImage,
    distance_to,
    mask_near,
    measure_stains,
    resize_codes,
    resize_mask,
)
from trainer.learning.example import Example

PERSON_REACH_UM = 4.0
"""Around what a person did: as far as a nucleus' own proximity reaches."""
DOUBT_REACH_UM = 3.5
PERSON_WEIGHT, REVIEWED_WEIGHT, SIGNED_WEIGHT = 1.0, 0.6, 0.35


def prepare_lesson(example: Example, network_mpp: float, *, weak_roi: bool = True) -> TrainingImage:
    """An example at the network's scale. ``weak_roi`` False leaves the ROI sibling untaught."""
    rgb, scaling = scale_image(example.rgb, example.mpp, network_mpp)
    shape = (rgb.shape[0], rgb.shape[1])
    nuclei = Nuclei(scaling.to_network(example.nuclei.xy), example.nuclei.classes, example.nuclei.scores)
    excluded = resize_mask(example.excluded, shape)
    reviewed = resize_mask(example.reviewed, shape)
    weight = np.where(resize_mask(example.signed, shape), SIGNED_WEIGHT, 0.0)
    weight[reviewed] = REVIEWED_WEIGHT
    weight[mask_near(scaling.to_network(example.doubtful), shape, DOUBT_REACH_UM / network_mpp)] = 0.0
    removed = scaling.to_network(example.removed)
    acts = np.concatenate([nuclei.xy[example.by_person], removed])
    weight[mask_near(acts, shape, PERSON_REACH_UM / network_mpp)] = PERSON_WEIGHT
    weight[excluded] = 0.0
    region = _find_region(nuclei, resize_codes(example.tissue, shape), reviewed, network_mpp)
    region = region if weak_roi else np.full(shape, UNKNOWN, np.uint8)
    region[excluded] = EXCLUDED
    stains = measure_stains(rgb, nuclei)
    return TrainingImage(example.name, rgb, nuclei, np.rint(255 * weight).astype(np.uint8), region, stains, removed)


def _find_region(
    nuclei: Nuclei, painted: NDArray[np.uint8], reviewed: NDArray[np.bool_], mpp: float
) -> NDArray[np.uint8]:
    """Weak regions: as painted, and in the reviewed rest as the tumour nuclei there say."""
    from_tumour = distance_to(nuclei.xy[nuclei.classes != NucleusClass.OTHER], reviewed.shape) * mpp
    region = painted.copy()
    open_ = reviewed & (painted == UNKNOWN)
    region[open_ & (from_tumour <= TUMOUR_REACH_UM)] = TUMOUR
    region[open_ & (from_tumour > STROMA_BEYOND_UM)] = NON_TUMOUR
    return region
