"""The report value of one scored image. Every format is written from it, so that numbers cannot differ."""

from __future__ import annotations

from dataclasses import dataclass

from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.index import LabellingIndex, find_labelling_index
from nucleus_app.domain.nuclei import Counts, Nuclei
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
    nuclei: Nuclei
    warnings: tuple[str, ...]
    counted: bool = True
    """False for an image that is no Ki67 field: nothing was looked for, so no nuclei does not mean that there are none."""

    @property
    def counts(self) -> Counts:
        return self.nuclei.counts()

    @property
    def confidences(self) -> list[float | None]:
        """Probability of each nucleus; None where the version had no calibration."""
        if self.confidence is None:
            return [None] * len(self.nuclei)
        return [round(p, 4) for p in self.confidence.of(self.nuclei.scores).tolist()]

    @property
    def index(self) -> LabellingIndex | None:
        return find_labelling_index(self.counts)
