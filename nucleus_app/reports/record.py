"""The report value of one scored image. Every format is written from it, so that numbers cannot differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.cautions import list_count_cautions
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.edits import Region
from nucleus_app.domain.index import LabellingIndex, find_labelling_index
from nucleus_app.domain.nuclei import Counts, Nuclei, NucleusClass
from nucleus_app.domain.reviewed import Origin, ReviewedNuclei, Tally
from nucleus_app.domain.scale import PixelSize


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image, its nuclei in its own pixels, and how they were found."""

    image_sha256: str
    width_px: int
    height_px: int
    pixel_size: PixelSize
    version_name: str
    version_sha256: str
    app_version: str
    thresholds: tuple[float, ...]
    confidence: Confidence | None
    cuts: tuple[float, ...]
    """From which proximity on candidates that nobody touched count: the thresholds, unless a person moved them."""
    reviewed: ReviewedNuclei
    tally: Tally
    network: Nuclei
    """What the network found before any correction, at its own thresholds."""
    regions: tuple[Region, ...]
    image_cautions: tuple[str, ...]
    """What is wrong with the image, whatever was counted in it."""
    is_imported: bool = False
    """The nuclei are annotations of a file, which ``version_name`` and ``version_sha256`` name."""
    counted: bool = True
    """False for an image that is no Ki67 field: nothing was looked for, so no nuclei does not mean that there are none."""

    @property
    def nuclei(self) -> Nuclei:
        """All that are shown, those left out included."""
        return self.reviewed.nuclei

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the whole image."""
        return (*self.image_cautions, *list_count_cautions(self.counts if self.counted else None))

    @property
    def network_counts(self) -> Counts:
        return self.network.counts()

    @property
    def counts(self) -> Counts:
        return self.tally.counts

    def find_confidences(self, chosen: NDArray[np.intp] | None = None) -> list[float | None]:
        """Probability of each of the chosen tumour nuclei (of all, if none are named); None where the version had no calibration, for non-tumour nuclei, of
        which too few are labelled to calibrate any, and for nuclei on which a person decided.
        """
        at = np.arange(len(self.nuclei)) if chosen is None else chosen
        if self.confidence is None:
            return [None] * len(at)
        said = self.confidence.of(self.nuclei.scores[at]).tolist()
        origins = self.reviewed.origins
        return [
            None if kind == NucleusClass.OTHER or origins[i] is not Origin.NETWORK else round(p, 4)
            for i, p, kind in zip(at.tolist(), said, self.nuclei.classes[at], strict=True)
        ]

    @property
    def index(self) -> LabellingIndex | None:
        return find_labelling_index(self.counts)
