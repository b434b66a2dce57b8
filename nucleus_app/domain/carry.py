"""Carrying corrections over to a new scoring of the same image: what persons said of nuclei and tissue stays said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import Add, Class, Delete, Edit
from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.domain.review import Review
from nucleus_app.domain.reviewed import Decision

CARRY_REACH_UM = 3.0
"""A correction belongs to the new candidate this near to its place."""


def carry_over(reviews: Sequence[Review], candidates: Nuclei, mpp: float) -> list[tuple[str, Edit]]:
    """Edits, each with its author, that say on new ``candidates`` of the same image what ``reviews`` say, earliest first;
    what a later one says of a nucleus replaces what an earlier one did.

    A corrected nucleus goes to the nearest candidate within reach; where there is none it is placed anew, or forgotten if
    it was removed. Regions stay as they are. Thresholds are not carried: they belong to the version that scored.
    """
    reach_px = CARRY_REACH_UM / mpp
    decisions: list[Decision] = []
    for review in reviews:
        decisions = _replace(decisions, review.decisions(), reach_px)
    pairs = match_points(_list_places(decisions), candidates.xy, reach_px)
    candidate_of = dict(zip(pairs.truth.tolist(), pairs.found.tolist(), strict=True))
    together: dict[tuple[str, NucleusClass | None], list[int]] = defaultdict(list)
    placed: list[tuple[str, Edit]] = []
    for i, decision in enumerate(decisions):
        if i in candidate_of:
            together[decision.author, decision.kind].append(candidate_of[i])
        elif decision.kind is not None:
            placed.append((decision.author, Add(round(decision.x, 2), round(decision.y, 2), decision.kind)))
    found: list[tuple[str, Edit]] = [
        (author, Delete(tuple(ids)) if kind is None else Class(tuple(ids), kind))
        for (author, kind), ids in together.items()
    ]
    return [*found, *placed, *(region for review in reviews for region in review.signed_regions())]


def _replace(earlier: list[Decision], later: list[Decision], reach_px: float) -> list[Decision]:
    """All of the later decisions, and the earlier ones on nuclei of which they say nothing."""
    again = set(match_points(_list_places(earlier), _list_places(later), reach_px).truth.tolist())
    return [*(decision for i, decision in enumerate(earlier) if i not in again), *later]


def _list_places(decisions: list[Decision]) -> NDArray[np.float32]:
    return np.array([(d.x, d.y) for d in decisions], np.float32).reshape(-1, 2)
