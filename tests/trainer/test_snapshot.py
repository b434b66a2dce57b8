from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from db.cases import FrozenReport, add_reopening, add_sign_off, get_case_record
from db.engine import session_scope
from db.learning_cases import learn_from
from db.patients import count_patients, mark_standing
from nucleus_app.domain.edits import Brush, Polygon
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.domain.oddities import Oddity
from nucleus_app.domain.regions import find_inside
from nucleus_app.domain.sheet import FieldBox
from nucleus_app.domain.split import BLOCK, Split, assign_split
from nucleus_app.errors import NotFound, NucleusAppError
from nucleus_app.services.removal import remove_image
from nucleus_app.services.sheets import move_images, split_image
from nucleus_app.services.workplace import Workplace
from tests.services.reviewing import reclass
from tests.trainer.lessons import NOW, NewCase, add_case, noise, rectangle, region, reopen, sign
from trainer.corrections.snapshot import Plan, Snapshot, count_silent, freeze, gather, read_snapshot
from trainer.corrections.statement import Statement, Window, make_example, paint
from trainer.learning.dataset import NON_TUMOUR, TUMOUR
from trainer.learning.example import Example

PLAN = Plan(3, "lab-1", "a" * 64, {"steps": 4})
FIELD = {"op": "class", "ids": [0], "c": 0}


def statements_of(workplace: Workplace) -> list[Statement]:
    with session_scope(workplace.engine) as session:
        return gather(session)


def read_back(workplace: Workplace) -> Snapshot:
    return read_snapshot(freeze(statements_of(workplace), PLAN), workplace.blobs)


def example_of(workplace: Workplace, *edits: Any, **case: Any) -> Example:
    """What one case says, whatever its side."""
    add_case(workplace, NewCase(list(edits), **case))
    snapshot = read_back(workplace)
    (example,) = snapshot.training + snapshot.validation + snapshot.locked
    return example


def nuclei_of(example: Example) -> dict[tuple[float, float], tuple[int, bool]]:
    return {
        (x, y): (c, by)
        for (x, y), c, by in zip(
            example.nuclei.xy.tolist(), example.nuclei.classes.tolist(), example.by_person.tolist(), strict=True
        )
    }


def test_corrections_that_stand_say_who_is_there_and_by_whom(workplace: Workplace) -> None:
    example = example_of(
        workplace,
        reclass(0, c=1),
        {"op": "delete", "ids": [2]},
        {"op": "add", "x": 5, "y": 40, "c": 0},
        {"op": "move", "id": 1, "x": 22.5, "y": 11},
        {"op": "delete", "ids": [3]},
        {"op": "undo", "edit": "c:5"},
        {"op": "class", "ids": ["c:3"], "c": 2},
    )
    assert nuclei_of(example) == {
        (10.0, 10.0): (1, True),
        (22.5, 11.0): (0, True),
        (40.0, 10.0): (2, False),
        (5.0, 40.0): (2, True),
    }
    assert example.removed.tolist() == [[30.0, 10.0]]
    assert example.doubtful.tolist() == [[50.0, 10.0]]  # under the threshold, and nobody touched it
    assert example.signed.all()
    assert not example.reviewed.any()


def test_an_undone_correction_says_nothing_until_it_is_redone(workplace: Workplace) -> None:
    add_case(workplace, NewCase([reclass(0, c=1), {"op": "undo", "edit": "c:1"}], rgb=noise(seed=1)))
    assert statements_of(workplace) == []
    example = example_of(workplace, reclass(0, c=1), {"op": "undo", "edit": "c:1"}, {"op": "redo", "edit": "c:1"})
    assert nuclei_of(example)[10.0, 10.0] == (1, True)


def test_a_nucleus_that_two_readers_see_differently_is_left_out(workplace: Workplace) -> None:
    example = example_of(
        workplace,
        ("ann", reclass(0, 1, c=1)),
        ("bob", reclass(0, c=0)),
        ("bob", reclass(1, c=1)),
        ("ann", {"op": "delete", "ids": [2]}),
        ("bob", {"op": "move", "id": 2, "x": 31, "y": 10}),
        ("ann", {"op": "add", "x": 60, "y": 50, "c": 0}),
        ("bob", {"op": "delete", "ids": ["c:6"]}),
    )
    assert nuclei_of(example) == {(20.0, 10.0): (1, True), (40.0, 10.0): (2, False)}
    assert sorted(example.doubtful.tolist()) == [[10.0, 10.0], [31.0, 10.0], [50.0, 10.0], [60.0, 50.0]]
    assert len(example.removed) == 0


@pytest.mark.parametrize("browser", ["ann", "ann@home"])
def test_the_last_word_of_one_reader_is_no_disagreement(workplace: Workplace, browser: str) -> None:
    example = example_of(workplace, reclass(0, c=1), {"op": "delete", "ids": [0]}, (browser, reclass(0, c=2)))
    assert nuclei_of(example)[10.0, 10.0] == (2, True)


def test_regions_say_what_was_looked_at_what_is_tissue_and_what_is_left_out(workplace: Workplace) -> None:
    example = example_of(
        workplace,
        rectangle("reviewed", 0, 0, 60, 40),
        rectangle("unreviewed", 0, 20, 60, 40),
        rectangle("non-tumour", 15, 0, 35, 30),
        rectangle("exclude", 36, 0, 44, 30),
        rectangle("tumour", 0, 30, 30, 50),
        rectangle("erase", 0, 40, 30, 50),
        reclass(1, c=2),
        {"op": "delete", "ids": [3]},
    )
    assert nuclei_of(example) == {(10.0, 10.0): (0, False), (20.0, 10.0): (2, True), (30.0, 10.0): (2, False)}
    assert len(example.removed) == 0  # it lies where nothing is said
    assert example.reviewed[5, 5]
    assert not example.reviewed[25, 5]
    assert not example.reviewed[5, 40]
    assert not example.signed[5, 40]
    assert example.excluded[5, 40]
    assert (example.tissue[10, 20], example.tissue[35, 5], example.tissue[45, 5], example.tissue[5, 40]) == (
        NON_TUMOUR, TUMOUR, 0, 0,
    )  # fmt: skip


def test_where_all_was_looked_at_a_hidden_candidate_is_no_doubt(workplace: Workplace) -> None:
    assert len(example_of(workplace, rectangle("reviewed", 45, 5, 55, 15), FIELD).doubtful) == 0


def test_a_counted_field_teaches_only_where_a_person_corrected_something(workplace: Workplace) -> None:
    boxes = (FieldBox(0, 0, 25, 30), FieldBox(30, 0, 80, 60))
    example = example_of(workplace, FIELD, boxes=boxes)
    assert example.signed[29, 24]
    assert not example.signed[29, 25]
    assert not example.signed[30, 24]
    assert example.signed.sum() == 25 * 30


def test_images_that_are_not_counted_or_refused_and_open_cases_teach_nothing(workplace: Workplace) -> None:
    add_case(workplace, NewCase([FIELD], boxes=(), rgb=noise(seed=1)))
    add_case(workplace, NewCase([FIELD], oddities=(Oddity.DARK,), rgb=noise(seed=2)))
    add_case(workplace, NewCase([FIELD], rgb=noise(seed=3)), signed=False)
    case, _ = add_case(workplace, NewCase([FIELD]))
    assert len(statements_of(workplace)) == 1
    reopen(workplace, case)
    assert statements_of(workplace) == []


def test_fields_that_the_app_drew_neither_teach_nor_make_two_cases_one_patient(workplace: Workplace) -> None:
    drawn = [add_case(workplace, NewCase([FIELD], is_synthetic=True))[0] for _ in BLOCK]
    assert statements_of(workplace) == []
    for n, case in enumerate(drawn):
        _, image = add_case(workplace, NewCase([FIELD], rgb=noise(seed=10 + n)), signed=False)
        reopen(workplace, case)
        move_to(workplace, case, image)
        sign_again(workplace, case)
    snapshot = read_back(workplace)
    assert (len(snapshot.training), len(snapshot.validation), len(snapshot.locked)) == (2, 1, 1)


def test_who_looked_and_found_the_network_right_teaches_and_judges(workplace: Workplace) -> None:
    sides = [add_and_side(workplace, rectangle("reviewed", 0, 0, 40, 40), seed=n) for n in range(len(BLOCK))]
    assert [assign_split(n) for n in range(4)] == sides
    snapshot = read_back(workplace)
    assert (len(snapshot.training), len(snapshot.validation), len(snapshot.locked)) == (2, 1, 1)


def test_locked_cases_of_which_nobody_said_anything_are_counted(workplace: Workplace) -> None:
    for n in range(8):
        add_and_side(workplace, seed=n)
    with session_scope(workplace.engine) as session:
        assert count_silent(session, gather(session)) == 2
    for n in range(8, 12):
        add_and_side(workplace, FIELD, seed=n)
    with session_scope(workplace.engine) as session:
        assert count_silent(session, gather(session)) == 2


def add_and_side(workplace: Workplace, *edits: Any, seed: int, **case: Any) -> Split:
    id_, _ = add_case(workplace, NewCase(list(edits), rgb=noise(seed=seed), **case), signed=False)
    return sign(workplace, id_)


def test_a_patient_and_an_image_stand_on_one_side_only_the_strictest(workplace: Workplace) -> None:
    for n in range(8):
        add_and_side(workplace, FIELD, seed=n)
    before = read_back(workplace)
    assert (len(before.training), len(before.validation), len(before.locked)) == (4, 2, 2)
    sides = [
        add_and_side(workplace, FIELD, seed=n, label="  Patient  X" if n % 2 else "patient x") for n in range(8, 12)
    ]
    assert set(sides) == set(Split)
    for _ in range(4):
        add_and_side(workplace, FIELD, seed=99)
    after = read_back(workplace)
    assert (len(after.training), len(after.validation)) == (4, 2)
    new = after.locked[2:]
    assert len(new) == 2  # what may have taught in a training case, and the image that stands in one too, do not judge
    assert {example.case for example in new} == {9}  # one patient


def test_a_reopened_locked_case_still_keeps_its_patient_from_training(workplace: Workplace) -> None:
    cases = [add_case(workplace, NewCase([FIELD], rgb=noise(seed=n), label="X"))[0] for n in range(4)]
    reopen(workplace, cases[[assign_split(n) for n in range(4)].index(Split.LOCKED)])
    snapshot = read_back(workplace)
    assert (len(snapshot.training), len(snapshot.locked)) == (0, 1)  # what would have validated


def test_what_the_page_counts_is_who_can_teach_and_judge_now(workplace: Workplace) -> None:
    def count() -> list[int]:
        with session_scope(workplace.engine) as session:
            return [count_patients(session)[side] for side in (Split.TRAIN, Split.VALIDATION, Split.LOCKED)]

    def mark() -> tuple[int, int]:
        with session_scope(workplace.engine) as session:
            return mark_standing(session)

    cases = [add_case(workplace, NewCase([FIELD], rgb=noise(seed=n)))[0] for n in range(4)]
    assert count() == [2, 1, 1]
    before = mark()
    reopen(workplace, cases[[assign_split(n) for n in range(4)].index(Split.LOCKED)])
    assert count() == [2, 1, 0]
    assert mark() != before
    for n in range(4, 8):  # one patient: a locked one, as one of the four is
        add_case(workplace, NewCase([FIELD], rgb=noise(seed=n), label="X"))
    assert count() == [2, 1, 1]
    add_case(workplace, NewCase([FIELD], rgb=noise(seed=9), is_synthetic=True))
    assert count() == [2, 1, 1]


def sign_one_of_each_side(workplace: Workplace) -> dict[Split, tuple[int, int]]:
    """The last case and image of each side, and nothing else."""
    return {assign_split(n): add_case(workplace, NewCase([FIELD], rgb=noise(seed=n))) for n in range(4)}


def move_to(workplace: Workplace, target: int, image: int) -> None:
    with session_scope(workplace.engine) as session:
        rev = get_case_record(session, target).rev
    move_images(workplace, target, rev, "Dr. A", [image])


def test_a_training_case_whose_image_moved_to_a_locked_one_never_trains_again(workplace: Workplace) -> None:
    cases = sign_one_of_each_side(workplace)
    locked, _ = cases[Split.LOCKED]
    training, moved = cases[Split.TRAIN]
    assert len(read_back(workplace).training) == 2
    reopen(workplace, training)
    reopen(workplace, locked)
    move_to(workplace, locked, moved)
    sign_again(workplace, locked)
    snapshot = read_back(workplace)
    assert len(snapshot.training) == 1
    assert [example.image for example in snapshot.locked] == [cases[Split.LOCKED][1]]  # not the one that taught
    move_to_new_case(workplace, locked, moved)
    assert [example.image for example in read_back(workplace).locked] == [cases[Split.LOCKED][1]]
    assert len(read_back(workplace).training) == 1


def test_an_image_that_left_a_locked_case_never_trains(workplace: Workplace) -> None:
    cases = sign_one_of_each_side(workplace)
    (locked, moved), (training, own) = cases[Split.LOCKED], cases[Split.TRAIN]
    reopen(workplace, training)
    reopen(workplace, locked)
    move_to(workplace, training, moved)
    sign_again(workplace, training)
    snapshot = read_back(workplace)  # the locked case is empty, and the patient is locked all the same
    assert {example.image for example in snapshot.training}.isdisjoint({moved, own})
    assert snapshot.locked == ()


def test_a_removed_image_neither_teaches_nor_judges_and_that_it_taught_is_not_forgotten(workplace: Workplace) -> None:
    cases = sign_one_of_each_side(workplace)
    for side in (Split.TRAIN, Split.LOCKED):
        case, image = cases[side]
        reopen(workplace, case)
        with session_scope(workplace.engine) as session:
            rev = get_case_record(session, case).rev
        remove_image(workplace, case, rev, "Dr. A", image)
        sign_again(workplace, case)
    snapshot = read_back(workplace)
    assert cases[Split.TRAIN][1] not in {example.image for example in snapshot.training}
    assert snapshot.locked == ()
    taught = max(n for n in range(4) if assign_split(n) is Split.TRAIN)
    for n in range(4, 8):  # the pixels that taught come again, in a case that would judge
        seed = taught if assign_split(n) is Split.LOCKED else n
        add_case(workplace, NewCase([FIELD], rgb=noise(seed=seed)))
    assert read_back(workplace).locked == ()


def sign_again(workplace: Workplace, case: int) -> None:
    with session_scope(workplace.engine, write=True) as session:
        add_sign_off(session, case, 2, "Dr. A", NOW, FrozenReport("f" * 64, "10 %", None))


def move_to_new_case(workplace: Workplace, source: int, image: int) -> None:
    with session_scope(workplace.engine, write=True) as session:
        add_reopening(session, source, 3, "Dr. A", "why", NOW)
    with session_scope(workplace.engine) as session:
        rev = get_case_record(session, source).rev
    new = split_image(workplace, source, rev, "Dr. A", image)
    with session_scope(workplace.engine, write=True) as session:
        for case in (source, new):
            add_sign_off(session, case, 3, "Dr. A", NOW, FrozenReport("f" * 64, "10 %", None))
        learn_from(session, new, NOW)


def test_what_was_frozen_is_read_back_as_the_same_examples(workplace: Workplace) -> None:
    rng = np.random.default_rng(1)
    candidates = Nuclei.from_arrays(rng.uniform(0, 59, (40, 2)), rng.integers(0, 3, 40), rng.uniform(0.1, 1, 40))
    for n in range(4):
        add_and_side(
            workplace,
            rectangle("reviewed", 3.3, 2.7, 44.4, 33.3),
            region("exclude", 30, 10, 40, 20, shape="brush", r=3.7),
            reclass(*range(n, n + 9), c=1),
            {"op": "add", "x": 12.34, "y": 45.67, "c": 0},
            seed=n,
            candidates=candidates,
        )
    direct = [make_example(s, noise(seed=n)) for n, s in enumerate(statements_of(workplace))]
    snapshot = read_back(workplace)
    assert snapshot.plan == PLAN
    read = sorted(snapshot.training + snapshot.validation + snapshot.locked, key=lambda e: e.image)
    for one, other in zip(direct, read, strict=True):
        for field in fields(Example):
            a, b = getattr(one, field.name), getattr(other, field.name)
            if isinstance(a, Nuclei):
                assert all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("xy", "classes", "scores"))
            else:
                assert np.array_equal(a, b), field.name
    only = read_snapshot(freeze(statements_of(workplace), PLAN), workplace.blobs, [Split.LOCKED])
    assert (len(only.training), len(only.locked)) == (0, 1)


def test_freezing_twice_gives_the_same_bytes(workplace: Workplace) -> None:
    add_case(workplace, NewCase([FIELD]))
    assert freeze(statements_of(workplace), PLAN) == freeze(statements_of(workplace), PLAN)


def test_a_small_reviewed_part_of_a_slide_stays_small(workplace: Workplace) -> None:
    slide = np.full((4000, 5000, 3), 255, np.uint8)
    slide[2000:2100, 3000:3100] = noise(100, 100)
    far = np.array([[3050, 2050], [3052, 2060], [100, 100]], np.float32)
    candidates = Nuclei.from_arrays(far, [0, 1, 0], [0.9, 0.9, 0.9])
    edits = [rectangle("reviewed", 3000, 2000, 3100, 2100), reclass(0, 2, c=1)]
    add_case(workplace, NewCase(edits, candidates, slide, boxes=(FieldBox(3000, 2000, 3100, 2100),)))
    snapshot = read_back(workplace)
    examples = snapshot.training + snapshot.validation + snapshot.locked
    assert len(examples) == 2  # the corrected nucleus far away is a part of its own
    assert sum(e.rgb.shape[0] * e.rgb.shape[1] for e in examples) < 0.01 * 20_000_000
    whole = max(examples, key=lambda e: e.reviewed.sum())
    assert whole.reviewed.sum() == whole.signed.sum() == 100 * 100
    assert whole.nuclei.xy.tolist() == [[3050 - whole.left, 2050 - whole.top], [3052 - whole.left, 2060 - whole.top]]
    assert np.array_equal(whole.rgb[2000 - whole.top :, 3000 - whole.left :][:100, :100], noise(100, 100))
    assert 3000 - whole.left >= 64  # 32 µm


def test_a_region_is_painted_as_the_fold_decides_point_by_point() -> None:
    rng = np.random.default_rng(2)
    for shape in (Polygon(tuple(rng.uniform(-5, 60, 14))), Brush(4.2, tuple(rng.uniform(0, 60, 10)))):
        window = Window(7, 11, 50, 40)
        plane = np.zeros((40, 50), np.bool_)
        paint(plane, shape, window, True)
        y, x = np.mgrid[11:51, 7:57].astype(np.float64)
        assert np.array_equal(plane, find_inside(shape, x.ravel(), y.ravel()).reshape(40, 50))


def test_pixels_that_are_gone_and_formats_of_the_future_are_said(workplace: Workplace) -> None:
    add_case(workplace, NewCase([FIELD]))
    frozen = freeze(statements_of(workplace), PLAN)
    with pytest.raises(NucleusAppError, match="format 9"):
        read_snapshot(frozen.replace(b'"format":1', b'"format":9'), workplace.blobs)
    workplace.blobs.discard(statements_of(workplace)[0].blob)
    with pytest.raises(NotFound, match="missing from the store"):
        read_snapshot(frozen, workplace.blobs)


def test_labels_and_readers_are_not_frozen(workplace: Workplace) -> None:
    add_case(workplace, NewCase([FIELD], label="Smith, John"))
    frozen = freeze(statements_of(workplace), PLAN)
    assert b"Smith" not in frozen
    assert b"Dr. A" not in frozen
    assert statements_of(workplace)[0].nuclei.classes[0] == NucleusClass.POSITIVE
