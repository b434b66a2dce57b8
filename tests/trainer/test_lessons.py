from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nucleus_app.domain.nuclei import NucleusClass
from tests.trainer.examples import by_person, make_example
from trainer.learning.dataset import EXCLUDED, NON_TUMOUR, TUMOUR, UNKNOWN
from trainer.learning.lessons import PERSON_WEIGHT, REVIEWED_WEIGHT, SIGNED_WEIGHT, prepare_lesson


def weight_of(share: float) -> int:
    return round(255 * share)


def test_nothing_is_taught_where_nobody_looked() -> None:
    lesson = prepare_lesson(make_example(reviewed=False), 0.5)
    assert not lesson.weight.any()
    assert not lesson.region.any()


def test_a_persons_nucleus_weighs_more_than_what_nobody_objected_to() -> None:
    lesson = prepare_lesson(by_person(make_example(), [3]), 0.5)
    x, y = np.rint(lesson.nuclei.xy[3]).astype(int)
    assert lesson.weight[y, x] == weight_of(PERSON_WEIGHT)
    assert np.median(lesson.weight) == weight_of(REVIEWED_WEIGHT)


def test_a_signed_field_teaches_less_than_a_reviewed_area() -> None:
    example = make_example(reviewed=False)
    lesson = prepare_lesson(replace(example, signed=~example.signed), 0.5)
    assert set(np.unique(lesson.weight)) == {weight_of(SIGNED_WEIGHT)}


def test_a_persons_mark_teaches_alone_and_only_around_itself() -> None:
    lesson = prepare_lesson(by_person(make_example(reviewed=False), [3]), 0.5)
    taught = np.argwhere(lesson.weight > 0)[:, ::-1]
    assert len(taught) > 100
    assert np.linalg.norm(taught - lesson.nuclei.xy[3], axis=1).max() <= 8.8  # 4 µm, and the rounding of a pixel


def test_where_a_person_removed_a_nucleus_it_is_taught_that_there_is_none() -> None:
    example = make_example(reviewed=False)
    keep = np.arange(len(example.nuclei)) != 3
    gone = example.nuclei.xy[~keep]
    removed = replace(example, nuclei=example.nuclei.select(keep), by_person=example.by_person[keep], removed=gone)
    lesson = prepare_lesson(removed, 0.5)
    x, y = np.rint(gone[0]).astype(int)
    assert lesson.weight[y, x] == weight_of(PERSON_WEIGHT)
    assert np.linalg.norm(lesson.nuclei.xy - gone[0], axis=1).min() > 5
    assert lesson.absent.tolist() == gone.tolist()


def test_what_readers_disagree_about_teaches_nothing_even_in_a_reviewed_area() -> None:
    example = make_example()
    lesson = prepare_lesson(replace(example, doubtful=example.nuclei.xy[3:4]), 0.5)
    x, y = np.rint(example.nuclei.xy[3]).astype(int)
    assert lesson.weight[y, x] == 0


def test_an_excluded_place_teaches_nothing_whoever_marked_something_there() -> None:
    example = by_person(make_example(), list(range(20)))
    excluded = np.zeros_like(example.excluded)
    excluded[:80] = True
    lesson = prepare_lesson(replace(example, excluded=excluded), 0.5)
    assert not lesson.weight[:80].any()
    assert (lesson.region[:80] == EXCLUDED).all()
    assert lesson.weight[80:].all()


def test_painted_tissue_teaches_the_weak_branch_and_reviewed_tissue_by_its_nuclei() -> None:
    example = make_example()
    tissue = np.full_like(example.tissue, UNKNOWN)
    tissue[:40, :40] = NON_TUMOUR
    lesson = prepare_lesson(replace(example, tissue=tissue), 0.5)
    assert (lesson.region[:40, :40] == NON_TUMOUR).all()
    tumour = lesson.nuclei.xy[lesson.nuclei.classes == NucleusClass.NEGATIVE]
    inside = tumour[(tumour > 45).all(axis=1)]
    x, y = np.rint(inside[0]).astype(int)
    assert lesson.region[y, x] == TUMOUR
    assert not prepare_lesson(replace(example, tissue=tissue), 0.5, weak_roi=False).region.any()


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.8])
def test_a_lesson_is_at_the_networks_scale_whatever_the_images_is(mpp: float) -> None:
    example = by_person(make_example(size=200, mpp=mpp, reviewed=False), [0])
    lesson = prepare_lesson(example, 0.5)
    assert abs(lesson.rgb.shape[0] - 200 * mpp / 0.5) <= 1
    assert lesson.weight.shape == lesson.region.shape == lesson.rgb.shape[:2]
    middle = np.argwhere(lesson.weight > 0)[:, ::-1].mean(axis=0)
    assert np.linalg.norm(middle - lesson.nuclei.xy[0]) < 2.0


def test_a_single_reviewed_pixel_is_a_lesson_of_a_single_pixel() -> None:
    example = make_example(reviewed=False)
    reviewed = example.reviewed.copy()
    reviewed[80, 80] = True
    lesson = prepare_lesson(replace(example, reviewed=reviewed), 0.5)
    assert np.count_nonzero(lesson.weight) == 1
