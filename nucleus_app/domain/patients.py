"""Which cases are one patient's, and on which side each patient stands: never on two (decision 0010)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from nucleus_app.domain.split import Split, strictest


def group_cases(ties: Mapping[int, Iterable[Hashable]]) -> dict[int, int]:
    """Each case's patient, called by the smallest of its cases. Cases that have a tie in common are one patient's, also
    by way of other cases.
    """
    parents = {case_id: case_id for case_id in ties}

    def find(case_id: int) -> int:
        while parents[case_id] != case_id:
            parents[case_id] = parents[parents[case_id]]
            case_id = parents[case_id]
        return case_id

    first: dict[Hashable, int] = {}
    for case_id, own in ties.items():
        for tie in own:
            one, other = sorted((find(case_id), find(first.setdefault(tie, case_id))))
            parents[other] = one
    return {case_id: find(case_id) for case_id in ties}


def find_sides(patients: Mapping[int, int], own: Mapping[int, Split]) -> dict[int, Split]:
    """The side of each patient of whom a case was ever signed: the strictest of those that ``own`` says of its cases."""
    sides: dict[int, Split] = {}
    for case_id, split in own.items():
        patient = patients[case_id]
        sides[patient] = strictest((split, sides.get(patient, split)))
    return sides
