"""Non-tumour nuclei of images in which every tumour nucleus was marked and no other: what the second teacher sees far from
all of them (decision 0007). Stroma, vessels and inflammation in Ki67 itself, of which experts labelled very few.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from trainer.base.seeds import LEAST_SEED, SeedFinder
from trainer.learning.dataset import NON_TUMOUR, NUCLEUS_RADIUS_UM, TrainingImage, codes_at, mask_near


def is_told_by_absence(image: LabelledImage) -> bool:
    """Whether what nobody marked in an image is no tumour: all of it was looked at, and only tumour was marked."""
    return image.labelled_area is None and len(image.nuclei.of_class(NucleusClass.OTHER)) == 0


def mark_bystanders(image: TrainingImage, seeds: SeedFinder, mpp: float, weight: float) -> TrainingImage:
    """Put the second teacher's nuclei in the place of what was taken for non-tumour nuclei in the weak non-tumour region.
    They teach with ``weight`` (0..1); where it is in doubt, nothing does.
    """
    tumour = image.nuclei.select(codes_at(image.region, image.nuclei.xy) != NON_TUMOUR)
    xy, value = seeds.find(image.rgb)
    is_far = codes_at(image.region, xy) == NON_TUMOUR
    is_sure = value >= LEAST_SEED
    shape, radius_px = image.weight.shape, NUCLEUS_RADIUS_UM / mpp
    plane = image.weight.copy()
    plane[mask_near(xy[is_far & ~is_sure], shape, radius_px)] = 0
    plane[mask_near(xy[is_far & is_sure], shape, radius_px)] = round(255 * weight)
    found = xy[is_far & is_sure]
    others = Nuclei.from_arrays(found, np.full(len(found), NucleusClass.OTHER))
    return replace(image, nuclei=Nuclei.concatenate([tumour, others]), weight=plane)
