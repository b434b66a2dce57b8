"""One image with what people said of it: what a signed case teaches, and where (decision 0010)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.kinet.preprocess import Rgb

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """``rgb`` (H, W, 3) uint8 of ``mpp`` µm/px; everything else in its pixels. ``case``: its patient, by the smallest of the
    patient's cases.

    ``nuclei``: what is there after all corrections, excluded places left out, nuclei in painted non-tumour regions as
    non-tumour ones. ``by_person`` (N,): a person placed, classed or moved it; else the network found it and nobody
    objected. ``removed`` (M, 2): a person said that there is no nucleus. ``doubtful`` (K, 2): what says neither that
    there is one nor that there is none: candidates under the thresholds outside painted reviewed areas, and nuclei that
    readers disagree about.
    ``reviewed`` (H, W): painted as reviewed. ``signed`` (H, W): counted fields in which a person corrected something.
    ``excluded`` (H, W). ``tissue`` (H, W) uint8: the weak regions that a person painted, codes of
    :mod:`trainer.learning.dataset`. An excluded pixel is neither reviewed nor signed.
    """

    name: str
    image: int
    case: int
    rgb: Rgb
    mpp: float
    nuclei: Nuclei
    by_person: NDArray[np.bool_]
    removed: Points
    doubtful: Points
    reviewed: NDArray[np.bool_]
    signed: NDArray[np.bool_]
    excluded: NDArray[np.bool_]
    tissue: NDArray[np.uint8]
    left: int = 0
    top: int = 0
    """Where the upper left pixel of ``rgb`` lies in the image: of a large one only what teaches is cut out."""

    def as_labelled(self) -> LabelledImage:
        """For judging: labelled where it was reviewed or signed."""
        return LabelledImage(self.name, self.rgb, self.mpp, self.nuclei, self.reviewed | self.signed)
