"""A labelled image: what a person marked, and where the absence of a mark means something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.nuclei import Nuclei


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """``rgb`` (H, W, 3) uint8; ``nuclei`` in its pixels; ``labelled_area`` (H, W) bool, or None when all of it is
    labelled. Outside that area nuclei are unlabelled, not absent.
    """

    name: str
    rgb: NDArray[np.uint8]
    mpp: float
    nuclei: Nuclei
    labelled_area: NDArray[np.bool_] | None

    def inside_labelled_area(self, nuclei: Nuclei) -> Nuclei:
        """Those of the given nuclei that lie where this image is labelled."""
        return nuclei if self.labelled_area is None else nuclei.select(self.are_labelled(nuclei))

    def are_labelled(self, nuclei: Nuclei) -> NDArray[np.bool_]:
        """Which of the given nuclei (N,) lie where this image is labelled."""
        if self.labelled_area is None:
            return np.ones(len(nuclei), np.bool_)
        height, width = self.labelled_area.shape
        column = np.clip(np.rint(nuclei.xy[:, 0]).astype(int), 0, width - 1)
        row = np.clip(np.rint(nuclei.xy[:, 1]).astype(int), 0, height - 1)
        labelled: NDArray[np.bool_] = self.labelled_area[row, column]
        return labelled
