"""What a review comes to: the nuclei that are there after all corrections, and how many of what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import NucleusId
from nucleus_app.domain.nuclei import Counts, Nuclei, NucleusClass


class Origin(StrEnum):
    """Who a present nucleus is from."""

    NETWORK = "network"
    EDITED = "edited"
    PLACED = "placed"


@dataclass(frozen=True, slots=True)
class ReviewedNuclei:
    """Present nuclei: candidates in their order, then placed ones in the order in which they were placed.

    ``left_out`` (N,): shown but not counted.
    """

    nuclei: Nuclei
    ids: tuple[NucleusId, ...]
    origins: tuple[Origin, ...]
    left_out: NDArray[np.bool_]

    @classmethod
    def untouched(cls, nuclei: Nuclei) -> ReviewedNuclei:
        """Nuclei as the network found them."""
        n = len(nuclei)
        return cls(nuclei, tuple(range(n)), (Origin.NETWORK,) * n, np.zeros(n, np.bool_))


class Decision(NamedTuple):
    """What persons last said of one nucleus: where it is and its class, or None that it is none; ``author`` said it last."""

    x: float
    y: float
    kind: NucleusClass | None
    author: str


@dataclass(frozen=True, slots=True)
class Tally:
    """``counts``: present and not left out; ``left_out``: present and left out; of the present ones ``edited``
    candidates that an edit names and ``placed`` ones; ``deleted``: candidates that a person removed.
    """

    counts: Counts
    left_out: int
    edited: int
    placed: int
    deleted: int

    @classmethod
    def untouched(cls, counts: Counts) -> Tally:
        """Nobody corrected anything."""
        return cls(counts, 0, 0, 0, 0)
