"""What a person read in images that otherwise a teacher labels: non-tumour nuclei, of which experts labelled few, and places
where teachers see nuclei and there are none, such as red blood cells (decision 0007).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.errors import InvalidDataset
from nucleus_app.kinet.preprocess import Scaling
from trainer.base.teacher import LABEL_REACH_UM, SAME_NUCLEUS_UM
from trainer.learning.dataset import NON_TUMOUR, NUCLEUS_RADIUS_UM, TUMOUR, UNKNOWN, TrainingImage, mask_near

KINDS = {"positive": NucleusClass.POSITIVE, "negative": NucleusClass.NEGATIVE, "other": NucleusClass.OTHER}


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one image, in its pixels: ``nuclei``; centres (N, 2) of what may be nuclei of any class, ``unsure``; and boxes (M, 4)
    of left, top, right and bottom: ``exact``, with no other nuclei than these, and ``left_out``, where nothing else was read;
    ``absent`` (K, 2): what looks like a nucleus and is none.
    """

    nuclei: Nuclei
    unsure: NDArray[np.float32]
    absent: NDArray[np.float32]
    exact: NDArray[np.float32]
    left_out: NDArray[np.float32]

    @classmethod
    def parse(cls, told: dict[str, Any]) -> Self:
        nuclei = [(point, code) for kind, code in KINDS.items() for point in told.get(kind, [])]
        unsure, absent, exact, left_out = (
            np.asarray(told.get(key, []), np.float32).reshape(-1, width)
            for key, width in (("unsure", 2), ("absent", 2), ("exact", 4), ("left_out", 4))
        )
        return cls(Nuclei.from_arrays([p for p, _ in nuclei], [c for _, c in nuclei]), unsure, absent, exact, left_out)

    def correct(self, image: TrainingImage, scaling: Scaling, mpp: float, weight: float) -> TrainingImage:
        """What a teacher made of the image, which ``scaling`` brought to the network's ``mpp``, corrected. What was read teaches
        with ``weight`` (0..1), what is left out does not.
        """
        read = Nuclei(scaling.to_network(self.nuclei.xy), self.nuclei.classes, self.nuclei.scores)
        unsure, absent = scaling.to_network(self.unsure), scaling.to_network(self.absent)
        shape, radius_px = image.weight.shape, NUCLEUS_RADIUS_UM / mpp
        exact, left_out = (
            _inside(scaling.to_network(boxes.reshape(-1, 2)).reshape(-1, 4), shape)
            for boxes in (self.exact, self.left_out)
        )
        doubtful = mask_near(unsure, shape, radius_px) | (left_out & ~exact)
        seen = np.concatenate([read.xy, absent])
        read_again = exact | doubtful | mask_near(seen, shape, SAME_NUCLEUS_UM / mpp)
        x, y = image.nuclei.xy.astype(np.intp).T
        plane, region = image.weight.copy(), image.region.copy()
        plane[exact] = round(255 * weight)
        plane[doubtful] = 0
        region[read_again] = UNKNOWN
        is_other = read.classes == NucleusClass.OTHER
        for code, xy in ((UNKNOWN, absent), (TUMOUR, read.xy[~is_other]), (NON_TUMOUR, read.xy[is_other])):
            near = mask_near(xy, shape, radius_px)
            plane[near], region[near] = round(255 * weight), code
        kept = image.nuclei.select(~read_again[y, x])
        return replace(image, nuclei=Nuclei.concatenate([kept, read]), weight=plane, region=region, absent=absent)

    def compare(self, found: Nuclei, mpp: float) -> dict[str, dict[str, int]]:
        """What a network's nuclei, in the image's pixels, say of those that were read: by kind, how many it calls what, how many it
        does not find; and how many of what is none it marks.
        """
        said = {}
        for kind, code in KINDS.items():
            read = self.nuclei.of_class(code).xy
            pairs = match_points(read, found.xy, LABEL_REACH_UM / mpp)
            called = np.bincount(found.classes[pairs.found], minlength=len(KINDS)).tolist()
            said[kind] = (
                {"read": len(read)} | dict(zip(KINDS, called, strict=True)) | {"missed": len(read) - sum(called)}
            )
        marked = match_points(self.absent, found.xy, SAME_NUCLEUS_UM / mpp).found
        return said | {"absent": {"read": len(self.absent), "marked": len(marked)}}


def read_readings(path: Path) -> dict[str, Reading]:
    """Readings by the name of their image, without its ending. Raises InvalidDataset."""
    try:
        return {name: Reading.parse(told) for name, told in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InvalidDataset(f"{path} holds no readings: {error}") from error


def _inside(boxes: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    inside = np.zeros(shape, np.bool_)
    for left, top, right, bottom in np.maximum(np.rint(boxes), 0).astype(int):
        inside[top:bottom, left:right] = True
    return inside
