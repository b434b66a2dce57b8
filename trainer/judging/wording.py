"""What the gate found, in sentences for a pathologist."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nucleus_app.domain.line import count_of
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.split import BLOCK
from trainer.judging.resampling import CLASS_TP, TRUTH, Judged, index_error, sum_images
from trainer.learning.example import Example

WORTH_SAYING_PERCENT = 0.5


def say_learned(lessons: Sequence[Example]) -> str:
    fields, cases = len({e.image for e in lessons}), len({e.case for e in lessons})
    return f"Learned from {count_of(fields, 'field')} of {count_of(cases, 'case')}"


def say_effect(judged: Sequence[Judged], than: str) -> str:
    """How a candidate differs, on the locked cases, from the version of that name; nothing where there is none to judge by."""
    if not judged:
        return ""
    said = [*_say_recall(judged), *_say_index(judged)]
    where = f"on {count_of(len({one.case for one in judged}), 'locked case')}"
    return f"{where} it {'; '.join(said)} (compared with {than})" if said else f"{where} it is as good as {than}"


def _say_recall(judged: Sequence[Judged]) -> list[str]:
    before, after = sum_images(judged).sum(axis=0)
    said = []
    for kind in (NucleusClass.POSITIVE, NucleusClass.NEGATIVE):
        n = before[TRUTH][kind]
        change = 100 * (after[CLASS_TP][kind] - before[CLASS_TP][kind]) / n if n else 0.0
        if abs(change) >= WORTH_SAYING_PERCENT:
            more = "more" if change > 0 else "fewer"
            said.append(f"finds {abs(change):.0f} % {more} of the {kind.slug} nuclei")
    return said


def _say_index(judged: Sequence[Judged]) -> list[str]:
    errors = index_error(sum_images(judged))
    errors = errors[~np.isnan(errors[:, 0])]
    before, after = errors.mean(axis=0) if len(errors) else (0.0, 0.0)
    if f"{before:.1f}" == f"{after:.1f}":
        return []
    return [f"is off by {after:.1f} instead of {before:.1f} percentage points in the index"]


def say_evidence(
    cases: int, nuclei: int, fewest_cases: int, fewest_nuclei: int, silent: int, fewest_of_case: int
) -> str:
    """What is missing to decide; nothing where there is enough. ``silent``: locked cases that tell nothing."""
    missing = []
    if cases < fewest_cases:
        more = fewest_cases - cases
        about = len(BLOCK) * more
        missing.append(
            f"{count_of(more, 'more locked case')} (one signed case in {len(BLOCK)} is locked, so sign about {about} more)"
        )
    if nuclei < fewest_nuclei:
        missing.append(f"{fewest_nuclei - nuclei} more nuclei in locked cases")
    if not missing:
        return ""
    there = f"{count_of(cases, 'locked case')} with {nuclei} nuclei"
    told = f"Not enough evidence to decide whether it is better: so far {there}; needed are {' and '.join(missing)}."
    if not silent:
        return told
    holds = f"{count_of(silent, 'other locked case')} {'holds' if silent == 1 else 'hold'}"
    return f"{told} {holds} neither a correction nor an area marked as reviewed, or fewer than {fewest_of_case} tumour nuclei there: reopen, review and sign to judge with more."
