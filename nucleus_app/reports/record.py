"""The report value of one scored image. Every format is written from it, so that numbers cannot differ."""

from __future__ import annotations

from dataclasses import dataclass

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
    warnings: tuple[str, ...]
    counted: bool = True
    """False for an image that is no Ki67 field: nothing was looked for, so no nuclei does not mean that there are none."""

    @property
    def nuclei(self) -> Nuclei:
        """All that are shown, those left out included."""
        return self.reviewed.nuclei

    @property
    def network_counts(self) -> Counts:
        return self.network.counts()

    @property
    def counts(self) -> Counts:
        return self.tally.counts

    @property
    def confidences(self) -> list[float | None]:
        """Probability of each tumour nucleus; None where the version had no calibration, for non-tumour nuclei, of
        which too few are labelled to calibrate any, and for nuclei on which a person decided.
        """
        if self.confidence is None:
            return [None] * len(self.nuclei)
        said = self.confidence.of(self.nuclei.scores).tolist()
        return [
            None if kind == NucleusClass.OTHER or origin is not Origin.NETWORK else round(p, 4)
            for p, kind, origin in zip(said, self.nuclei.classes, self.reviewed.origins, strict=True)
        ]

    @property
    def index(self) -> LabellingIndex | None:
        return find_labelling_index(self.counts)
