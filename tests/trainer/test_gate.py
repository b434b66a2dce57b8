from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nucleus_app.domain.agreement import Agreement, compare_nuclei
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.learning import RunState, parse_verdict, verdict_to_mapping
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import Rgb
from trainer.judging.gallery import SHOWN
from trainer.judging.gate import judge_candidate
from trainer.judging.regression import RECIPES, Regression, make_regression
from trainer.judging.remembered import Remembered
from trainer.judging.resampling import index_error, judge_image, measure, pair_up
from trainer.learning.example import Example

SIDE = 300
NOTHING = Regression((), (), ())
Change = Callable[[Nuclei, np.random.Generator], Nuclei]


class Fake:
    """Finds the truth, changed. It knows an image by its first pixels."""

    def __init__(self, version: Version, truths: dict[bytes, Nuclei], change: Change) -> None:
        self.version = version
        self._truths = truths
        self._change = change

    def find(self, rgb: Rgb, mpp: float) -> Nuclei:
        key = rgb[0, :3].tobytes()
        return self._change(self._truths[key], np.random.default_rng(list(key)))


def missing(share: float, kind: int | None = None) -> Change:
    """Overlooks a share of the nuclei, of one class only where it is given."""

    def change(truth: Nuclei, rng: np.random.Generator) -> Nuclei:
        lost = rng.random(len(truth)) < share
        return truth.select(~lost if kind is None else ~(lost & (truth.classes == kind)))

    return change


def swapping(share: float) -> Change:
    """Takes a share of positive nuclei for negative ones, and the other way round."""

    def change(truth: Nuclei, rng: np.random.Generator) -> Nuclei:
        swapped = (rng.random(len(truth)) < share) & (truth.classes < 2)
        return replace(truth, classes=np.where(swapped, 1 - truth.classes, truth.classes).astype(np.uint8))

    return change


def example(image: int, case: int, n: int = 60, **changes: object) -> Example:
    rng = np.random.default_rng(image)
    xy = np.stack(np.meshgrid(np.arange(15, SIDE, 30), np.arange(15, SIDE, 30)), axis=-1).reshape(-1, 2)
    nuclei = Nuclei.from_arrays(xy[rng.permutation(len(xy))[:n]], rng.choice([0, 1, 2], n, p=[0.4, 0.5, 0.1]))
    plane = np.zeros((SIDE, SIDE), np.bool_)
    none = np.empty((0, 2), np.float32)
    made = Example(
        f"lab_{case}_{image}", image, case, rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8), 0.5, nuclei,
        np.ones(n, np.bool_), none, none, ~plane, plane, plane, plane.astype(np.uint8),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


LOCKED = [example(image, image // 2) for image in range(8)]
LESSONS = [example(image, image // 2) for image in range(20, 26)]


@pytest.fixture
def fake(tiny: Version) -> Callable[..., Fake]:
    def make(change: Change, examples: Sequence[Example] = (*LOCKED, *LESSONS)) -> Fake:
        return Fake(tiny, {e.rgb[0, :3].tobytes(): e.nuclei for e in examples}, change)

    return make


Fakes = Callable[..., Fake]


def test_the_same_network_twice_differs_by_nothing_and_is_never_promoted(fake: Fakes) -> None:
    verdict = judge_candidate(fake(missing(0.2)), fake(missing(0.2)), LOCKED, LESSONS, NOTHING)
    assert verdict.state is RunState.REJECTED
    assert verdict.locked is not None
    for difference in (verdict.locked.detection_f1, verdict.locked.weighted_f1, *verdict.locked.class_f1.values()):
        assert (difference.change, difference.low, difference.high) == (0.0, 0.0, 0.0)
    assert verdict.gallery == ()
    assert "as good as tiny" in verdict.sentence


def test_a_clearly_better_one_is_promoted_and_says_what_it_learned(fake: Fakes) -> None:
    verdict = judge_candidate(fake(missing(0.02)), fake(missing(0.3, kind=0)), LOCKED, LESSONS, NOTHING)
    assert verdict.state is RunState.PROMOTED
    assert verdict.reasons == ()
    assert verdict.cases == 4
    assert verdict.locked is not None
    assert verdict.locked.nuclei == 8 * 60
    assert verdict.locked.weighted_f1.low > 0
    assert verdict.sentence.startswith("Learned from 6 fields of 3 cases; on 4 locked cases it finds ")
    assert "more of the positive nuclei" in verdict.sentence
    assert verdict.lesson_agreement == 1.0
    assert parse_verdict(verdict_to_mapping(verdict)) == verdict


def test_a_worse_one_is_rejected_with_every_number_that_spoke_against_it(fake: Fakes) -> None:
    verdict = judge_candidate(fake(missing(0.3)), fake(missing(0.0)), LOCKED, LESSONS, NOTHING)
    assert verdict.state is RunState.REJECTED
    assert any(
        reason.startswith("On the locked cases the detection F1 fell from 1.000 to 0.8") for reason in verdict.reasons
    )
    assert any("F1 of negative nuclei" in reason for reason in verdict.reasons)
    assert verdict.sentence.endswith(verdict.reasons[0])


def test_a_gain_in_one_class_does_not_pay_for_a_loss_in_another(fake: Fakes) -> None:
    def trade(truth: Nuclei, rng: np.random.Generator) -> Nuclei:
        return missing(0.12, kind=1)(truth, rng)

    verdict = judge_candidate(fake(trade), fake(missing(0.5, kind=0)), LOCKED, LESSONS, NOTHING)
    assert verdict.locked.weighted_f1.low > 0
    assert verdict.state is RunState.REJECTED
    assert any("negative nuclei fell" in reason for reason in verdict.reasons)


def test_an_index_that_is_nearer_the_truth_is_a_gain_too(fake: Fakes) -> None:
    verdict = judge_candidate(fake(missing(0.0)), fake(swapping(0.05)), LOCKED, LESSONS, NOTHING)
    assert verdict.locked.index_error.after == 0
    assert verdict.state is RunState.PROMOTED


def test_one_patient_with_tumour_is_no_evidence_however_much_stroma_of_others_is_locked(fake: Fakes) -> None:
    one = [replace(e, case=0) for e in LOCKED]
    nothing = one[0].nuclei.select(np.zeros(60, np.bool_))
    stroma = replace(one[1].nuclei.select(np.arange(60) < 12), classes=np.full(12, NucleusClass.OTHER, np.uint8))
    for n, nuclei in enumerate((nothing, stroma)):
        other = replace(example(40 + n, 9), nuclei=nuclei, by_person=np.ones(len(nuclei), np.bool_))
        seen = [*one, other]
        verdict = judge_candidate(fake(missing(0.0), seen), fake(swapping(0.05), seen), seen, [], NOTHING)
        assert (verdict.state, verdict.cases) == (RunState.UNDECIDED, 1)
        assert "fewer than 10 tumour nuclei" in verdict.reasons[0]


def test_a_draw_without_any_index_widens_the_interval_of_its_change(fake: Fakes) -> None:
    two = [replace(e, case=e.case % 2) for e in LOCKED]
    empty = [replace(example(50 + n, 20 + n), nuclei=Nuclei.empty(), by_person=np.zeros(0, np.bool_)) for n in range(8)]
    alone = judge_candidate(fake(missing(0.0)), fake(swapping(0.05)), two, [], NOTHING)
    seen = [*two, *empty]
    among = judge_candidate(fake(missing(0.0), seen), fake(swapping(0.05), seen), seen, [], NOTHING)
    assert alone.locked.index_error.high < 0
    assert among.locked.index_error.high == 0
    assert among.locked.index_error.after == alone.locked.index_error.after


def test_a_poisoned_lesson_is_noticed(fake: Fakes) -> None:
    rng = np.random.default_rng(3)
    poisoned = [replace(lesson, nuclei=swapping(0.3)(lesson.nuclei, rng)) for lesson in LESSONS]
    verdict = judge_candidate(fake(missing(0.0)), fake(missing(0.3)), LOCKED, poisoned, NOTHING)
    assert verdict.lesson_agreement == pytest.approx(0.7, abs=0.07)
    assert verdict.state is RunState.REJECTED
    assert any("contradict each other" in reason for reason in verdict.reasons)


def test_only_what_was_taught_is_held_against_the_lesson(fake: Fakes) -> None:
    rng = np.random.default_rng(3)
    nobody, nowhere = np.zeros(60, np.bool_), np.zeros_like(LESSONS[0].reviewed)
    untaught = [
        replace(lesson, nuclei=swapping(0.5)(lesson.nuclei, rng), by_person=nobody, reviewed=nowhere, signed=nowhere)
        for lesson in LESSONS
    ]
    assert judge_candidate(fake(missing(0.0)), fake(missing(0.3)), LOCKED, untaught, NOTHING).lesson_agreement is None


def test_the_order_of_images_does_not_matter(fake: Fakes) -> None:
    one = judge_candidate(fake(missing(0.1)), fake(missing(0.15)), LOCKED, LESSONS, NOTHING)
    other = judge_candidate(fake(missing(0.1)), fake(missing(0.15)), LOCKED[::-1], LESSONS[::-1], NOTHING)
    assert one == other


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        ([], "0 locked cases with 0 nuclei; needed are 2 more locked cases (one signed case in 4 is locked, so sign about 8 more) and 200 more nuclei"),
        (LOCKED[:2], "1 locked case with 120 nuclei; needed are 1 more locked case (one signed case in 4 is locked, so sign about 4 more) and 80 more nuclei"),
        ([LOCKED[0], LOCKED[2]], "2 locked cases with 120 nuclei; needed are 80 more nuclei in locked cases."),
    ],
)  # fmt: skip
def test_too_little_evidence_decides_nothing_and_says_what_is_missing(
    fake: Fakes, locked: list[Example], said: str
) -> None:
    verdict = judge_candidate(fake(missing(0.0)), fake(missing(0.5)), locked, LESSONS, NOTHING)
    assert verdict.state is RunState.UNDECIDED
    assert said in verdict.sentence
    assert said in verdict.reasons[0]


def test_locked_cases_that_hold_nothing_to_judge_with_are_said(fake: Fakes) -> None:
    nowhere = np.zeros_like(LOCKED[0].reviewed)
    painted_only = replace(LOCKED[7], reviewed=nowhere, signed=nowhere)
    locked = [LOCKED[0], painted_only]
    verdict = judge_candidate(fake(missing(0.0)), fake(missing(0.5)), locked, LESSONS, NOTHING, 2)
    assert "3 other locked cases hold neither a correction nor an area marked as reviewed" in verdict.sentence
    verdict = judge_candidate(fake(missing(0.0)), fake(missing(0.5)), locked, LESSONS, NOTHING)
    assert "1 other locked case holds neither" in verdict.sentence


def test_it_is_judged_only_where_somebody_looked_and_not_at_doubtful_places(fake: Fakes) -> None:
    left = np.zeros((SIDE, SIDE), np.bool_)
    left[:, : SIDE // 2] = True

    def inventing(x: float) -> Change:
        ghosts = Nuclei.from_arrays([[x, y] for y in range(0, SIDE, 30)], np.zeros(10), np.full(10, 0.9))
        return lambda truth, rng: Nuclei.concatenate([truth, ghosts])

    looked = [replace(e, reviewed=left) for e in LOCKED]
    doubtful = [replace(e, doubtful=np.array([[30, y] for y in range(0, SIDE, 30)], np.float32)) for e in looked]
    outside = judge_candidate(fake(inventing(240.0)), fake(missing(0.0)), looked, LESSONS, NOTHING)
    inside = judge_candidate(fake(inventing(30.0)), fake(missing(0.0)), looked, LESSONS, NOTHING)
    in_doubt = judge_candidate(fake(inventing(30.0)), fake(missing(0.0)), doubtful, LESSONS, NOTHING)
    assert outside.locked.detection_f1.after == in_doubt.locked.detection_f1.after == 1.0
    assert inside.locked.detection_f1.after < 0.9


def test_the_gallery_shows_what_is_newly_right_and_newly_wrong_spread_over_the_images(fake: Fakes) -> None:
    moved = [replace(e, left=1000, top=2000) for e in LOCKED]
    verdict = judge_candidate(fake(missing(0.3, kind=1)), fake(missing(0.6, kind=0)), moved, LESSONS, NOTHING)
    right = [c for c in verdict.gallery if c.is_right]
    wrong = [c for c in verdict.gallery if not c.is_right]
    assert len(right) == len(wrong) == SHOWN
    assert {c.image for c in right} == set(range(8))
    assert all((c.before, c.after, c.truth) == (None, NucleusClass.POSITIVE, NucleusClass.POSITIVE) for c in right)
    assert all((c.after, c.truth) == (None, NucleusClass.NEGATIVE) for c in wrong)
    there = {(e.image, x + 1000, y + 2000) for e in LOCKED for x, y in e.nuclei.xy.tolist()}
    assert {(c.image, c.x, c.y) for c in verdict.gallery} <= there


def test_nuclei_that_are_invented_or_no_longer_invented_are_changes(fake: Fakes) -> None:
    def with_ghost(x: float) -> Change:
        return lambda truth, rng: Nuclei.concatenate([truth, Nuclei.from_arrays([[x, 0.0]], [2])])

    verdict = judge_candidate(fake(with_ghost(60.0)), fake(with_ghost(0.0)), LOCKED[:1], LESSONS, NOTHING)
    assert [(c.x, c.before, c.after, c.is_right) for c in verdict.gallery] == [
        (0.0, NucleusClass.OTHER, None, True),
        (60.0, None, NucleusClass.OTHER, False),
    ]


def test_the_measures_are_those_of_every_other_report() -> None:
    rng = np.random.default_rng(1)
    truth = Nuclei.from_arrays(rng.uniform(0, 400, (200, 2)), rng.integers(0, 3, 200))
    found = swapping(0.2)(
        missing(0.2)(replace(truth, xy=truth.xy + rng.normal(0, 2, (200, 2)).astype(np.float32)), rng), rng
    )
    pairing = pair_up(truth, found, np.empty((0, 2), np.float32), 0.5)
    sums = judge_image(1, 1, truth, (pairing, pairing), (None, None), 0.5).square_after
    assert len(sums) > 4
    measures, agreement = measure(sums.sum(axis=0)), compare_nuclei("x", truth, found, 12.0)
    pooled = Agreement((agreement,))
    assert float(measures.detection_f1) == pytest.approx(pooled.detection.f1)
    assert float(measures.weighted_f1) == pytest.approx(pooled.weighted.f1)
    assert float(measures.class_f1[1]) == pytest.approx(pooled.of_class(NucleusClass.NEGATIVE).f1)
    assert float(index_error(sums.sum(axis=0))) == pytest.approx(agreement.index_error_points)


def test_the_interval_of_a_difference_holds_it_and_narrows_with_evidence(fake: Fakes) -> None:
    many = [example(100 + image, 50 + image) for image in range(24)]
    widths = []
    for examples in (LOCKED, many):
        verdict = judge_candidate(fake(missing(0.1), examples), fake(missing(0.2), examples), examples, [], NOTHING)
        difference = verdict.locked.detection_f1
        assert difference.low < difference.change < difference.high
        widths.append(difference.high - difference.low)
    assert widths[1] < 0.75 * widths[0]


# The regression set.


@pytest.fixture(scope="module")
def regression_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("regression")


FEW = tuple(replace(recipe, width_px=176, height_px=176) for recipe in RECIPES[:3])


def test_the_shipped_network_does_well_on_its_regression_set(shipped: Predictor, regression_dir: Path) -> None:
    regression = make_regression(shipped, regression_dir, FEW)
    assert len({image.rgb.mean() for image in (*regression.known, *regression.distilled)}) == 6
    for image, answer in zip(regression.known, regression.answers, strict=True):
        assert compare_nuclei("x", image.nuclei, answer, 6 / image.mpp).detection.f1 > 0.85
    verdict = judge_candidate(shipped, shipped, [], [], regression)
    assert verdict.regression is not None
    assert verdict.regression.images == 3
    assert verdict.regression.weighted_f1.change == 0
    assert len(verdict.reasons) == 1  # only that there is no evidence


def test_a_network_that_forgot_other_labs_is_rejected(shipped: Predictor, regression_dir: Path) -> None:
    regression = make_regression(shipped, regression_dir, FEW)
    blind = shipped.with_thresholds((0.75, 0.75, 0.75))
    reasons = " ".join(judge_candidate(blind, shipped, [], [], regression).reasons)
    assert "On the regression set the detection F1 fell" in reasons
    assert "that of the shipped network" in reasons
    assert "Under other labs' stains" in reasons


def test_small_losses_do_not_add_up(shipped: Predictor, regression_dir: Path) -> None:
    regression = make_regression(shipped, regression_dir, FEW)
    worn, more = shipped.with_thresholds((0.75, 0.75, 0.75)), shipped.with_thresholds((0.77, 0.77, 0.77))
    reasons = judge_candidate(more, worn, [], [], regression).reasons
    assert any("that of the shipped network" in reason for reason in reasons)
    assert any("Under other labs' stains" in reason for reason in reasons)


def test_a_version_in_service_that_lost_much_already_can_have_a_successor(
    shipped: Predictor, regression_dir: Path
) -> None:
    regression = make_regression(shipped, regression_dir, FEW)
    worn, less = shipped.with_thresholds((0.75, 0.75, 0.75)), shipped.with_thresholds((0.74, 0.74, 0.74))
    for successor in (worn, less):
        reasons = " ".join(judge_candidate(successor, worn, [], [], regression).reasons)
        assert "that of the shipped network" not in reasons
        assert "Under other labs' stains" not in reasons


def test_the_regression_set_is_the_same_whether_drawn_or_remembered(
    shipped: Predictor, regression_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = make_regression(shipped, tmp_path, FEW[:1])
    for kept in tmp_path.rglob("*.nuclei"):
        kept.write_bytes(b"damaged")
    redone = make_regression(shipped, tmp_path, FEW[:1])
    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "find", None)
        remembered = make_regression(shipped, tmp_path, FEW[:1])
    for a, b, c in zip(fresh.distilled, redone.distilled, remembered.distilled, strict=True):
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.rgb, c.rgb)
        assert np.array_equal(a.nuclei.xy, b.nuclei.xy)
        assert np.array_equal(a.nuclei.xy, c.nuclei.xy)


def test_an_answer_that_cannot_be_kept_is_found_all_the_same(tmp_path: Path, fake: Fakes) -> None:
    (tmp_path / "file").write_bytes(b"")
    asked = Remembered(fake(missing(0.0)), tmp_path / "file")
    image: LabelledImage = LOCKED[0].as_labelled()
    assert len(asked.find(image.rgb, image.mpp)) == 60
