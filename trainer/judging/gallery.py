"""Nuclei of locked cases that a candidate sees otherwise than the version in service: newly right, newly wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.learning import Change
from nucleus_app.domain.matching import MATCH_UM, match_points
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from trainer.judging.resampling import Judged, Pairing

SHOWN = 24
"""Of each kind."""


def pick_changes(
    judged: Sequence[Judged], offsets: Sequence[tuple[int, int]], mpps: Sequence[float]
) -> tuple[Change, ...]:
    """At most ``SHOWN`` that are newly right, then as many that are newly wrong, spread over the images and within each.
    ``offsets``: where each judged part lies in its image.
    """
    changes = [list(_list_changes(one, offset, mpp)) for one, offset, mpp in zip(judged, offsets, mpps, strict=True)]
    right = _spread([[c for c in of_image if c.is_right] for of_image in changes])
    wrong = _spread([[c for c in of_image if not c.is_right] for of_image in changes])
    return (*right, *wrong)


def _list_changes(one: Judged, offset: tuple[int, int], mpp: float) -> Iterator[Change]:
    def change(xy: NDArray[np.float32], truth: NucleusClass | None, *seen: NucleusClass | None) -> Change:
        x, y = (round(float(value) + shift, 1) for value, shift in zip(xy, offset, strict=True))
        return Change(one.image, x, y, truth, *seen)

    for n, (xy, kind) in enumerate(zip(one.truth.xy, one.truth.classes.tolist(), strict=True)):
        truth, before, after = NucleusClass(kind), _seen(one.before, n), _seen(one.after, n)
        if (before == truth) != (after == truth):
            yield change(xy, truth, before, after)
    was, is_ = _invented(one.before), _invented(one.after)
    pairs = match_points(was.xy, is_.xy, MATCH_UM / mpp)
    for n in np.setdiff1d(np.arange(len(was)), pairs.truth).tolist():
        yield change(was.xy[n], None, NucleusClass(int(was.classes[n])), None)
    for n in np.setdiff1d(np.arange(len(is_)), pairs.found).tolist():
        yield change(is_.xy[n], None, None, NucleusClass(int(is_.classes[n])))


def _seen(pairing: Pairing, n: int) -> NucleusClass | None:
    at = int(pairing.of_truth[n])
    return None if at < 0 else NucleusClass(int(pairing.found.classes[at]))


def _invented(pairing: Pairing) -> Nuclei:
    """What was found where there is nothing."""
    is_free = np.ones(len(pairing.found), np.bool_)
    is_free[pairing.of_truth[pairing.of_truth >= 0]] = False
    return pairing.found.select(is_free)


def _spread(by_image: Sequence[list[Change]]) -> list[Change]:
    """In turn from each image, of each the ones far apart in its order first."""
    rows = [_far_apart(sorted(of_image, key=lambda c: (c.y, c.x))) for of_image in by_image]
    in_turn = [change for turn in zip_longest(*rows) for change in turn if change is not None]
    return in_turn[:SHOWN]


def _far_apart(changes: list[Change]) -> list[Change]:
    step = max(1, len(changes) // SHOWN)
    return [change for start in range(step) for change in changes[start::step]]
