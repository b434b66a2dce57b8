from __future__ import annotations

import numpy as np
import pytest

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.predictor import Predictor
from trainer.base.teacher import Teacher
from trainer.learning.dataset import TrainingImage, prepare_training_image


@pytest.fixture(scope="module")
def small() -> LabelledImage:
    return draw_field(FieldRecipe(width_px=320, height_px=320), np.random.default_rng(11))


@pytest.fixture(scope="module")
def teacher(shipped: Predictor) -> Teacher:
    return Teacher(shipped)


def labelled_as(image: LabelledImage, nuclei: Nuclei) -> TrainingImage:
    return prepare_training_image(LabelledImage("x_1", image.rgb, image.mpp, nuclei, None), 0.5, 0.25)


def tumour_of(image: LabelledImage) -> Nuclei:
    return image.nuclei.select(image.nuclei.classes != NucleusClass.OTHER)


def mean_distance(truth: Nuclei, found: Nuclei) -> float:
    return float(match_points(truth.xy, found.xy, 12).distance_px.mean())


def test_labels_that_miss_their_nuclei_are_moved_onto_them(teacher: Teacher, small: LabelledImage) -> None:
    truth = tumour_of(small)
    shaken = truth.xy + np.random.default_rng(0).normal(0, 2.5, truth.xy.shape).astype(np.float32)
    refined = teacher.refine(labelled_as(small, Nuclei(shaken, truth.classes, truth.scores)))
    kept = refined.nuclei.select(refined.nuclei.classes != NucleusClass.OTHER)
    assert len(kept) == len(truth)
    assert mean_distance(truth, kept) < 0.6 * np.hypot(*(shaken - truth.xy).T).mean()


def test_a_nucleus_that_nobody_labelled_is_not_taught_as_background(teacher: Teacher, small: LabelledImage) -> None:
    truth = tumour_of(small)
    found, strength = teacher.find(small.rgb)
    seen = match_points(truth.xy, found.xy[strength > 1.3], 4).truth
    left_out = int(seen[0])
    incomplete = truth.select(np.arange(len(truth)) != left_out)
    plain = labelled_as(small, incomplete)
    refined = teacher.refine(plain)
    x, y = np.rint(truth.xy[left_out]).astype(int)
    assert plain.weight[y, x] > 0
    assert refined.weight[y, x] == 0


def test_complete_expert_labels_are_kept_as_they_are(teacher: Teacher, small: LabelledImage) -> None:
    plain = labelled_as(small, small.nuclei)
    assert teacher.refine(plain) is plain


def test_an_unlabelled_image_is_labelled_where_the_teacher_is_sure(teacher: Teacher, small: LabelledImage) -> None:
    taught = teacher.label("new_1", small.rgb, 0.5)
    pairs = match_points(small.nuclei.xy, taught.nuclei.xy, 6)
    assert len(pairs) > 0.9 * len(taught.nuclei)
    assert set(np.unique(taught.weight)) <= {0, 128}
    assert len(np.unique(taught.weight)) == 2
