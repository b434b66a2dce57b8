from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.doubt import Swing, find_doubtful, find_swing, is_unsure
from nucleus_app.domain.edits import Class, Cut, Delete, Edit, Polygon, Region, RegionLabel, SignedEdit
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.domain.review import Review, fold

POSITIVE, NEGATIVE, OTHER = NucleusClass
THRESHOLDS = (0.3, 0.3, 0.4)
# With slope 10 and intercept -3.5 one half is at 0.35, and 0.7 and 0.3 at 0.35 ± 0.0847.
CONFIDENCE = Confidence(10.0, -3.5)
CANDIDATES = Nuclei.from_arrays(
    [[x, 5] for x in (10, 20, 30, 40, 50, 60)],
    [POSITIVE, POSITIVE, NEGATIVE, OTHER, NEGATIVE, NEGATIVE],
    [0.9, 0.42, 0.36, 0.35, 0.28, 0.24],
)


def review_of(*edits: Edit) -> Review:
    return fold(CANDIDATES, THRESHOLDS, (100, 10), [SignedEdit("c", i + 1, "a", e) for i, e in enumerate(edits)])


def test_the_least_sure_come_first_hidden_ones_included_and_non_tumour_never() -> None:
    assert find_doubtful(CANDIDATES, THRESHOLDS, CONFIDENCE).tolist() == [2, 1, 4]  # equally far ones in their order


def test_a_nucleus_between_positive_and_negative_comes_before_all_others() -> None:
    # 0 and 5 nearly have the other class's proximity, but 5 is hardly a nucleus; 3 is no tumour; 1 is doubtful all the same.
    torn = replace(CANDIDATES, rivals=np.array([200, 103, 101, 250, 0, 250], np.uint8))
    assert find_doubtful(torn, THRESHOLDS, CONFIDENCE).tolist() == [0, 1, 2, 4]
    assert find_doubtful(torn, THRESHOLDS, None).tolist() == [5, 0, 1, 4, 2]  # whose ratio of 0.8 is not as faint
    assert find_swing(review_of(), find_doubtful(torn, THRESHOLDS, CONFIDENCE)) == Swing(4, 0.0, 100.0)


@pytest.mark.parametrize(("doubtful", "sure", "expected"), [(60, 60, True), (50, 70, False), (49, 50, False)])
def test_a_network_that_doubts_half_of_what_it_marked_is_unsure(doubtful: int, sure: int, expected: bool) -> None:
    # 0.38 is a probability of 0.57, 0.9 of 0.996. Non-tumour nuclei say nothing, and of 99 nuclei it is not said.
    scores, others = [0.38] * doubtful + [0.9] * sure, [0.36] * 500
    kinds = [POSITIVE, NEGATIVE] * ((doubtful + sure + 1) // 2)
    nuclei = Nuclei.from_arrays(
        [[1, 1]] * (len(scores) + 500), [*kinds[: len(scores)], *[OTHER] * 500], scores + others
    )
    assert is_unsure(nuclei, CONFIDENCE) is expected
    assert not is_unsure(nuclei, None)


def test_without_a_confidence_the_ratio_to_the_threshold_tells() -> None:
    # Ratios 3, 1.4, 1.2, -, 0.93, 0.8: within 0.75 to 1.33 the nearest to 1 first.
    assert find_doubtful(CANDIDATES, THRESHOLDS, None).tolist() == [4, 2, 5]


def test_the_swing_is_what_the_index_could_be_if_all_open_ones_were_otherwise() -> None:
    doubtful = find_doubtful(CANDIDATES, THRESHOLDS, CONFIDENCE)
    # Present: 0, 1 positive, 2 negative. Open: 1 positive, 2 negative, 4 hidden.
    # Low: 0 positive; 1, 2, 4 negative: 1 of 4. High: 0, 1, 2, 4 positive: 4 of 4.
    assert find_swing(review_of(), doubtful) == Swing(3, 25.0, 100.0)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        # Agreeing with 1 closes it: 2 and 4 are open. Low 2 of 4, high 4 of 4.
        (Class((1,), POSITIVE), Swing(2, 50.0, 100.0)),
        # Removing 4 closes it and takes it out. Low 1 of 3, high 3 of 3.
        (Delete((4,)), Swing(2, 100 / 3, 100.0)),
        # 2 is left out: not counted, not open. Low 1 of 3 (0 | 1, 4), high 3 of 3.
        (Region(RegionLabel.EXCLUDE, Polygon((25, 0, 35, 0, 35, 9, 25, 9))), Swing(2, 100 / 3, 100.0)),
        # A cut touches nobody: 4 comes in as negative and stays open. Low 1 of 4, high 4 of 4.
        (Cut(NEGATIVE, 0.27), Swing(3, 25.0, 100.0)),
    ],
)
def test_looking_at_a_nucleus_closes_it(edit: Edit, expected: Swing) -> None:
    doubtful = find_doubtful(CANDIDATES, THRESHOLDS, CONFIDENCE)
    found = find_swing(review_of(edit), doubtful)
    assert (found.n, found.low_percent, found.high_percent) == (
        expected.n, pytest.approx(expected.low_percent), pytest.approx(expected.high_percent),
    )  # fmt: skip


def test_without_any_tumour_nucleus_there_is_nothing_to_swing() -> None:
    empty = Review(Nuclei.empty(), THRESHOLDS, (10, 10))
    assert find_swing(empty, find_doubtful(Nuclei.empty(), THRESHOLDS, CONFIDENCE)) == Swing(0, None, None)
