"""Which field is worth reviewing next."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.doubt import Swing
from nucleus_app.domain.next_field import WORDS, ScoredField, describe_candidates, rank_fields
from nucleus_app.domain.nuclei import Nuclei

FEATURES = st.dictionaries(st.sampled_from(sorted(WORDS)), st.floats(-5, 5), max_size=8)


def scored(image: int, low: float | None, high: float | None, cutoffs: tuple[float, ...] = (), **given: Any) -> Any:
    tumour = given.pop("tumour", 500)
    return ScoredField(image, tumour, Swing(20, low, high), cutoffs, given)


def test_the_field_whose_index_is_least_sure_comes_first() -> None:
    ranked = rank_fields([scored(1, 12, 15), scored(2, 12, 31), scored(3, 12, 12.1), scored(4, None, None)], [])
    assert [(one.image, round(one.value, 6), one.reason) for one in ranked] == [
        (2, 0.19, "the index could be anywhere from 12 to 31 %"),
        (1, 0.03, "the index could be anywhere from 12 to 15 %"),
        (3, 0.001, "the network is sure of it"),
        (4, 0.0, "no tumour nucleus was found"),
    ]


def test_an_index_that_could_be_on_either_side_of_a_cutoff_counts_more() -> None:
    ranked = rank_fields([scored(1, 40, 60, (3, 20)), scored(2, 18, 22, (3, 20)), scored(3, 1, 22, (3, 20))], [])
    assert [(one.image, round(one.value, 6)) for one in ranked] == [(3, 0.46), (2, 0.29), (1, 0.2)]
    assert ranked[0].reason.endswith("from 1 to 22 %, on either side of the cut-off at 3 and 20 %")
    assert rank_fields([scored(1, 2.96, 3.04, (3,))], [])[0].reason == (
        "the index could be anywhere from 3.0 to 3.0 %, on either side of the cut-off at 3 %"
    )


def test_a_handful_of_doubtful_nuclei_does_not_come_before_a_field_that_counts() -> None:
    assert [one.image for one in rank_fields([scored(1, 0, 100, tumour=3), scored(2, 10, 30)], [])] == [2, 1]


def test_an_image_like_none_reviewed_is_named_by_what_is_different() -> None:
    # Over all four images brown is 1, 1, 1 and -1: mean 0.5, deviation 0.866. Image 2 is 2 / 0.866 = 2.309 deviations off
    # from every reviewed one, so 1.309 beyond what is familiar, worth 0.5 · 1.309 / 3.309.
    reviewed = [{"brown": 1.0}, {"brown": 1.0}]
    ranked = rank_fields([scored(1, 10, 11, brown=1.0), scored(2, 10, 11, brown=-1.0)], reviewed)
    assert [one.image for one in ranked] == [2, 1]
    assert ranked[0].value == pytest.approx(0.01 + 0.5 * 1.3094 / 3.3094, abs=1e-4)
    assert ranked[0].reason == "unlike anything reviewed so far: paler brown"
    assert ranked[1].reason == "the index could be anywhere from 10 to 11 %"


def test_both_reasons_are_given_where_both_count_the_stronger_one_first() -> None:
    reviewed = [{"ground": 200.0}, {"ground": 200.0}]
    ranked = rank_fields([scored(1, 10, 40, ground=240.0), scored(2, 10, 11, ground=200.0)], reviewed)
    assert ranked[0].reason == (
        "the index could be anywhere from 10 to 40 %; unlike anything reviewed so far: brighter ground"
    )


def test_an_image_near_to_one_of_several_labs_is_nothing_new() -> None:
    reviewed = [{"brown": 0.0}, {"brown": 10.0}]
    between, near = rank_fields([scored(1, 10, 10, brown=9.8), scored(2, 10, 10, brown=5.0)], reviewed)
    assert (near.image, near.value) == (1, 0)
    assert between.value > 0


def test_what_cannot_be_compared_is_nothing_new() -> None:
    ranked = rank_fields([scored(1, 10, 11, brown=9.0), scored(2, 10, 11)], [{"ground": 1.0}])
    assert [one.value for one in ranked] == pytest.approx([0.01, 0.01])


def test_candidates_are_described_by_hand_counted_numbers() -> None:
    nuclei = Nuclei.from_arrays([[0, 0]] * 10, [0] * 2 + [1] * 7 + [2])
    assert describe_candidates(nuclei, 3, 0.01) == pytest.approx(
        {"crowding": 2.95472, "positive": 2 / 9, "doubtful": 1 / 3, "other": 0.1}, abs=1e-5
    )
    assert describe_candidates(Nuclei.empty(), 0, 0.01) == {"crowding": 0.0}


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(50, 100), st.integers(0, 900), FEATURES), max_size=8),
    st.lists(FEATURES, max_size=5),
)
def test_every_field_is_listed_once_with_a_value_and_a_reason(
    rows: list[Any], reviewed: list[dict[str, float]]
) -> None:
    fields = [
        ScoredField(n, tumour, Swing(1, low, high), (20.0,), given) for n, (low, high, tumour, given) in enumerate(rows)
    ]
    ranked = rank_fields(fields, reviewed)
    assert sorted(one.image for one in ranked) == list(range(len(fields)))
    assert [one.value for one in ranked] == sorted((one.value for one in ranked), reverse=True)
    assert all(0 <= one.value < 2 and one.reason for one in ranked)
    assert rank_fields(fields[::-1], reviewed) == ranked  # whatever the order they come in


@given(FEATURES, st.lists(FEATURES, max_size=4))
def test_an_image_that_was_reviewed_itself_is_nothing_new(
    own: dict[str, float], others: list[dict[str, float]]
) -> None:
    [ranked] = rank_fields([ScoredField(1, 500, Swing(0, 5.0, 5.0), (), own)], [own, *others])
    assert ranked.value == 0
