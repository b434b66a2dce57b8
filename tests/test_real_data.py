"""The shipped weights on real validation cases that were never trained on. Skipped where the images are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nucleus_app.domain.agreement import Agreement
from nucleus_app.imaging.dataset import read_datasets
from nucleus_app.kinet.evaluation import evaluate, radius_in_um
from nucleus_app.kinet.predictor import Predictor
from trainer.learning.dataset import split_by_case

DATA = Path(os.environ.get("KI67_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
SETS = ("ki67_breast", "ki67_ginet", "ki67_glioma", "ki67_pnet")
VALIDATION = ("breast_03", "breast_08", "breast_13", "breast_18", "breast_23", "breast_28", "ginet_6", "glioma_p3")

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not all((DATA / name).is_dir() for name in SETS), reason="the labelled images are not here"),
]


@pytest.fixture(scope="module")
def agreement(shipped: Predictor) -> Agreement:
    _, validation = split_by_case(read_datasets(DATA / name for name in SETS), VALIDATION)
    assert len(validation) == 8
    return evaluate(shipped, validation, radius_in_um(6.0)).agreement


def test_detection_on_validation_cases_is_at_least_086(agreement: Agreement) -> None:
    assert agreement.detection.f1 >= 0.86


def test_the_index_is_off_by_at_most_2_points_on_average(agreement: Agreement) -> None:
    assert agreement.index_mae_points is not None
    assert agreement.index_mae_points <= 2.0


def test_every_validation_image_has_an_index(agreement: Agreement) -> None:
    assert [image.name for image in agreement.images if image.index_error_points is None] == []
