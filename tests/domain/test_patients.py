from __future__ import annotations

from nucleus_app.domain.patients import find_sides, group_cases
from nucleus_app.domain.split import Split


def test_cases_without_anything_in_common_are_patients_of_their_own() -> None:
    assert group_cases({3: ["a"], 1: ["b"], 2: []}) == {1: 1, 2: 2, 3: 3}


def test_cases_are_one_patient_also_by_way_of_others_whatever_their_order() -> None:
    ties = {9: ["a", "b"], 4: ["c"], 7: ["b", "d"], 2: ["d", "c"], 5: ["e"]}
    expected = {9: 2, 4: 2, 7: 2, 2: 2, 5: 5}
    assert group_cases(ties) == group_cases(dict(reversed(ties.items()))) == expected


def test_a_patient_stands_on_the_strictest_side_of_all_cases_and_without_any_on_none() -> None:
    patients = {1: 1, 2: 1, 3: 3, 4: 1, 5: 5, 6: 5}
    own = {1: Split.TRAIN, 4: Split.LOCKED, 2: Split.VALIDATION, 5: Split.TRAIN, 6: Split.TRAIN}
    assert find_sides(patients, own) == {1: Split.LOCKED, 5: Split.TRAIN}
