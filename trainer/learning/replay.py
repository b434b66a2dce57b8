"""What keeps a network from forgetting while it learns a lab: the auxiliary data of MicroNet (Xing et al. 2019, BMC
Bioinformatics, L = γ L_T + L_A). The images that the base learned from cannot be shipped, so others stand in for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.imaging.dataset import read_datasets
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from trainer.learning.dataset import (
    EXCLUDED,
    NON_TUMOUR,
    TUMOUR,
    TrainingImage,
    mask_near,
    measure_stains,
    prepare_training_image,
)

SYNTHETIC_FIELDS = 5
SYNTHETIC_PX = 448
REGION_REACH_UM = 5.0
WEAK_WEIGHT = 0.25


class Replay(StrEnum):
    """Where replayed crops come from."""

    SYNTHETIC = "synthetic"
    """Drawn fields, stained as by any lab, with their truth."""
    DISTILLED = "distilled"
    """The lab's own fields and drawn ones, stained as by any other lab, with the answers of the network that one starts from."""
    FOLDER = "folder"
    """Labelled images that the site provides."""


def draw_synthetic(mpp: float, rng: np.random.Generator, count: int = SYNTHETIC_FIELDS) -> list[TrainingImage]:
    """Synthetic fields of many kinds, completely labelled."""
    drawn = []
    for n in range(count):
        recipe = FieldRecipe(
            SYNTHETIC_PX, SYNTHETIC_PX, mpp,
            positive_share=float(rng.uniform(0.03, 0.7)),
            tumour_spacing_um=float(rng.uniform(8.5, 12.0)),
            stroma_share=float(rng.uniform(0.1, 0.4)),
        )  # fmt: skip
        field = draw_field(recipe, rng, f"synthetic_{n}")
        shape = (SYNTHETIC_PX, SYNTHETIC_PX)
        is_other = field.nuclei.classes == NucleusClass.OTHER
        region = np.zeros(shape, np.uint8)
        region[mask_near(field.nuclei.xy[is_other], shape, REGION_REACH_UM / mpp)] = NON_TUMOUR
        region[mask_near(field.nuclei.xy[~is_other], shape, REGION_REACH_UM / mpp)] = TUMOUR
        everywhere = np.full(shape, 255, np.uint8)
        stains = measure_stains(field.rgb, field.nuclei)
        drawn.append(TrainingImage(field.name, field.rgb, field.nuclei, everywhere, region, stains))
    return drawn


def read_folder(folder: Path, mpp: float) -> list[TrainingImage]:
    """A site's own labelled images. Raises InvalidDataset when it holds none."""
    return [prepare_training_image(image, mpp, WEAK_WEIGHT) for image in read_datasets([folder])]


def collect_replay(
    kinds: Sequence[Replay], lessons: Sequence[TrainingImage], folder: Path | None, mpp: float, rng: np.random.Generator
) -> tuple[list[TrainingImage], list[TrainingImage]]:
    """Images whose truth is told, and images about which the network that one starts from is asked."""
    synthetic = draw_synthetic(mpp, rng) if kinds else []
    told = list(synthetic) if Replay.SYNTHETIC in kinds else []
    if folder is not None and Replay.FOLDER in kinds:
        told += read_folder(folder, mpp)
    asked = [*lessons, *synthetic] if Replay.DISTILLED in kinds else []
    return told, [teach_everywhere(image) for image in asked]


def teach_everywhere(image: TrainingImage) -> TrainingImage:
    """All of an image but what a person excluded."""
    return replace(image, weight=np.where(image.region == EXCLUDED, 0, 255).astype(np.uint8))
