from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from nucleus_app.domain.agreement import Agreement, Scores, Tally, area_under_precision_recall, compare_nuclei
from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import Nuclei, NucleusClass

points = st.integers(0, 14).flatmap(lambda n: arrays(np.float32, (n, 2), elements=st.floats(0, 40, width=32)))


def test_a_chain_is_matched_for_most_pairs_then_least_distance() -> None:
    truth = np.array([[0, 0], [10, 0]], np.float32)
    found = np.array([[6, 0], [16, 0]], np.float32)
    pairs = match_points(truth, found, 7)
    # Greedy would pair (10, 6) at distance 4 and lose the rest; the best matching pairs both at 6.
    assert sorted(zip(pairs.truth.tolist(), pairs.found.tolist(), strict=True)) == [(0, 0), (1, 1)]
    assert pairs.distance_px.tolist() == [6, 6]


def test_coincident_points_match_at_distance_zero() -> None:
    point = np.array([[3, 4]], np.float32)
    assert match_points(point, point, 5).distance_px.tolist() == [0]


@settings(max_examples=200)
@given(points, points, st.floats(1, 20))
def test_matching_equals_the_dense_hungarian_one(truth: np.ndarray, found: np.ndarray, radius: float) -> None:
    pairs = match_points(truth, found, radius)
    assert len(set(pairs.truth.tolist())) == len(pairs) == len(set(pairs.found.tolist()))
    assert np.all(pairs.distance_px <= radius)
    if len(truth) == 0 or len(found) == 0:
        assert len(pairs) == 0
        return
    distance = cdist(truth.astype(float), found.astype(float))
    cost = np.where(distance <= radius, distance, 1e6)
    rows, columns = linear_sum_assignment(cost)
    best = cost[rows, columns]
    assert len(pairs) == int((best < 1e6).sum())
    assert pairs.distance_px.sum() == pytest.approx(best[best < 1e6].sum(), abs=1e-6)


def test_classification_counts_pairs_of_the_right_class_and_weighs_by_truth() -> None:
    truth = Nuclei.from_arrays([[0, 0], [20, 0], [40, 0], [60, 0]], [0, 1, 1, 1])
    found = Nuclei.from_arrays([[1, 0], [20, 2], [40, 0], [90, 0]], [0, 0, 1, 1])
    agreement = Agreement((compare_nuclei("a", truth, found, 5),))
    assert agreement.detection == Tally(3, 1, 1)
    assert agreement.of_class(NucleusClass.POSITIVE) == Tally(1, 1, 0)
    assert agreement.of_class(NucleusClass.NEGATIVE) == Tally(1, 1, 2)
    assert agreement.classes_in_truth == (NucleusClass.POSITIVE, NucleusClass.NEGATIVE)
    assert agreement.weighted.precision == pytest.approx(0.25 * 0.5 + 0.75 * 0.5)
    assert agreement.weighted.recall == pytest.approx(0.25 * 1 + 0.75 / 3)
    assert agreement.weighted.f1 == pytest.approx(0.25 * 2 / 3 + 0.75 * 0.4)
    assert agreement.distance_px.mean() == pytest.approx(1.0)
    assert agreement.index_mae_points == pytest.approx(50 - 25)


def test_an_image_without_tumour_has_no_index_error() -> None:
    nothing = Nuclei.empty()
    one = Nuclei.from_arrays([[5, 5]], [0])
    assert compare_nuclei("a", nothing, one, 5).index_error_points is None
    assert compare_nuclei("a", one, nothing, 5).index_error_points == 100  # a miss is an error, not an absence
    assert Agreement((compare_nuclei("a", nothing, nothing, 5),)).index_mae_points is None


def test_area_under_the_curve_of_known_shapes() -> None:
    assert area_under_precision_recall([Scores(1.0, 1.0, 1.0)]) == pytest.approx(1.0)
    assert area_under_precision_recall([Scores(1.0, 0.5, 0), Scores(0.5, 1.0, 0)]) == pytest.approx(0.875)
    assert area_under_precision_recall([]) == 0
