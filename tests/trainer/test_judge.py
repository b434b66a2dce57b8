from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.predictor import Predictor
from trainer.judging.judge import judge, restain_images


@pytest.fixture(scope="module")
def drawn() -> LabelledImage:
    return draw_field(FieldRecipe(width_px=256, height_px=256), np.random.default_rng(3), "lab_1")


def test_a_version_is_judged_set_by_set(shipped: Predictor, drawn: LabelledImage) -> None:
    own = replace(drawn, nuclei=shipped.find(drawn.rgb, drawn.mpp))
    wrong = replace(own, name="other_1", nuclei=own.nuclei.select(own.nuclei.classes == NucleusClass.POSITIVE))
    lines = judge(shipped, [own, wrong])
    assert set(lines) == {"lab", "other", "all"}
    assert lines["lab"]["detection_f1"] == lines["lab"]["weighted_f1"] == lines["lab"]["f1_4um"] == 1.0
    assert lines["lab"]["index_mae_points"] == 0.0
    assert lines["other"]["recall"] == 1.0
    assert lines["other"]["precision"] == pytest.approx(len(wrong.nuclei) / len(own.nuclei), abs=1e-3)
    assert lines["all"]["images"] == 2


def test_another_lab_changes_colours_and_leaves_the_labels(drawn: LabelledImage) -> None:
    first, second = restain_images([drawn], 0.5, 2)
    assert first.rgb.shape == drawn.rgb.shape
    assert np.abs(first.rgb.astype(int) - second.rgb).mean() > 2
    assert np.array_equal(first.nuclei.xy, drawn.nuclei.xy)
    again, _ = restain_images([drawn], 0.5, 2)
    assert np.array_equal(first.rgb, again.rgb)
