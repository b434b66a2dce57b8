"""The gate: a candidate goes into service only if it is better on locked cases and worse nowhere (decision 0010).

Both versions are judged by the same code on the same images, only where a person looked. What is decided follows from
numbers and the constants here, and every number that spoke against a candidate is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.learning import Comparison, Difference, RunState, Verdict
from nucleus_app.domain.matching import MATCH_UM, match_points
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from trainer.judging.gallery import pick_changes
from trainer.judging.regression import Regression
from trainer.judging.remembered import Finder
from trainer.judging.resampling import (
    TRUTH,
    Differences,
    Judged,
    compare,
    count_truth,
    judge_image,
    measure,
    pair_up,
    sum_images,
)
from trainer.judging.wording import say_effect, say_evidence, say_learned
from trainer.learning.example import Example, Points

FEWEST_CASES, FEWEST_NUCLEI = 2, 200
"""Locked evidence below which nothing is decided."""
FEWEST_OF_CASE = 10
"""A locked case with fewer true tumour nuclei where a person looked is no evidence of an index."""
MIN_GAIN = 0.005
"""Weighted F1 on the locked cases rises by so much, with its interval above 0 …"""
MIN_INDEX_GAIN = 0.5
"""… or their index error falls by so many percentage points, with its interval below 0."""
LEAST_AGREEMENT = 0.85
"""With the corrections that it was taught. Under it they contradict each other."""
FEWEST_TO_AGREE = 20
"""Taught nuclei that must have been found for that to be judged."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """By how much a candidate may be worse: F1 from 0 to 1, index error in percentage points, calibration as a gap."""

    detection_f1: float
    weighted_f1: float
    class_f1: float
    index_error: float
    calibration: float
    fewest_of_class: int
    """A class with fewer true nuclei is not judged by itself."""


LOCKED = Allowance(0.005, 0.0025, 0.02, 0.5, 0.03, 50)
REGRESSION = Allowance(0.01, 0.015, 0.05, 1.0, 0.05, 100)
DISTILLED_LOSS, DISTILLED_LEAST = 0.05, 0.85
"""Agreement with the shipped network on tumour nuclei under other labs' stains: by how much less than that of the version in
service, and at least; a version in service that is below that already may have a successor that is no worse."""
BASE_LOSS = 0.04
"""Weighted F1 on the regression set below the shipped network's: so that many small losses do not add up. Where the version in
service is below that already, its successor may not be below it."""


def judge_candidate(
    candidate: Finder,
    incumbent: Finder,
    locked: Sequence[Example],
    lessons: Sequence[Example],
    regression: Regression,
    silent: int = 0,
    veto: str = "",
) -> Verdict:
    """Compare a candidate with the version in service. ``lessons``: what it was trained on; ``silent``: signed locked cases
    of which nothing was said; ``veto``: why it may not go into service whatever it can do.
    """
    finders = incumbent, candidate
    ordered = sorted((e for e in locked if _is_labelled(e)), key=lambda e: (e.case, e.image, e.top, e.left))
    judged = [_judge(e.as_labelled(), e.doubtful, (e.case, e.image), finders) for e in ordered]
    cases, counts = _count_evidence(judged), count_truth(judged)
    differences = compare(judged) if len(judged) and counts.sum() else None
    known = [_judge(image, None, (n, n), finders) for n, image in enumerate(regression.known)]
    on_known = compare(known) if known else None
    agreement = measure_agreement(candidate, lessons)
    worse = [
        *([veto] if veto else []),
        *_list_losses("On the locked cases", differences, counts, LOCKED),
        *_list_losses("On the regression set", on_known, count_truth(known), REGRESSION),
        *_list_forgotten(finders, regression, on_known),
        *_judge_lesson(agreement),
    ]
    silent += len({e.case for e in locked}) - cases
    missing = say_evidence(cases, int(counts.sum()), FEWEST_CASES, FEWEST_NUCLEI, silent, FEWEST_OF_CASE)
    gain = _judge_gain(differences)
    state = RunState.UNDECIDED if missing else RunState.REJECTED if worse or gain else RunState.PROMOTED
    reasons = tuple(reason for reason in (missing, *worse, "" if missing else gain) if reason)
    effect = say_effect(judged, incumbent.version.name)
    offsets, mpps = [(e.left, e.top) for e in ordered], [e.mpp for e in ordered]
    return Verdict(
        state, _summarise(state, reasons, lessons, effect), reasons, cases,
        _to_comparison(judged, differences), _to_comparison(known, on_known), agreement,
        pick_changes(judged, offsets, mpps), effect,
    )  # fmt: skip


def _count_evidence(judged: Sequence[Judged]) -> int:
    """Cases that tell something: differences between the squares of one alone are no two opinions."""
    tumour: Counter[int] = Counter()
    for one in judged:
        tumour[one.case] += int(np.count_nonzero(one.truth.classes != NucleusClass.OTHER))
    return sum(n >= FEWEST_OF_CASE for n in tumour.values())


def _is_labelled(example: Example) -> bool:
    return bool(example.reviewed.any() or example.signed.any())


def _judge(
    image: LabelledImage, doubtful: Points | None, ids: tuple[int, int], finders: tuple[Finder, Finder]
) -> Judged:
    truth = image.inside_labelled_area(image.nuclei)
    doubt = np.empty((0, 2), np.float32) if doubtful is None else doubtful
    before, after = (
        pair_up(truth, image.inside_labelled_area(finder.find(image.rgb, image.mpp)), doubt, image.mpp)
        for finder in finders
    )
    confidences = finders[0].version.confidence, finders[1].version.confidence
    return judge_image(*ids, truth, (before, after), confidences, image.mpp)


def measure_agreement(candidate: Finder, lessons: Sequence[Example]) -> float | None:
    """Of the tumour nuclei that it was taught and finds as such, the share that it calls positive or negative as it was
    taught; None where they are too few.

    All of them, not only those that a person corrected: these are the hard ones, and a good lesson leaves some of them as
    they were. Learned from right labels it agrees with 19 in 20; where 30 % are swapped it cannot with more than about 7 in 10.
    """
    same = found = 0
    for lesson in lessons:
        taught = lesson.nuclei.select(lesson.by_person | lesson.as_labelled().are_labelled(lesson.nuclei))
        if len(taught):
            seen = candidate.find(lesson.rgb, lesson.mpp)
            pairs = match_points(taught.xy, seen.xy, MATCH_UM / lesson.mpp)
            told, said = taught.classes[pairs.truth], seen.classes[pairs.found]
            tumour = (told != NucleusClass.OTHER) & (said != NucleusClass.OTHER)
            same += int(np.count_nonzero(tumour & (told == said)))
            found += int(np.count_nonzero(tumour))
    return same / found if found >= FEWEST_TO_AGREE else None


def _judge_gain(differences: Differences | None) -> str:
    """Why it is no gain; nothing for one that is."""
    if differences is None:
        return "There is no locked case to judge with."
    f1, index = differences.weighted_f1, differences.index_error
    if f1.change >= MIN_GAIN and f1.low is not None and f1.low > 0:
        return ""
    if index is not None and -index.change >= MIN_INDEX_GAIN and index.high is not None and index.high < 0:
        return ""
    told = f"The weighted F1 on the locked cases changed by {f1.change:+.3f}{_say_interval(f1, 3)}"
    if index is not None:
        told += f", the index error by {index.change:+.1f} percentage points{_say_interval(index, 1)}"
    return f"{told}: a gain is {MIN_GAIN:g} of F1 or {MIN_INDEX_GAIN:g} points of index error, with an interval that does not reach 0."


def _say_interval(difference: Difference, digits: int) -> str:
    if difference.low is None or difference.high is None:
        return ""
    return f" (90 % interval {difference.low:+.{digits}f} to {difference.high:+.{digits}f})"


def _list_losses(
    where: str, differences: Differences | None, counts: np.ndarray[tuple[int], np.dtype[np.int64]], allowed: Allowance
) -> Iterator[str]:
    """What is worse by more than its allowance."""
    if differences is None:
        return
    scores = [
        ("detection F1", differences.detection_f1, allowed.detection_f1),
        ("weighted F1", differences.weighted_f1, allowed.weighted_f1),
    ]
    for kind, difference in differences.class_f1.items():
        if counts[kind] >= allowed.fewest_of_class:
            scores.append((f"F1 of {_NAMES[kind]} nuclei", difference, allowed.class_f1))
    for name, difference, loss in scores:
        if -difference.change > loss:
            yield f"{where} the {name} fell from {difference.before:.3f} to {difference.after:.3f} (allowed: {loss:g})."
    index, calibration = differences.index_error, differences.calibration
    if index is not None and index.change > allowed.index_error:
        yield (
            f"{where} the index is off by {index.after:.1f} instead of {index.before:.1f} percentage points (allowed: "
            f"{allowed.index_error:g} more)."
        )
    if calibration is not None and calibration.change > allowed.calibration:
        yield (
            f"{where} its confidence is off by {100 * calibration.after:.0f} % instead of {100 * calibration.before:.0f} % "
            f"(allowed: {100 * allowed.calibration:g} % more)."
        )


_NAMES = {NucleusClass.POSITIVE: "positive", NucleusClass.NEGATIVE: "negative", NucleusClass.OTHER: "non-tumour"}


def _list_forgotten(
    finders: tuple[Finder, Finder], regression: Regression, on_known: Differences | None
) -> Iterator[str]:
    """What the shipped network knows and the candidate does not any more."""
    if on_known is not None:
        answers = [_sum_answer(*pair) for pair in zip(regression.known, regression.answers, strict=True)]
        base = float(measure(np.sum(answers, axis=0)).weighted_f1)
        known = on_known.weighted_f1
        if known.after < min(base - BASE_LOSS, known.before):
            yield (
                f"On the regression set the weighted F1 is {known.after:.3f}, and that of the shipped network "
                f"{base:.3f} (allowed: {BASE_LOSS:g} less)."
            )
    distilled = [_judge(image, None, (n, n), finders) for n, image in enumerate(regression.distilled)]
    if not distilled:
        return
    before, after = _agree_on_tumour(distilled)
    if before - after > DISTILLED_LOSS or after < min(DISTILLED_LEAST, before):
        yield (
            f"Under other labs' stains it agrees with the shipped network on tumour nuclei by {after:.2f}, the version in "
            f"service by {before:.2f} (at least {DISTILLED_LEAST:g}, and at most {DISTILLED_LOSS:g} less)."
        )


def _agree_on_tumour(judged: Sequence[Judged]) -> tuple[float, float]:
    """F1 of the tumour classes, weighted, of each version. Drawn stroma is where the shipped network errs most: to see
    that otherwise is no forgetting.
    """
    sums = sum_images(judged).sum(axis=0)
    counts = sums[0, TRUTH][: NucleusClass.OTHER]
    before, after = (measure(sums).class_f1[:, : NucleusClass.OTHER] * counts).sum(axis=1) / max(1.0, counts.sum())
    return float(before), float(after)


def _sum_answer(image: LabelledImage, answer: Nuclei) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    pairing = pair_up(image.nuclei, answer, np.empty((0, 2), np.float32), image.mpp)
    judged = judge_image(0, 0, image.nuclei, (pairing, pairing), (None, None), image.mpp)
    summed: np.ndarray[tuple[int], np.dtype[np.float64]] = judged.square_after.sum(axis=0)
    return summed


def _judge_lesson(agreement: float | None) -> Iterator[str]:
    if agreement is not None and agreement < LEAST_AGREEMENT:
        yield (
            f"Of the tumour nuclei that it was taught and finds, {100 * agreement:.0f} % are positive or negative as taught (at least "
            f"{100 * LEAST_AGREEMENT:.0f} %): the corrections contradict each other, or what is seen in the images."
        )


def _to_comparison(judged: Sequence[Judged], differences: Differences | None) -> Comparison | None:
    if differences is None:
        return None
    return Comparison(
        len({one.image for one in judged}), int(count_truth(judged).sum()), differences.detection_f1,
        differences.weighted_f1, {kind.slug: value for kind, value in differences.class_f1.items()},
        differences.index_error, differences.calibration,
    )  # fmt: skip


def _summarise(state: RunState, reasons: Sequence[str], lessons: Sequence[Example], effect: str) -> str:
    """For a pathologist."""
    learned = say_learned(lessons)
    if state is RunState.PROMOTED:
        return f"{learned}; {effect}."
    if state is RunState.UNDECIDED:
        return f"{learned}. {reasons[0]}"
    return f"{learned}; not put into service: {effect}. {reasons[0]}"
