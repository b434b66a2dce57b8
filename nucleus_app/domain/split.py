"""On which side a signed case stands, for ever: it trains, it validates, or it is locked away to judge with.

In blocks of four, so that eight cases always hold two locked ones; a hash of the block's number says who is who in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from itertools import permutations


class Split(StrEnum):
    """What a case is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    LOCKED = "locked"


BLOCK = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.LOCKED)
_ORDERS = sorted(set(permutations(BLOCK)))
_STRICTNESS = (Split.LOCKED, Split.VALIDATION, Split.TRAIN)


def assign_split(n: int) -> Split:
    """The side of the n-th case (0, 1, 2 …) that a store ever signed."""
    block, place = divmod(n, len(BLOCK))
    digest = hashlib.sha256(f"block {block}".encode()).digest()
    return _ORDERS[int.from_bytes(digest[:4], "big") % len(_ORDERS)][place]


def strictest(splits: Iterable[Split]) -> Split:
    """The side of what stands on several: what is locked once never trains."""
    return min(splits, key=_STRICTNESS.index)
