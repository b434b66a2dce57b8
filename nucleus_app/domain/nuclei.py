"""Nuclei of one image, and the three classes they fall into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class NucleusClass(IntEnum):
    """Class of a nucleus. The value is the channel of every map and the code of every file; it is defined here only."""

    POSITIVE = 0
    """Immunopositive tumour nucleus (any intensity of nuclear stain)."""
    NEGATIVE = 1
    """Immunonegative tumour nucleus."""
    OTHER = 2
    """Non-tumour nucleus (stroma, lymphocyte, vessel, normal gland). Never enters the index."""

    @property
    def title(self) -> str:
        return ("Immunopositive tumour", "Immunonegative tumour", "Non-tumour")[self]

    @property
    def slug(self) -> str:
        return self.name.lower()


N_CLASSES = len(NucleusClass)
CANDIDATE_SHARE = 0.5
"""Peaks down to this share of each class's threshold are kept as candidates: cuts may go down to there, and confidence is fitted to them."""


class Counts(NamedTuple):
    """Number of nuclei per class."""

    positive: int
    negative: int
    other: int

    @property
    def tumour(self) -> int:
        return self.positive + self.negative


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Nuclei as a struct of arrays.

    ``xy`` (N, 2) float32, pixels of the original image, x right, y down, pixel centres at integers;
    ``classes`` (N,) uint8, values of :class:`NucleusClass`; ``scores`` (N,) float32, the network's
    proximity at the nucleus (1 for a nucleus placed by a person); ``rivals`` (N,) uint8, the proximity of the other tumour
    class there in 255ths of the score, 0 where nobody noted it and for non-tumour nuclei.
    """

    xy: NDArray[np.float32]
    classes: NDArray[np.uint8]
    scores: NDArray[np.float32]
    rivals: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self) -> None:
        n = len(self.xy)
        if not len(self.rivals):
            object.__setattr__(self, "rivals", np.zeros(n, np.uint8))
        shapes = [array.shape for array in (self.xy, self.classes, self.scores, self.rivals)]
        if shapes != [(n, 2), (n,), (n,), (n,)]:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} are not (N, 2), (N,), (N,), (N,)")
        if n and int(self.classes.max()) >= N_CLASSES:
            raise ValueError(f"class {int(self.classes.max())} is not one of 0..{N_CLASSES - 1}")

    @classmethod
    def from_arrays(cls, xy: object, classes: object, scores: object | None = None) -> Nuclei:
        """Build from anything array-like, with scores of 1 where none are given."""
        points = np.asarray(xy, dtype=np.float32).reshape(-1, 2)
        kinds = np.asarray(classes, dtype=np.uint8).reshape(-1)
        values = np.ones(len(points), np.float32) if scores is None else np.asarray(scores, np.float32).reshape(-1)
        return cls(points, kinds, values)

    @classmethod
    def empty(cls) -> Nuclei:
        return cls.from_arrays([], [])

    @classmethod
    def concatenate(cls, parts: Iterable[Nuclei]) -> Nuclei:
        listed = list(parts)
        if not listed:
            return cls.empty()
        return cls(
            np.concatenate([p.xy for p in listed]),
            np.concatenate([p.classes for p in listed]),
            np.concatenate([p.scores for p in listed]),
            np.concatenate([p.rivals for p in listed]),
        )

    def __len__(self) -> int:
        return len(self.xy)

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Nuclei:
        """The nuclei at a boolean mask or at indices, in that order."""
        return Nuclei(self.xy[chosen], self.classes[chosen], self.scores[chosen], self.rivals[chosen])

    def of_class(self, kind: NucleusClass) -> Nuclei:
        return self.select(self.classes == kind)

    def reaching(self, levels: Sequence[float]) -> Nuclei:
        """Those whose score is at least their class's level; compared in float32, as the network itself does."""
        return self.select(self.reach(levels))

    def reach(self, levels: Sequence[float]) -> NDArray[np.bool_]:
        """Which of them :meth:`reaching` would select, (N,) bool."""
        reached: NDArray[np.bool_] = self.scores >= np.asarray(levels, np.float32)[self.classes]
        return reached

    def counts(self) -> Counts:
        found = np.bincount(self.classes, minlength=N_CLASSES)
        return Counts(*(int(found[kind]) for kind in NucleusClass))
