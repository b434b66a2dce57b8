from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.index import wilson_interval
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.protocols import score_case
from nucleus_app.domain.rules import allocate_fields, show_percent
from nucleus_app.domain.scores import CountedField, select_used
from nucleus_app.domain.sheet import CaseSheet, Protocol, Role, Shares
from nucleus_app.domain.strata import Stratum, cells_needed, resample_fields, stratified_wilson

HALF = Fraction(1, 2)


def field(positive: int, tumour: int, role: Role = Role.FIELD, name: str = "F") -> CountedField:
    return CountedField(name, role, Counts(positive, tumour - positive, 7), 0.2)


def net(**given_: object) -> CaseSheet:
    return CaseSheet(protocol=Protocol.NET_HOT_SPOT, **given_)


@pytest.mark.parametrize(
    ("cutoff", "observed", "cells"),
    [
        (3, 1, 240), (3, 2, 1070), (3, 2.5, 4340), (3, 4, 1040), (3, 5, 230),
        (5, 3, 440), (5, 7, 440), (5, 4, 1760), (5, 6, 1760),
        (20, 18, 1530), (20, 22, 1530), (20, 19, 6150), (20, 21, 6150),
        (30, 28, 1980), (30, 32, 1980), (30, 29, 8050), (30, 31, 8050),
    ],
)  # fmt: skip
def test_so_many_cells_settle_on_which_side_of_a_cut_off_an_index_lies(
    cutoff: float, observed: float, cells: int
) -> None:
    assert cells_needed(observed, 100, cutoff / 100) == cells


def test_an_index_that_is_the_cut_off_itself_is_never_settled() -> None:
    assert cells_needed(15, 500, 0.03) is None


@given(st.integers(1, 400), st.integers(0, 400), st.sampled_from([0.03, 0.05, 0.2, 0.3]))
def test_the_cells_asked_for_are_more_than_were_counted_and_settle_it(total: int, positive: int, cutoff: float) -> None:
    positive = min(positive, total)
    cells = cells_needed(positive, total, cutoff, total)
    if cells is not None:
        assert cells > total
        low, high = wilson_interval(round(positive / total * cells), cells)
        assert not low <= cutoff <= high


@pytest.mark.parametrize(
    ("shares", "fields"),
    [
        ((25, 25, 25, 25), (1, 1, 1, 1)),
        ((10, 20, 30, 40), (1, 1, 1, 1)),
        ((0, 20, 30, 50), (0, 1, 1, 2)),
        ((50, 20, 0, 30), (2, 1, 0, 1)),
        ((40, 40, 20, 0), (1, 1, 1, 0)),  # not all different: three fields only
        ((20, 20, 60, 0), (1, 1, 1, 0)),
        ((50, 50, 0, 0), (2, 2, 0, 0)),
        ((0, 62, 38, 0), (0, 2, 2, 0)),
        ((0, 62.5, 37.5, 0), (0, 3, 1, 0)),
        ((20, 0, 0, 80), (1, 0, 0, 3)),
        ((0, 0, 0, 100), (0, 0, 0, 4)),
        ((50, 20, 20, 0), (0, 0, 0, 0)),  # sums to 90
    ],
)
def test_fields_are_allotted_as_the_working_group_does(shares: tuple[float, ...], fields: tuple[int, ...]) -> None:
    allotted = allocate_fields(Shares(*shares))
    assert tuple(allotted.get(role, 0) for role in (Role.NEGLIGIBLE, Role.LOW, Role.MEDIUM, Role.HIGH)) == fields


@pytest.mark.parametrize(
    ("positive", "tumour", "grade", "shown"),
    [
        (74, 2500, "G1", "2.96"), (15, 500, "G2", "3.0"), (100, 500, "G2", "20.0"), (501, 2500, "G3", "20.04"),
        (0, 500, "G1", "0.0"), (500, 500, "G3", "100.0"), (14, 500, "G1", "2.8"),
    ],
)  # fmt: skip
def test_a_tumour_is_graded_on_the_unrounded_ratio(positive: int, tumour: int, grade: str, shown: str) -> None:
    score = score_case(net(), [field(positive, tumour, Role.HOT_SPOT)])
    assert (score.class_name, score.primary.shown) == (f"Ki67-based {grade}", shown)
    assert score.class_text.startswith(f"Ki67-based grade: {grade}.")


@pytest.mark.parametrize(
    ("positive", "mitoses", "grade"),
    [(5, 1, "NET G1"), (5, 2, "NET G2"), (5, 20, "NET G2"), (5, 21, "NET G3"), (150, 0, "NET G3"), (50, 1.9, "NET G2")],
)
def test_the_higher_of_ki67_and_mitoses_decides(positive: int, mitoses: float, grade: str) -> None:
    sheet = net(well_differentiated=True, mitoses_per_2mm2=mitoses)
    assert score_case(sheet, [field(positive, 500, Role.HOT_SPOT)]).class_name == grade


def test_a_carcinoma_gets_no_grade() -> None:
    score = score_case(net(well_differentiated=False, mitoses_per_2mm2=30), [field(15, 500)])
    assert (score.class_name, score.unsettled) == (None, ())
    assert "high grade by definition" in score.class_text


@pytest.mark.parametrize("tumour_type", ["Lung, atypical carcinoid", "bronchial carcinoid", "NET, pulmonary"])
def test_a_tumour_of_the_lung_gets_its_number_and_no_grade(tumour_type: str) -> None:
    score = score_case(net(tumour_type=tumour_type, well_differentiated=True, mitoses_per_2mm2=3), [field(15, 500)])
    assert (score.primary.shown, score.class_name, score.unsettled, score.advice) == ("3.0", None, (), "")
    assert "no grade" in score.class_text
    spread = net(tumour_type="NET of the ileum, metastasis to the lung")
    assert score_case(spread, [field(15, 500)]).class_name == "Ki67-based G2"


@pytest.mark.parametrize(
    ("positive", "tumour", "class_name"),
    [
        (25, 500, "≤ 5 %"),
        (26, 500, None),
        (149, 500, None),
        (150, 500, "≥ 30 %"),
        (20, 400, "≤ 5 %"),
        (120, 400, "≥ 30 %"),
    ],
)
def test_five_and_thirty_percent_belong_to_their_breast_classes(
    positive: int, tumour: int, class_name: str | None
) -> None:
    assert score_case(CaseSheet(protocol=Protocol.BREAST_GLOBAL), [field(positive, tumour)]).class_name == class_name


def test_an_interval_across_a_cut_off_says_how_many_nuclei_would_settle_it() -> None:
    score = score_case(net(), [field(20, 500, Role.HOT_SPOT)])
    assert score.unsettled == (3.0,)
    assert score.cells_more == 540
    assert score.advice == "The interval spans the cut-off at 3 %: count about 540 more tumour nuclei to settle this."
    assert score_case(net(), [field(5, 500, Role.HOT_SPOT)]).advice == ""


def test_nobody_is_asked_to_count_half_a_million_nuclei() -> None:
    score = score_case(net(), [field(37, 1250, Role.HOT_SPOT)])
    assert score.cells_more is None
    assert score.advice.endswith("the index lies so close that counting more will hardly settle it.")


def test_under_a_hundred_nuclei_there_is_an_index_and_no_class() -> None:
    score = score_case(net(), [field(30, 99, Role.HOT_SPOT)])
    assert (score.class_name, score.unsettled, score.is_sparse) == (None, (), True)
    assert score.primary.shown == "30.3"
    assert any("Only 99" in warning for warning in score.warnings)


def test_fewer_than_the_target_are_reported_as_available() -> None:
    assert "Fewer than 500 tumour cells available: 312 were counted." in score_case(net(), [field(9, 312)]).warnings
    assert (
        "Fewer than 2000 tumour cells available: 600 were counted."
        in score_case(net(target=2000), [field(9, 600)]).warnings
    )


QUARTERS = Shares(25, 25, 25, 25)
FOUR = [
    field(0, 100, Role.NEGLIGIBLE, "a"), field(5, 100, Role.LOW, "b"), field(20, 100, Role.MEDIUM, "c"),
    field(60, 120, Role.HIGH, "d"),
]  # fmt: skip


def test_all_three_breast_scores_are_shown_under_their_own_names() -> None:
    score = score_case(
        CaseSheet(protocol=Protocol.BREAST_GLOBAL, shares=QUARTERS), [*FOUR, field(300, 500, Role.HOT_SPOT)]
    )
    assert (score.primary.name, score.primary.positive, score.primary.tumour) == ("Unweighted global score", 85, 420)
    others = {other.name: other.percent for other in score.others}
    assert others == {"Weighted global score": pytest.approx(18.75), "Ki67 hot-spot score": pytest.approx(60)}
    assert score.hot_spot_minus_average == pytest.approx(60 - 100 * 85 / 420)


def test_a_category_with_area_and_no_counted_nuclei_refuses_the_weighted_score() -> None:
    sheet = CaseSheet(protocol=Protocol.BREAST_WEIGHTED, shares=QUARTERS)
    refused = score_case(sheet, FOUR[:3])
    assert refused.primary is None
    assert refused.missing == "No weighted score: high has a share of the tumour, but no counted field."
    assert [other.name for other in refused.others] == ["Unweighted global score"]
    assert score_case(sheet, FOUR).primary.percent == pytest.approx(18.75)


def test_shares_that_do_not_sum_to_a_hundred_are_told_and_nothing_is_weighted() -> None:
    score = score_case(CaseSheet(protocol=Protocol.BREAST_WEIGHTED, shares=Shares(20, 20, 20, 20)), FOUR)
    assert score.primary is None
    assert "sum to 80 %" in score.missing


def test_fields_that_are_missing_or_short_are_named() -> None:
    sheet = CaseSheet(protocol=Protocol.BREAST_GLOBAL, shares=Shares(low=60, high=40))
    warnings = score_case(sheet, [field(3, 80, Role.LOW, "edge"), field(50, 100, Role.HIGH, "core")]).warnings
    assert "edge: 80 tumour nuclei, fewer than 100." in warnings
    assert {"1 of 2 low fields counted.", "1 of 2 high fields counted."} <= set(warnings)


def test_fields_that_weigh_more_than_the_protocol_lets_them_are_told() -> None:
    sheet = CaseSheet(protocol=Protocol.BREAST_GLOBAL, shares=QUARTERS)
    counts = [(2, 100, Role.NEGLIGIBLE), (10, 100, Role.LOW), (25, 100, Role.MEDIUM)]
    three = [field(*given) for given in counts]
    full = score_case(sheet, [*three, field(696, 1200, Role.HIGH)])
    assert full.class_name == "≥ 30 %"  # with 100 in each field it would be 23.8 %
    (warning,) = full.warnings
    assert warning.startswith("The fields hold 100 to 1,200 tumour nuclei")
    many = score_case(sheet, [*three, *[field(58, 100, Role.HIGH)] * 3])
    (warning,) = many.warnings
    assert warning.startswith("3 of 1 high field counted: more than its share")
    assert score_case(sheet, [*three, field(116, 200, Role.HIGH)]).warnings == ()
    twice = [field(positive, 100, role) for positive, _, role in [*counts, (58, 100, Role.HIGH)] for _ in range(2)]
    assert score_case(sheet, twice).warnings == ()  # every category has as many more
    alone = CaseSheet(protocol=Protocol.BREAST_GLOBAL, shares=Shares(low=100))
    assert score_case(alone, [field(10, 100, Role.LOW)] * 6).warnings == ()
    weighted = CaseSheet(protocol=Protocol.BREAST_WEIGHTED, shares=QUARTERS)
    assert score_case(weighted, [*three, field(696, 1200, Role.HIGH)]).warnings == ()


def test_an_empty_field_is_named_and_the_others_count() -> None:
    score = score_case(
        CaseSheet(), [field(10, 200), CountedField("blank", Role.FIELD, None, 0.2), field(0, 0, name="fat")]
    )
    assert score.primary.percent == 5
    assert {"blank: nothing was counted in this field.", "fat: no tumour nucleus in this field."} <= set(score.warnings)


def test_no_tumour_nucleus_is_no_index() -> None:
    score = score_case(net(), [field(0, 0)])
    assert (score.primary, score.missing) == (None, "No tumour nucleus was counted: there is no index.")
    assert score_case(net(), []).missing.startswith("This case has no field yet")


def test_one_stratum_is_the_wilson_interval_itself() -> None:
    assert stratified_wilson([Stratum(20, 400, Fraction(1))]) == pytest.approx(wilson_interval(20, 400))


def test_two_strata_agree_with_a_computation_by_hand() -> None:
    # √v = 0.010897 and 0.04, so the quantile is 1.95996 · 0.020729 / 0.025449 = 1.5965; the two Wilson intervals at it are
    # 0.03527 to 0.07042 and 0.14396 to 0.27096.
    low, high = stratified_wilson([Stratum(20, 400, HALF), Stratum(20, 100, HALF)])
    assert (low, high) == (pytest.approx(0.089615, abs=2e-6), pytest.approx(0.170690, abs=2e-6))


def test_many_nuclei_make_a_weighted_interval_that_of_the_normal_distribution() -> None:
    strata = [Stratum(30_000, 300_000, Fraction(7, 10)), Stratum(160_000, 400_000, Fraction(3, 10))]
    spread = 1.96 * (0.7**2 * 0.1 * 0.9 / 300_000 + 0.3**2 * 0.4 * 0.6 / 400_000) ** 0.5
    assert stratified_wilson(strata) == (pytest.approx(0.19 - spread, abs=1e-5), pytest.approx(0.19 + spread, abs=1e-5))


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 100)), min_size=1, max_size=4))
def test_a_weighted_interval_holds_its_score(counts: list[tuple[int, int]]) -> None:
    strata = [Stratum(min(p, n), n, Fraction(1, len(counts))) for p, n in counts]
    low, high = stratified_wilson(strata)
    assert -1e-9 <= low <= sum(s.weight * s.positive / s.total for s in strata) + 1e-9
    assert sum(s.weight * s.positive / s.total for s in strata) <= high + 1e-9 <= 1 + 2e-9


def test_fields_are_resampled_from_four_on_and_always_alike() -> None:
    fields = [(1, 100), (5, 100), (9, 120), (20, 100)]
    assert resample_fields(fields[:3]) is None
    assert resample_fields(fields) == resample_fields(fields)
    low, high = resample_fields(fields)
    assert low < 35 / 420 < high
    assert resample_fields([(5, 100)] * 5) == (0.05, 0.05)


@given(st.integers(0, 3000), st.integers(1, 3000))
def test_a_printed_index_never_lies_on_the_other_side_of_a_cut_off(positive: int, total: int) -> None:
    percent = 100 * min(positive, total) / total
    shown = float(show_percent(percent, (3, 20)))
    for cutoff in (3, 20):
        assert (shown < cutoff) == (percent < cutoff)
        assert (shown > cutoff) == (percent > cutoff)


@pytest.mark.parametrize(("of_sixteen", "shown"), [(1, "6.3"), (3, "18.8"), (5, "31.3"), (8, "50.0")])
def test_an_index_between_two_decimals_is_rounded_up(of_sixteen: int, shown: str) -> None:
    assert show_percent(100 * of_sixteen / 16) == shown


def test_a_score_beside_the_protocols_own_says_when_it_rests_on_few_nuclei() -> None:
    fields = [field(20, 200, role) for role in (Role.LOW, Role.HIGH)] + [field(3, 10, Role.HOT_SPOT)]
    scored = score_case(CaseSheet(protocol=Protocol.BREAST_GLOBAL), fields)
    assert [other.name for other in scored.others] == ["Ki67 hot-spot score"]
    assert (
        "Ki67 hot-spot score: Only 10 tumour nuclei were counted; fewer than 100 give no reliable index."
        in scored.warnings
    )


def test_a_weighted_score_counts_the_fields_of_categories_with_a_share() -> None:
    sheet = CaseSheet(protocol=Protocol.BREAST_WEIGHTED, shares=Shares(low=50, high=50))
    fields = [field(20, 200, role) for role in (Role.LOW, Role.HIGH, Role.MEDIUM, Role.FIELD)]
    assert select_used(sheet, fields) == fields[:2]


def test_many_fields_of_one_kind_are_told_in_few_lines() -> None:
    warnings = score_case(CaseSheet(protocol=Protocol.BREAST_GLOBAL), [field(1, 50, Role.FIELD)] * 500).warnings
    assert len(warnings) < 12
    assert "497 more fields with fewer than 100." in warnings


def test_a_hot_spot_says_next_to_its_number_that_it_was_chosen_for_being_high() -> None:
    assert "chosen for being the highest" in score_case(net(), [field(15, 500)]).note
    assert score_case(CaseSheet(), [field(15, 500)]).note == ""


@pytest.mark.parametrize(
    ("shares", "low", "high", "percent", "class_name"),
    [((30, 70), (9, 100), (39, 100), 30, "≥ 30 %"), ((90, 10), (1, 100), (41, 100), 5, "≤ 5 %")],
)
def test_a_weighted_score_of_exactly_a_cut_off_has_its_class(
    shares: tuple[float, float], low: tuple[int, int], high: tuple[int, int], percent: float, class_name: str
) -> None:
    sheet = CaseSheet(protocol=Protocol.BREAST_WEIGHTED, shares=Shares(low=shares[0], high=shares[1]))
    score = score_case(sheet, [field(*low, Role.LOW), field(*high, Role.HIGH)])
    assert (score.primary.percent, score.primary.shown, score.class_name) == (percent, f"{percent}.0", class_name)


def test_the_nuclei_asked_for_bring_a_weighted_interval_off_the_cut_off() -> None:
    sheet = CaseSheet(protocol=Protocol.BREAST_WEIGHTED, shares=Shares(low=10, high=90))
    score = score_case(sheet, [field(100, 4000, Role.LOW), field(40, 100, Role.HIGH)])
    assert score.unsettled == (30,)
    assert "spread over the categories as now" in score.advice
    times = 1 + score.cells_more / 4100
    settled = [Stratum(100 * times, 4000 * times, Fraction(1, 10)), Stratum(40 * times, 100 * times, Fraction(9, 10))]
    assert stratified_wilson(settled)[0] > 0.3
    fewer = [Stratum(s.positive * 0.95, s.total * 0.95, s.weight) for s in settled]
    assert stratified_wilson(fewer)[0] < 0.3


def test_what_mitoses_have_settled_is_not_asked_for_again() -> None:
    spot = [field(15, 600, Role.HOT_SPOT)]
    assert score_case(net(), spot).unsettled == (3,)
    assert score_case(net(well_differentiated=True, mitoses_per_2mm2=1), spot).unsettled == (3,)
    settled = score_case(net(well_differentiated=True, mitoses_per_2mm2=5), spot)
    assert (settled.class_name, settled.unsettled, settled.advice) == ("NET G2", (), "")


def test_a_hot_spot_is_compared_with_the_other_fields_and_with_nothing_where_there_is_none() -> None:
    fields = [field(60, 200, Role.HOT_SPOT), field(10, 100), field(20, 100)]
    assert score_case(net(), fields).hot_spot_minus_average == pytest.approx(15)
    alone = score_case(CaseSheet(protocol=Protocol.BREAST_HOT_SPOT), [field(60, 200)])
    assert (alone.hot_spot_minus_average, alone.others) == (None, ())


def test_hot_spots_that_are_none_or_many_or_large_are_told() -> None:
    breast = CaseSheet(protocol=Protocol.BREAST_HOT_SPOT)
    assert any("No field is marked" in w for w in score_case(breast, [field(1, 300), field(2, 300)]).warnings)
    two = [field(200, 500, Role.HOT_SPOT), field(10, 500, Role.HOT_SPOT)]
    assert any("2 hot spots are counted together" in w for w in score_case(breast, two).warnings)
    large = CountedField("slide", Role.HOT_SPOT, Counts(20, 500, 0), 3.2)
    assert "slide covers 3.2 mm²; a hot spot is a field of about 0.2 mm²." in score_case(net(), [large]).warnings
