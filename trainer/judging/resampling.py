"""Two versions on the same images: what each gets right square by square, and how sure their difference is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.learning import Difference
from nucleus_app.domain.matching import MATCH_UM, match_points
from nucleus_app.domain.nuclei import N_CLASSES, Nuclei, NucleusClass

Sums = NDArray[np.float64]

DOUBT_UM = 4.0
"""What is found this near a doubtful place, and pairs with no nucleus, is neither right nor wrong."""
SQUARE_UM = 100.0
BINS = 10
"""Of confidence, from 0 to 1."""
REPLICATES = 2000
AT_ONCE = 200
LEVEL = (5.0, 95.0)
"""Percentiles: a 90 % interval."""
SEED = 20260101

TP, CLASS_TP, TRUTH, FOUND = 0, slice(1, 4), slice(4, 7), slice(7, 10)
SAID, RIGHT, ASKED = slice(10, 10 + BINS), slice(10 + BINS, 10 + 2 * BINS), slice(10 + 2 * BINS, 10 + 3 * BINS)
COLUMNS = 10 + 3 * BINS
"""Of a row of sums: pairs; pairs of one class; true nuclei and found ones by class; of found tumour nuclei by bin of
confidence: the sum of what was said, how many were right, how many there are.
"""


class Pairing(NamedTuple):
    """What a version found on an image (M,), and for each true nucleus (N,) its place there, -1 for none."""

    found: Nuclei
    of_truth: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One image under both versions. ``square_*`` (S, COLUMNS): sums by square of tissue."""

    case: int
    image: int
    truth: Nuclei
    before: Pairing
    after: Pairing
    square_before: Sums
    square_after: Sums


def pair_up(truth: Nuclei, found: Nuclei, doubtful: NDArray[np.float32], mpp: float) -> Pairing:
    """Match what was found with the truth; what lies at doubtful places and pairs with nothing is dropped."""
    pairs = match_points(truth.xy, found.xy, MATCH_UM / mpp)
    paired = np.zeros(len(found), np.bool_)
    paired[pairs.found] = True
    near_doubt = np.zeros(len(found), np.bool_)
    if len(doubtful) and len(found):
        away = np.array([np.min(np.sum((doubtful - at) ** 2, axis=1)) for at in found.xy])
        near_doubt = away <= (DOUBT_UM / mpp) ** 2
    kept = paired | ~near_doubt
    of_truth = np.full(len(truth), -1, np.int64)
    of_truth[pairs.truth] = (np.cumsum(kept) - 1)[pairs.found]
    return Pairing(found.select(kept), of_truth)


def judge_image(
    case: int,
    image: int,
    truth: Nuclei,
    pairings: tuple[Pairing, Pairing],
    confidences: tuple[Confidence | None, Confidence | None],
    mpp: float,
) -> Judged:
    """``pairings``, ``confidences``: of the version before and the one after."""
    side = SQUARE_UM / mpp
    points = np.concatenate([truth.xy, *(pairing.found.xy for pairing in pairings)])
    squares = np.unique(np.floor(points / side).astype(np.int64), axis=0, return_inverse=True)[1].reshape(-1)
    rows = int(squares.max(initial=-1)) + 1
    ends = np.cumsum([len(truth), *(len(pairing.found) for pairing in pairings)])
    before, after = (
        _sum_squares(truth, pairing, confidence, (squares[: ends[0]], squares[start:end]), rows)
        for pairing, confidence, start, end in zip(pairings, confidences, ends[:-1], ends[1:], strict=True)
    )
    return Judged(case, image, truth, pairings[0], pairings[1], before, after)


def _sum_squares(
    truth: Nuclei,
    pairing: Pairing,
    confidence: Confidence | None,
    squares: tuple[NDArray[np.int64], NDArray[np.int64]],
    rows: int,
) -> Sums:
    sums = np.zeros((rows, COLUMNS))
    of_truth, of_found = squares
    found, hit = pairing.found, pairing.of_truth >= 0
    np.add.at(sums[:, TRUTH], (of_truth, truth.classes), 1)
    np.add.at(sums[:, FOUND], (of_found, found.classes), 1)
    np.add.at(sums[:, TP], of_truth[hit], 1)
    same = hit.copy()
    same[hit] = found.classes[pairing.of_truth[hit]] == truth.classes[hit]
    np.add.at(sums[:, CLASS_TP], (of_truth[same], truth.classes[same]), 1)
    if confidence is not None:
        is_right = np.zeros(len(found), np.bool_)
        is_right[pairing.of_truth[same]] = True
        tumour = found.classes != NucleusClass.OTHER
        said = confidence.of(found.scores[tumour]).astype(np.float64)
        at = of_found[tumour], np.clip((said * BINS).astype(np.int64), 0, BINS - 1)
        np.add.at(sums[:, SAID], at, said)
        np.add.at(sums[:, RIGHT], at, is_right[tumour])
        np.add.at(sums[:, ASKED], at, 1)
    return sums


class Measures(NamedTuple):
    """Of sums (..., COLUMNS): values (...); ``class_f1`` (..., 3)."""

    detection_f1: Sums
    weighted_f1: Sums
    class_f1: Sums
    calibration: Sums


def measure(sums: Sums) -> Measures:
    """F1 of detection, weighted by class and of each class (Xing et al. 2019, IV-C), and the mean gap between confidence
    and truth.
    """
    truth, found = sums[..., TRUTH], sums[..., FOUND]
    class_f1 = _ratio(2 * sums[..., CLASS_TP], truth + found)
    return Measures(
        _ratio(2 * sums[..., TP], truth.sum(axis=-1) + found.sum(axis=-1)),
        _ratio((class_f1 * truth).sum(axis=-1), truth.sum(axis=-1)),
        class_f1,
        _ratio(np.abs(sums[..., SAID] - sums[..., RIGHT]).sum(axis=-1), sums[..., ASKED].sum(axis=-1)),
    )


def index_error(sums: Sums) -> Sums:
    """Percentage points (...) between the index of what was found and the true one; NaN without true tumour nuclei."""
    truth, found = sums[..., TRUTH], sums[..., FOUND]
    n_truth, n_found = truth[..., :2].sum(axis=-1), found[..., :2].sum(axis=-1)
    error: Sums = np.abs(100 * _ratio(truth[..., 0], n_truth) - 100 * _ratio(found[..., 0], n_found))
    return np.where(n_truth > 0, error, np.nan)


@dataclass(frozen=True, slots=True)
class Differences:
    """Each measure before and after with the interval of its difference."""

    detection_f1: Difference
    weighted_f1: Difference
    class_f1: dict[NucleusClass, Difference]
    index_error: Difference | None
    calibration: Difference | None


Images = list[list[tuple[Sums, Sums]]]
"""Cases, their images, and of each the squares (S, COLUMNS) before and after."""


def compare(judged: Sequence[Judged]) -> Differences:
    """Paired bootstrap: cases are drawn again, and squares of tissue within each; both versions by the same draws."""
    cases = _group(judged)
    drawn = [_take_all(cases), *_resample(cases, np.random.default_rng(SEED))]
    before = measure(np.concatenate([d.before for d in drawn]))
    after = measure(np.concatenate([d.after for d in drawn]))
    index = np.concatenate([d.index_error for d in drawn], axis=1)
    has_confidence = all(sums[0, ASKED].sum() > 0 for sums in (drawn[0].before, drawn[0].after))
    truth = drawn[0].before[0, TRUTH]
    return Differences(
        _difference(before.detection_f1, after.detection_f1),
        _difference(before.weighted_f1, after.weighted_f1),
        {k: _difference(before.class_f1[:, k], after.class_f1[:, k]) for k in NucleusClass if truth[k] > 0},
        None if np.isnan(index[0, 0]) else _difference(index[0], index[1]),
        _difference(before.calibration, after.calibration) if has_confidence else None,
    )


def _group(judged: Sequence[Judged]) -> Images:
    """In order of case and image, whatever order they came in; parts of one image are one."""
    cases: dict[int, dict[int, list[Judged]]] = defaultdict(lambda: defaultdict(list))
    for one in sorted(judged, key=lambda one: (one.case, one.image)):
        cases[one.case][one.image].append(one)
    return [
        [
            (np.concatenate([p.square_before for p in parts]), np.concatenate([p.square_after for p in parts]))
            for parts in images.values()
        ]
        for images in cases.values()
    ]


def sum_images(judged: Sequence[Judged]) -> Sums:
    """Sums (images, 2, COLUMNS) of each image before and after."""
    summed = [np.stack([b.sum(axis=0), a.sum(axis=0)]) for images in _group(judged) for b, a in images]
    return np.stack(summed) if summed else np.zeros((0, 2, COLUMNS))


class _Drawn(NamedTuple):
    """Sums (B, COLUMNS) of each version, and their index errors (2, B)."""

    before: Sums
    after: Sums
    index_error: Sums


def _take_all(cases: Images) -> _Drawn:
    """What there is, once."""
    images = np.stack([[b.sum(axis=0), a.sum(axis=0)] for images in cases for b, a in images])
    errors = index_error(images)
    errors = errors[~np.isnan(errors[:, 0])]
    mean = errors.mean(axis=0) if len(errors) else np.full(2, np.nan)
    return _Drawn(images[:, 0].sum(axis=0)[None], images[:, 1].sum(axis=0)[None], mean[:, None])


def _resample(cases: Images, rng: np.random.Generator) -> list[_Drawn]:
    return [_draw(cases, rng) for _ in range(REPLICATES // AT_ONCE)]


def _draw(cases: Images, rng: np.random.Generator) -> _Drawn:
    """``AT_ONCE`` replicates: a case that is drawn k times has k times its number of squares drawn among its own."""
    totals = np.zeros((2, AT_ONCE, COLUMNS))
    errors, counted = np.zeros((2, AT_ONCE)), np.zeros(AT_ONCE)
    copies = rng.multinomial(len(cases), np.full(len(cases), 1 / len(cases)), size=AT_ONCE)
    for images, times in zip(cases, copies.T, strict=True):
        ends = np.cumsum([len(before) for before, _ in images])
        if not ends[-1]:
            continue
        weights = rng.multinomial(times * ends[-1], np.full(ends[-1], 1 / ends[-1])).astype(np.float64)
        for (before, after), start, end in zip(images, [0, *ends[:-1]], ends, strict=True):
            drawn = np.stack([weights[:, start:end] @ before, weights[:, start:end] @ after])
            totals += drawn
            error = index_error(drawn)
            is_known = ~np.isnan(error[0])
            errors += np.where(is_known, times * np.nan_to_num(error), 0.0)
            counted += times * is_known
    mean = np.divide(errors, counted, out=np.full_like(errors, np.nan), where=counted > 0)
    return _Drawn(totals[0], totals[1], mean)


def _difference(before: Sums, after: Sums) -> Difference:
    """Of values whose first is what there is, and the others are drawn. A draw of cases that have no such value shows no
    change: without it, the interval would be of the other cases alone.
    """
    change = (after - before)[1:]
    known = ~np.isnan(change)
    low, high = map(float, np.percentile(np.where(known, change, 0.0), LEVEL)) if known.any() else (None, None)
    return Difference(float(before[0]), float(after[0]), low, high)


def _ratio(numerator: Sums, denominator: Sums) -> Sums:
    """0 where there is nothing."""
    ratio: Sums = np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0)
    return ratio


def count_truth(judged: Sequence[Judged]) -> NDArray[np.int64]:
    """True nuclei by class (3,)."""
    counts: NDArray[np.int64] = np.zeros(N_CLASSES, np.int64)
    for one in judged:
        counts += np.bincount(one.truth.classes, minlength=N_CLASSES)
    return counts
