"""Everything that one run is taught: labelled images, unlabelled ones that a teacher labels, auxiliary ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.errors import InvalidDataset
from nucleus_app.kinet.config import KiNetConfig
from nucleus_app.kinet.preprocess import Rgb, scale_image
from trainer.base.auxiliary import read_auxiliary
from trainer.base.bystanders import is_told_by_absence, mark_bystanders
from trainer.base.readings import Reading
from trainer.base.seeds import SeedFinder
from trainer.base.teacher import Teacher
from trainer.learning.dataset import TrainingImage, prepare_training_image
from trainer.learning.policy import TrainPolicy

UNLABELLED = "unlabelled"
"""Starts the names of images that a teacher labelled: they are sets of their own when crops are drawn."""


@dataclass(frozen=True, slots=True)
class UnlabelledFile:
    """An image without labels, and its pixel size."""

    path: Path
    mpp: float

    @classmethod
    def parse(cls, text: str) -> UnlabelledFile:
        """``FILE:MPP``. Raises InvalidDataset."""
        path, separator, mpp = text.rpartition(":")
        try:
            parsed = cls(Path(path), float(mpp))
        except ValueError:
            separator = ""
        if not separator or not parsed.path.is_file():
            raise InvalidDataset(f"{text} names no image and its µm/px: write FILE:MPP, such as field.png:0.5")
        return parsed

    def read(self) -> Rgb:
        return np.asarray(Image.open(self.path).convert("RGB"))


def assemble(
    labelled: Sequence[LabelledImage],
    config: KiNetConfig,
    policy: TrainPolicy,
    *,
    teacher: Teacher | None = None,
    seeds: SeedFinder | None = None,
    unlabelled: Sequence[UnlabelledFile] = (),
    readings: Mapping[str, Reading] = MappingProxyType({}),
    auxiliary: Path | None = None,
) -> list[TrainingImage]:
    """All training images at the network's scale. A teacher refines the labels of the labelled ones; the second one, by its
    ``seeds``, shows the non-tumour nuclei that nobody labelled; ``readings``, by name of an unlabelled image, correct what the
    teacher makes of it.
    """
    if unlabelled and teacher is None:
        raise InvalidDataset("unlabelled images need a teacher to label them: give --teacher FILE")
    prepared = [prepare_training_image(image, config.mpp, policy.weak_weight) for image in labelled]
    if teacher is not None:
        prepared = [teacher.refine(image) for image in prepared]
    if seeds is not None:
        prepared = [
            mark_bystanders(image, seeds, config.mpp, policy.unlabelled_weight) if is_told_by_absence(told) else image
            for image, told in zip(prepared, labelled, strict=True)
        ]
    if teacher is not None:
        for file in unlabelled:
            scaled, scaling = scale_image(file.read(), file.mpp, config.mpp)
            image = teacher.label(f"{UNLABELLED}-{file.path.stem}", scaled, policy.unlabelled_weight)
            if reading := readings.get(file.path.stem):
                image = reading.correct(image, scaling, config.mpp, policy.unlabelled_weight)
            prepared.append(image)
    if auxiliary is not None:
        rng = np.random.default_rng(policy.seed)
        weight, variants = policy.auxiliary_weight, policy.auxiliary_variants
        prepared += read_auxiliary(auxiliary, config.mpp, weight, variants, rng)
    return prepared
