from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.backends import open_backend
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, load_version
from nucleus_app.kinet.evaluation import radius_in_um
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import Rgb
from tests.labelled_folders import write_labelled
from trainer.__main__ import main
from trainer.base.scale_guess import collect_features, fit_scale_guess, solve
from trainer.learning.calibrate import fit_confidence, judge_nuclei, measure_reliability


def test_confidence_is_the_share_of_nuclei_that_are_right() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 0.9, 20_000).astype(np.float32)
    right = rng.random(len(scores)) < 1 / (1 + np.exp(-(8 * scores - 3)))
    confidence = fit_confidence(scores, right)
    assert confidence.slope == pytest.approx(8, abs=0.4)
    assert confidence.intercept == pytest.approx(-3, abs=0.2)
    curve = measure_reliability(confidence, scores, right)
    assert sum(b.nuclei for b in curve) == len(scores)
    assert max(abs(b.said - b.true) for b in curve) < 0.03


def test_a_found_nucleus_is_right_when_one_of_its_class_is_labelled_there(
    shipped: Predictor, field: LabelledImage
) -> None:
    found = shipped.find(field.rgb, field.mpp)
    _, right = judge_nuclei(shipped, [replace(field, nuclei=found)], radius_in_um(6))
    assert right.sum() == sum(shipped.find(field.rgb, field.mpp).counts()[:2])


def test_the_scale_of_unseen_fields_is_guessed_to_half_an_octave(shipped: Predictor) -> None:
    fields = [draw_field(FieldRecipe(width_px=352, height_px=352), np.random.default_rng(s)) for s in range(5)]
    guess = solve(*collect_features(shipped, [(f.rgb, f.mpp) for f in fields[:4]]))
    features, octaves = collect_features(shipped, [(f.rgb, f.mpp) for f in fields[4:]])
    said = features @ np.array(guess.weights) + guess.bias
    assert np.abs(said - octaves).mean() < 0.5
    assert np.corrcoef(said, octaves)[0, 1] > 0.9


def test_an_unlabelled_image_tells_the_guess_how_large_nuclei_of_its_lab_look(shipped: Predictor) -> None:
    known, of_lab, another = (
        draw_field(FieldRecipe(width_px=224, height_px=224), np.random.default_rng(s)) for s in range(3)
    )
    large = 0.5 * 1.6

    def guess(*shown: tuple[Rgb, float]) -> float:
        version = replace(shipped.version, scale_guess=fit_scale_guess(shipped, shown))
        guessing = Predictor(version, open_backend(version, "cpu", None))
        said = guessing.guess_scale(guessing.prepare(another.rgb, large))
        assert said is not None
        return said

    without = guess((known.rgb, 0.5))
    assert 0.3 < without < 1.1
    assert abs(guess((known.rgb, 0.5), (of_lab.rgb, large))) < without - 0.1


def test_calibrating_a_version_from_the_command_line(tmp_path: Path) -> None:
    for name, seed in (("a_1", 1), ("a_2", 2)):
        image = draw_field(FieldRecipe(width_px=224, height_px=224), np.random.default_rng(seed))
        write_labelled(tmp_path / "data", replace(image, name=name))
    out = tmp_path / "calibrated.safetensors"
    Image.fromarray(image.rgb).save(tmp_path / "lab.png")
    command = ["calibrate", str(SHIPPED_WEIGHTS), "--data", str(tmp_path / "data"), "--validation", "a_2"]
    command += ["--unlabelled", f"{tmp_path / 'lab.png'}:0.6"]
    assert main([*command, "--name", "lab-1", "--out", str(out)]) == 0
    version = load_version(out)
    assert version.name == "lab-1"
    assert version.confidence is not None
    assert version.confidence.slope > 0
    assert len(version.scale_guess.weights) > 100
    assert all(np.array_equal(version.state[k], v) for k, v in load_version(SHIPPED_WEIGHTS).state.items())
