from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.errors import InvalidDataset, TrainingDiverged
from nucleus_app.imaging.stain import STAIN_MATRIX
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.checkpoint import load_version
from nucleus_app.kinet.config import Provenance, Thresholds
from nucleus_app.kinet.graph import decode_maps
from nucleus_app.kinet.network import KiNet, KiNetOutput
from tests.conftest import TINY
from tests.labelled_folders import write_labelled
from trainer.__main__ import main
from trainer.learning import loop
from trainer.learning.augment import Batch, draw_batch, random_warp
from trainer.learning.dataset import (
    NON_TUMOUR,
    TUMOUR,
    UNKNOWN,
    TrainingImage,
    case_of,
    find_stained_blobs,
    prepare_training_image,
    split_by_case,
)
from trainer.learning.loop import Run, fit, sampling_shares
from trainer.learning.losses import correlation_penalty, joint_loss, nucleus_loss, roi_loss
from trainer.learning.policy import TrainPolicy

POLICY = TrainPolicy(steps=6, batch=2, crop_px=64, evaluate_every=3)


def synthetic(name: str, seed: int, size: int = 200) -> LabelledImage:
    return draw_field(FieldRecipe(width_px=size, height_px=size), np.random.default_rng(seed), name)


def batch_of(images: Iterable[LabelledImage], seed: int = 0) -> Batch:
    prepared = [prepare_training_image(image, 0.5, 0.5) for image in images]
    return draw_batch(prepared, 96, TINY, np.random.default_rng(seed))


# Losses, by hand.


def test_the_nucleus_loss_is_equation_2_over_supervised_pixels() -> None:
    truth, predicted = torch.zeros(1, 3, 1, 2), torch.zeros(1, 3, 1, 2)
    truth[0, 0, 0, 0], predicted[0, 0, 0, 0], predicted[0, 1, 0, 1] = 1.0, 0.5, 0.2
    weight = torch.ones(1, 1, 1, 2)
    # class 0: mean 0.5 → (1 + 5·0.5)·0.25; class 1: mean 0 → only the background floor weighs 0.2².
    expected = 0.5 * ((1 + 2.5 + 0.02) * 0.25 + 0.02 * 0.04) / 2
    absent = torch.zeros(1, 1, 1, 2)
    assert float(nucleus_loss(predicted, truth, absent, weight, 5.0, 0.02)) == pytest.approx(expected)


def test_the_same_doubt_weighs_the_same_in_sparse_and_in_dense_tissue() -> None:
    truth = torch.zeros(2, 3, 4, 4)
    truth[1, 1, 1:] = 0.8
    predicted = truth.clone().requires_grad_()
    with torch.no_grad():
        predicted[:, 1, 0, 0] = 0.3
    nucleus_loss(predicted, truth, torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4), 5.0, 0.02).backward()
    assert float(predicted.grad[0, 1, 0, 0]) == pytest.approx(float(predicted.grad[1, 1, 0, 0])) != 0


def test_where_there_is_known_to_be_no_nucleus_weighs_as_much_as_a_nucleus() -> None:
    nothing, here = torch.zeros(1, 3, 1, 2), torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    wrong, weight = torch.full((1, 3, 1, 2), 0.4), torch.ones(1, 1, 1, 2)
    expected = 0.5 * 3 * ((1 + 0.02) * 0.16 + 0.02 * 0.16) / 2
    assert float(nucleus_loss(wrong, nothing, here, weight, 5.0, 0.02)) == pytest.approx(expected)


def test_unlabelled_pixels_teach_nothing_about_nuclei() -> None:
    predicted = torch.randn(1, 3, 8, 8, requires_grad=True)
    weight = torch.ones(1, 1, 8, 8)
    weight[..., 4:] = 0
    nucleus_loss(predicted, torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), weight, 5.0, 0.02).backward()
    assert bool((predicted.grad[..., 4:] == 0).all())
    assert bool((predicted.grad[..., :4] != 0).all())


def test_the_correlation_penalty_is_the_classes_dot_product() -> None:
    maps = torch.tensor([0.5, 0.4, 0.1]).reshape(1, 3, 1, 1)
    assert float(correlation_penalty(maps, torch.ones(1, 1, 1, 1))) == pytest.approx(0.2 + 0.05 + 0.04)


def test_the_roi_loss_counts_annotated_pixels_only() -> None:
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 0, 0, 0] = 3.0
    region = torch.tensor([[[TUMOUR, NON_TUMOUR, UNKNOWN]]])
    expected = (np.log1p(np.exp(-3)) + np.log(2)) / 2
    assert float(roi_loss(logits, region)) == pytest.approx(expected, rel=1e-5)
    assert float(roi_loss(logits, torch.zeros_like(region))) == 0


def test_an_image_with_only_weak_regions_still_teaches_the_roi() -> None:
    images = torch.zeros(2, 3, 64, 64)
    nowhere = torch.zeros(2, 1, 64, 64)
    batch = Batch(images, images, nowhere, torch.full((2, 64, 64), TUMOUR), images, nowhere)
    terms = joint_loss(KiNet(TINY)(images), batch, POLICY, with_correlation=True)
    assert terms.nucleus.item() == 0
    assert terms.total.item() == pytest.approx(terms.roi.item())
    assert terms.roi.item() > 0


def test_gamma_balances_the_tasks_and_eta_sets_in_later() -> None:
    batch = batch_of([synthetic("a", 1)])
    output = KiNetOutput(torch.rand(1, 3, 96, 96), torch.randn(1, 2, 96, 96))
    early = joint_loss(output, batch, POLICY, with_correlation=False)
    late = joint_loss(output, batch, POLICY, with_correlation=True)
    assert float(early.total) == pytest.approx(float(25 * early.nucleus + early.roi), rel=1e-5)
    assert float(late.total - early.total) == pytest.approx(float(25 * POLICY.eta * late.correlation), rel=1e-2)


# Data.


def test_complete_labels_teach_everywhere() -> None:
    image = synthetic("a", 1)
    prepared = prepare_training_image(image, 0.5, 0.5)
    assert (prepared.weight == 255).all()
    assert prepared.nuclei.counts() == image.nuclei.counts()


def test_tumour_only_labels_make_weak_regions_and_leave_the_rim_out() -> None:
    full = synthetic("a", 3, 400)
    tumour = full.nuclei.select(full.nuclei.classes != NucleusClass.OTHER)
    only_left = tumour.select(tumour.xy[:, 0] < 150)
    area = np.zeros((400, 400), bool)
    area[:, :150] = True
    prepared = prepare_training_image(replace(full, nuclei=only_left, labelled_area=area), 0.5, 0.5)
    assert prepared.region[:, 250:].tolist() == np.full((400, 150), NON_TUMOUR).tolist()
    assert (prepared.weight[:, 160:175] == 0).all()  # between 10 and 15 µm nobody knows
    weak = prepared.nuclei.of_class(NucleusClass.OTHER)
    assert len(weak) > 20
    column, row = np.rint(weak.xy).astype(int).T
    assert (prepared.region[row, column] == NON_TUMOUR).all()
    assert set(np.unique(prepared.weight)) == {0, 128, 255}


def test_stained_blobs_are_nuclei() -> None:
    image = synthetic("a", 3, 300)
    blobs = find_stained_blobs(image.rgb)
    nearest = np.min(np.linalg.norm(blobs[:, None] - image.nuclei.xy, axis=2), axis=1)
    assert len(blobs) > 50
    assert np.mean(nearest < 6) > 0.85


def test_cases_are_split_whole_and_stably() -> None:
    images = [synthetic(name, 1, 64) for name in ("p_1_1", "p_1_2", "p_10_1", "q_1")]
    training, validation = split_by_case(images, ["p_1"])
    assert [i.name for i in validation] == ["p_1_1", "p_1_2"]
    assert [i.name for i in training] == ["p_10_1", "q_1"]
    many = [synthetic(f"lab_p{case}_{field}", 1, 64) for case in range(12) for field in range(3)]
    training, validation = split_by_case(many, [])
    assert {case_of(i.name) for i in training}.isdisjoint(case_of(i.name) for i in validation)
    assert [i.name for i in split_by_case(many[::-1], [])[1]] == [i.name for i in validation[::-1]]


def test_a_split_that_cannot_be_is_refused() -> None:
    images = [synthetic(name, 1, 64) for name in ("p_1", "q_1")]
    with pytest.raises(InvalidDataset, match="validation cases typo"):
        split_by_case(images, ["p", "typo"])
    with pytest.raises(InvalidDataset, match="0 training and 2 validation"):
        split_by_case(images, ["p", "q"])


def test_image_and_labels_of_a_crop_lie_on_each_other() -> None:
    """One dark dot, many crops: the centroid of the image and of its map agree to a fraction of a pixel."""
    y, x = np.mgrid[:161, :161]
    rgb = np.repeat((255 - 200 * np.exp(-((x - 80) ** 2 + (y - 80) ** 2) / 18))[..., None], 3, axis=2).astype(np.uint8)
    dot = TrainingImage(
        "dot",
        rgb,
        Nuclei.from_arrays([[80, 80]], [0]),
        np.full((161, 161), 255, np.uint8),
        np.zeros((161, 161), np.uint8),
        STAIN_MATRIX,
    )
    batch = draw_batch([dot] * 80, 96, TINY, np.random.default_rng(3))
    none = replace(dot, nuclei=dot.nuclei.select(slice(0)), absent=dot.nuclei.xy)
    assert torch.equal(draw_batch([none] * 80, 96, TINY, np.random.default_rng(3)).absent, batch.proximity[:, :1])
    gaps = []
    for image, maps in zip(batch.image.numpy(), batch.proximity.numpy(), strict=True):
        dark = np.clip(np.median(image) - image.mean(axis=0) - 0.3, 0, None)
        if maps[0].max() < 0.9 or dark.sum() == 0:
            continue
        rows, columns = np.mgrid[:96, :96]
        centres = [(np.array([(w * columns).sum(), (w * rows).sum()]) / w.sum()) for w in (dark, maps[0])]
        gaps.append(np.abs(centres[0] - centres[1]))
    assert len(gaps) > 10
    assert np.median(gaps) < 0.3


def test_nuclei_of_a_rare_class_are_drawn_more_often_than_they_are() -> None:
    """One nucleus among a hundred, far from all others: a crop would show it about once in a hundred times."""
    common = [(40 + 3 * (i % 10), 40 + 3 * (i // 10)) for i in range(99)]
    nuclei = Nuclei.from_arrays([*common, (700, 700)], [1] * 99 + [2])
    plane = np.zeros((800, 800), np.uint8)
    image = TrainingImage("rare_1", np.full((800, 800, 3), 230, np.uint8), nuclei, plane, plane, STAIN_MATRIX)
    proximity = draw_batch([image] * 200, 96, TINY, np.random.default_rng(5)).proximity.numpy()
    assert 8 < (proximity[:, 2].max(axis=(1, 2)) > 0.5).sum() < 40
    assert (proximity[:, 1].max(axis=(1, 2)) > 0.5).sum() > 80


def test_warped_points_stay_on_their_nuclei() -> None:
    size = 101
    for seed in range(20):
        warp = random_warp(size, np.random.default_rng(seed))
        crop = np.random.default_rng(seed).integers(15, size - 15, (30, 2))
        centred = (crop - (size - 1) / 2) @ warp.linear.T + warp.bend[crop[:, 1], crop[:, 0]]
        error = np.abs(warp.crop_points(centred.astype(np.float32)) - crop)
        assert np.quantile(error, 0.98) < 0.7
        assert np.median(error) < 0.2


def test_augmented_crops_keep_image_and_maps_together() -> None:
    batch = batch_of([synthetic("a", s) for s in range(4)], seed=3)
    assert batch.image.shape == (4, 3, 96, 96)
    assert -1 <= float(batch.image.min()) < float(batch.image.max()) <= 1
    for image, maps in zip(batch.image, batch.proximity, strict=True):
        found = decode_maps(maps.numpy(), Thresholds())
        at = np.rint(found.xy).astype(int)
        inside = image.mean(dim=0).numpy()
        assert np.median(inside[at[:, 1], at[:, 0]]) < np.median(inside)  # nuclei are darker than their field


def test_batches_are_reproducible() -> None:
    first, again = (batch_of([synthetic("a", 1)], seed=9) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


# The loop.


def run_fit(tmp_path: Path, policy: TrainPolicy = POLICY, **more: Any) -> tuple[list[dict[str, Any]], Path]:
    torch.manual_seed(0)
    images = [prepare_training_image(synthetic(f"s_{i}", i), 0.5, 0.5) for i in range(3)]
    lines: list[dict[str, Any]] = []
    out = tmp_path / "v.safetensors"
    report = more.pop("report", lines.append)
    fit(KiNet(TINY), images, [synthetic("v_1", 99)], policy, out, Provenance("t"), report=report, **more)
    return lines, out


def test_a_run_reports_evaluates_and_writes_a_version(tmp_path: Path) -> None:
    lines, out = run_fit(tmp_path)
    evaluations = [line for line in lines if line["event"] == "evaluation"]
    assert [line["step"] for line in evaluations] == [3, 6]
    assert {"detection_f1", "class_f1", "index_mae_points", "auc", "thresholds", "loss"} <= set(evaluations[0])
    version = load_version(out)
    assert version.provenance.notes["policy"]["steps"] == 6
    assert not out.with_suffix(".safetensors.resume").exists()


def test_training_learns() -> None:
    run = Run(KiNet(TINY), replace(POLICY, steps=90, learning_rate=0.01), "cpu")
    batch = batch_of([synthetic("a", s) for s in range(4)])
    losses = [run.train_step(batch)["total"] for _ in range(60)]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop_at_first_evaluation(line: dict[str, Any]) -> None:
        if line["event"] == "checkpoint" or stop_at_first_evaluation.seen:  # type: ignore[attr-defined]
            raise StopError
        stop_at_first_evaluation.seen = line["event"] == "evaluation"  # type: ignore[attr-defined]

    policy = replace(POLICY, steps=9)
    checkpoint = tmp_path / "v.safetensors.resume"
    stop_at_first_evaluation.seen = False  # type: ignore[attr-defined]
    with pytest.raises(StopError):
        run_fit(tmp_path, policy, report=stop_at_first_evaluation)
    assert torch.load(checkpoint, weights_only=True)["step"] == 3
    lines, _ = run_fit(tmp_path, policy, resume=True)
    assert lines[0] == {"event": "checkpoint", "step": 3}
    assert [line["step"] for line in lines if line["event"] == "evaluation"] == [6, 9]


def test_the_last_version_is_kept_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worse_and_worse = iter((0.9, 0.1, 0.9, 0.1))  # more than the other numbers can make good
    summarise = loop.summarise
    monkeypatch.setattr(loop, "summarise", lambda result: summarise(result) | {"detection_f1": next(worse_and_worse)})
    _, best = run_fit(tmp_path)
    assert load_version(best).provenance.notes["step"] == 3
    _, last = run_fit(tmp_path, replace(POLICY, keep_last=True))
    assert load_version(last).provenance.notes["step"] == 6


def test_the_version_of_every_evaluation_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    _, out = run_fit(tmp_path, replace(POLICY, keep_each=True))
    kept = [load_version(out.with_name(f"{out.name}.{step}")) for step in (3, 6)]
    assert [version.provenance.notes["step"] for version in kept] == [3, 6]
    assert load_version(out).state.keys() == kept[0].state.keys()


def test_a_run_can_end_in_the_middle_of_its_schedule(tmp_path: Path) -> None:
    whole, half = (Run(KiNet(TINY), replace(POLICY, stop_after=n), "cpu") for n in (None, 4))
    assert whole.schedule.total_steps == half.schedule.total_steps == POLICY.steps
    lines, _ = run_fit(tmp_path, replace(POLICY, stop_after=4))
    assert [line["step"] for line in lines if line["event"] == "evaluation"] == [3, 4]


def test_a_favoured_set_is_drawn_so_many_times_as_often() -> None:
    images = [prepare_training_image(synthetic(name, 5), 0.5, 0.5) for name in ("a_1", "a_2", "b_1")]
    plain, favoured = sampling_shares(images), sampling_shares(images, [("b", 3.0)])
    assert favoured.sum() == pytest.approx(1)
    assert favoured[2] / favoured[0] == pytest.approx(3 * plain[2] / plain[0])
    assert favoured[0] == pytest.approx(favoured[1])


def test_the_roi_sibling_rests_between_its_steps() -> None:
    run = Run(KiNet(TINY), replace(POLICY, roi_every=2), "cpu")
    batch = batch_of([synthetic("a", s) for s in range(2)])
    losses = [run.train_step(batch)["roi"] for _ in range(4)]
    assert [loss > 0 for loss in losses] == [True, False, True, False]


def test_early_stop(tmp_path: Path) -> None:
    policy = replace(POLICY, steps=60, patience=1, evaluate_every=2, learning_rate=0.0)
    lines, _ = run_fit(tmp_path, policy)
    assert max(line.get("step", 0) for line in lines) < 60


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    run = Run(KiNet(TINY), POLICY, "cpu")
    batch = batch_of([synthetic("a", 1)])
    with pytest.raises(TrainingDiverged, match="lower --learning-rate"):
        run.train_step(batch._replace(image=batch.image * float("nan")))


def test_the_command_line_trains_on_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        write_labelled(tmp_path / "data", synthetic(f"s_{i}", i, 150))
    out = tmp_path / "base.safetensors"
    arguments = ["fit", "--data", str(tmp_path / "data"), "--out", str(out), "--validation", "s_2", "--steps", "2"]
    assert main([*arguments, "--batch", "1", "--crop-px", "64", "--evaluate-every", "2", "--device", "cpu"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"event": "data", "training": 2, "validation": ["s_2"]}
    assert lines[-1]["sha256"] == load_version(out).sha256
    again = [
        *arguments,
        "--start",
        str(out),
        "--batch",
        "1",
        "--crop-px",
        "64",
        "--evaluate-every",
        "2",
        "--device",
        "cpu",
    ]
    assert main(again) == 0
    assert main([*again, "--bystanders"]) == 1
    assert "give --second-teacher" in capsys.readouterr().err
    assert main(["fit", "--data", str(tmp_path / "none"), "--out", str(out)]) == 1
    assert "is no folder" in capsys.readouterr().err
