from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
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
from trainer.learning.calibrate import (
    FEWEST,
    GRID,
    best_threshold,
    calibrate_thresholds,
    fit_confidence,
    judge_nuclei,
    measure_reliability,
    per_class,
)


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
    judged = judge_nuclei(shipped, [replace(field, nuclei=found)], radius_in_um(6))
    assert judged.right.sum() == sum(shipped.find(field.rgb, field.mpp).counts()[:2])


def test_the_threshold_is_where_a_nucleus_is_right_half_as_often_as_the_f1_that_is_reached() -> None:
    def is_right(scores: NDArray[np.float32]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(4.5 - 10 * scores))

    chosen, counted = [], []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        scores = rng.uniform(0.1, 0.9, 1500).astype(np.float32)
        right = rng.random(len(scores)) < is_right(scores)
        chosen.append(best_threshold(scores, right, int(right.sum())))
        f1 = [2 * right[scores >= t].sum() / ((scores >= t).sum() + right.sum()) for t in GRID]
        counted.append(GRID[int(np.argmax(f1))])
    many = np.linspace(0.1, 0.9, 4001, dtype=np.float32)
    reached = max(2 * is_right(many[many >= t]).sum() / ((many >= t).sum() + is_right(many).sum()) for t in GRID)
    best = (np.log(reached / (2 - reached)) + 4.5) / 10
    assert np.mean(chosen) == pytest.approx(best, abs=0.01)
    assert np.std(chosen) < 0.7 * np.std(counted)  # what was counted leaves it to a few nuclei


def test_a_class_gets_a_threshold_of_its_own_and_non_tumour_that_of_the_negatives(shipped: Predictor) -> None:
    field = draw_field(FieldRecipe(width_px=700, height_px=700, positive_share=0.5), np.random.default_rng(6))
    found = shipped.with_thresholds(per_class(0.2)).find(field.rgb, field.mpp)
    truth = replace(field, nuclei=found.reaching((0.55, 0.35, 0.35)))
    assert min(truth.nuclei.counts()[:2]) > FEWEST
    positive, negative, other = calibrate_thresholds(shipped, [truth], radius_in_um(6)).per_class
    assert positive == pytest.approx(0.55, abs=0.03)
    assert negative == pytest.approx(0.35, abs=0.03)
    assert other == negative


def test_a_class_that_is_hardly_labelled_gets_the_threshold_of_both_and_a_network_that_finds_nothing_the_lowest(
    shipped: Predictor,
) -> None:
    field = draw_field(FieldRecipe(width_px=500, height_px=500, positive_share=0.02), np.random.default_rng(6))
    found = shipped.with_thresholds(per_class(0.2)).find(field.rgb, field.mpp)
    truth = replace(field, nuclei=found.reaching((0.25, 0.45, 0.45)))
    positive, negative, _ = calibrate_thresholds(shipped, [truth], radius_in_um(6)).per_class
    assert positive == pytest.approx(negative, abs=0.02)
    assert negative == pytest.approx(0.45, abs=0.03)
    white = replace(field, rgb=np.full_like(field.rgb, 255))
    assert calibrate_thresholds(shipped, [white], radius_in_um(6)).per_class == per_class(float(GRID[0]))


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
