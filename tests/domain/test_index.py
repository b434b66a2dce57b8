from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.index import find_labelling_index, wilson_interval
from nucleus_app.domain.nuclei import Counts


@pytest.mark.parametrize(
    ("positive", "total", "low", "high"),
    [
        (0, 500, 0.00, 0.76), (5, 500, 0.43, 2.32), (10, 500, 1.09, 3.64), (15, 500, 1.83, 4.89), (25, 500, 3.41, 7.28),
        (100, 500, 16.73, 23.73), (150, 500, 26.15, 34.16), (60, 2000, 2.34, 3.84), (400, 2000, 18.31, 21.81),
        (20, 400, 3.26, 7.60), (120, 400, 25.72, 34.66), (0, 100, 0.00, 3.70),
    ],
)  # fmt: skip
def test_wilson_interval_gives_the_published_check_values(positive: int, total: int, low: float, high: float) -> None:
    found = wilson_interval(positive, total)
    assert round(100 * found[0], 2) == low
    assert round(100 * found[1], 2) == high


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_proportion_and_stays_in_range(pair: tuple[int, int]) -> None:
    positive, total = pair
    low, high = wilson_interval(positive, total)
    assert 0 <= low <= positive / total <= high <= 1
    mirrored = wilson_interval(total - positive, total)
    assert low == pytest.approx(1 - mirrored[1], abs=1e-12)


@pytest.mark.parametrize(("positive", "total"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_is_refused(positive: int, total: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(positive, total)


def test_the_index_leaves_non_tumour_nuclei_out() -> None:
    index = find_labelling_index(Counts(positive=15, negative=485, other=300))
    assert index is not None
    assert index.percent == pytest.approx(3.0)
    assert (round(index.low_percent, 2), round(index.high_percent, 2)) == (1.83, 4.89)


def test_without_tumour_nuclei_there_is_no_index() -> None:
    assert find_labelling_index(Counts(0, 0, 40)) is None


@pytest.mark.parametrize(("tumour", "sparse"), [(99, True), (100, False)])
def test_an_index_of_fewer_than_100_nuclei_is_sparse(tumour: int, sparse: bool) -> None:
    index = find_labelling_index(Counts(1, tumour - 1, 0))
    assert index is not None
    assert index.is_sparse is sparse
