from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nucleus_app.errors import InvalidDataset
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version, load_version, save_version
from nucleus_app.kinet.config import Provenance, Thresholds
from nucleus_app.kinet.network import KiNet, restore_network
from tests.conftest import TINY
from tests.labelled_folders import write_labelled
from tests.trainer.examples import by_person, make_example
from trainer.learning.augment import Batch
from trainer.learning.dataset import EXCLUDED
from trainer.learning.example import Example
from trainer.learning.finetune import Crops, _prepare_lessons, _Source, complete, finetune, list_judged
from trainer.learning.lessons import prepare_lesson
from trainer.learning.replay import Replay, collect_replay, draw_synthetic, teach_everywhere
from trainer.learning.team import Team
from trainer.learning.tune_policy import TunePolicy

QUICK = TunePolicy(steps=4, batch=4, crop_px=64, replay=())
WITH_REPLAY = replace(QUICK, replay=TunePolicy().replay)


class Stopped(Exception):
    """What the process raises when it is told to end."""


@pytest.fixture
def start(tmp_path: Path) -> Version:
    torch.manual_seed(0)
    path = tmp_path / "start.safetensors"
    save_version(path, KiNet(TINY), Thresholds((0.3, 0.3, 0.3)), Provenance("start", ("synthetic",)))
    return load_version(path)


def tune(
    start: Version,
    out: Path,
    examples: list[Example],
    policy: TunePolicy = QUICK,
    *,
    validation: list[Example] | None = None,
    attend: Callable[[], None] = lambda: None,
    events: list[dict[str, Any]] | None = None,
) -> Version:
    kept = events if events is not None else []
    return finetune(
        start, examples, validation or [], policy, out, Provenance("lab-1"),
        device="cpu", team=Team.alone(), report=kept.append, attend=attend,
    )  # fmt: skip


def stop_at(step: int) -> Callable[[], None]:
    calls = iter(range(10**6))

    def attend() -> None:
        if next(calls) == step:
            raise Stopped

    return attend


def test_a_version_learns_under_a_new_name(start: Version, tmp_path: Path) -> None:
    tuned = tune(start, tmp_path / "out.safetensors", [make_example()])
    assert tuned.name == "lab-1"
    assert any((tuned.state[name] != value).any() for name, value in start.state.items())
    assert not (tmp_path / "out.safetensors.resume").exists()


def test_a_frozen_contraction_stays_bit_for_bit(start: Version, tmp_path: Path) -> None:
    frozen = tune(start, tmp_path / "a.safetensors", [make_example()], replace(QUICK, frozen_stages=99))
    changed = {name for name, value in start.state.items() if (frozen.state[name] != value).any()}
    assert changed
    assert not [name for name in changed if name.startswith("contraction")]
    some = tune(start, tmp_path / "b.safetensors", [make_example()], replace(QUICK, frozen_stages=1))
    names = {name for name, value in start.state.items() if (some.state[name] != value).any()}
    assert not [name for name in names if name.startswith("contraction.stem")]
    assert [name for name in names if name.startswith("contraction.levels")]


def test_a_stopped_run_goes_on_where_it_was_and_ends_the_same(start: Version, tmp_path: Path) -> None:
    examples = [make_example()]
    whole = tune(start, tmp_path / "whole.safetensors", examples)
    out = tmp_path / "parts.safetensors"
    with pytest.raises(Stopped):
        tune(start, out, examples, attend=stop_at(2))
    assert not out.exists()
    events: list[dict[str, Any]] = []
    parts = tune(start, out, examples, events=events)
    assert events[0] == {"event": "checkpoint", "step": 2}
    assert all((parts.state[name] == value).all() for name, value in whole.state.items())


def test_a_run_that_is_stopped_before_its_first_step_leaves_nothing(start: Version, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        tune(start, tmp_path / "out.safetensors", [make_example()], attend=stop_at(0))
    assert list(tmp_path.glob("out*")) == []


def test_a_damaged_checkpoint_costs_its_steps_and_not_the_run(start: Version, tmp_path: Path) -> None:
    whole = tune(start, tmp_path / "whole.safetensors", [make_example()])
    (tmp_path / "out.safetensors.resume").write_bytes(b"half a file")
    events: list[dict[str, Any]] = []
    again = tune(start, tmp_path / "out.safetensors", [make_example()], events=events)
    assert "first step" in events[0]["text"]
    assert all((again.state[name] == value).all() for name, value in whole.state.items())


def test_confidence_does_not_take_doubtful_places_for_wrong(start: Version, tmp_path: Path) -> None:
    example = make_example(7, 400)
    hidden = np.arange(len(example.nuclei)) % 2 == 0
    shown = replace(
        example,
        nuclei=example.nuclei.select(~hidden),
        by_person=example.by_person[~hidden],
        doubtful=example.nuclei.xy[hidden],
    )
    images = list_judged([shown])
    assert len(images) == 1
    assert len(images[0].inside_labelled_area(example.nuclei.select(hidden))) == 0
    assert len(images[0].inside_labelled_area(shown.nuclei)) > 0.8 * len(shown.nuclei)


def test_what_a_person_excluded_is_not_replayed_either() -> None:
    example = make_example()
    excluded = np.zeros_like(example.excluded)
    excluded[:80] = True
    lesson = prepare_lesson(replace(example, excluded=excluded), 0.5)
    asked = [teach_everywhere(lesson)]
    assert not asked[0].weight[:80].any()
    assert (asked[0].weight[80:] == 255).all()


def test_without_anything_corrected_or_reviewed_there_is_nothing_to_learn_from(start: Version, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="nothing to learn"):
        tune(start, tmp_path / "out.safetensors", [make_example(reviewed=False)])


def test_one_class_alone_can_be_taught(start: Version, tmp_path: Path) -> None:
    example = make_example()
    only = example.nuclei.classes == 1
    lone = replace(example, nuclei=example.nuclei.select(only), by_person=example.by_person[only])
    assert np.isfinite(tune(start, tmp_path / "out.safetensors", [lone]).state["output.maps.weight"]).all()


def test_progress_tells_steps_losses_and_time_left(start: Version, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    tune(start, tmp_path / "o.safetensors", [make_example()], validation=[make_example(5, 96)], events=events)
    progress = [e for e in events if e["event"] == "progress"]
    assert progress[-1]["step"] == progress[-1]["of"] == 4
    assert progress[-1]["seconds_left"] == 0
    assert {"nucleus", "roi", "total"} <= progress[-1]["loss"].keys()
    assert [e["step"] for e in events if e["event"] == "evaluation"] == [1, 2, 3, 4]


def test_thresholds_stay_and_confidence_follows_where_enough_nuclei_speak(start: Version, tmp_path: Path) -> None:
    few = tune(start, tmp_path / "few.safetensors", [make_example(size=96)])
    assert (few.thresholds, few.confidence) == (start.thresholds, start.confidence)
    many = tune(start, tmp_path / "many.safetensors", [make_example(size=96)], validation=[make_example(7, 400)])
    assert many.thresholds == start.thresholds
    assert many.confidence is not None


def test_a_share_of_the_start_is_kept(start: Version, tmp_path: Path) -> None:
    policy = replace(QUICK, kept_share=0.0)
    own = tune(start, tmp_path / "own.safetensors", [make_example()], policy)
    half = tune(start, tmp_path / "half.safetensors", [make_example()], replace(policy, kept_share=0.5))
    for name, value in start.state.items():
        if value.dtype.kind == "f":
            assert np.allclose(half.state[name], (value + own.state[name]) / 2, atol=1e-6)


def test_a_person_is_learned_from_quickly(tmp_path: Path) -> None:
    """The shipped network on one field where a person says that all positive nuclei are negative."""
    start = load_version(SHIPPED_WEIGHTS)
    example = make_example(3, 256)
    classes = np.where(example.nuclei.classes == 0, 1, example.nuclei.classes).astype(np.uint8)
    told = by_person(replace(example, nuclei=replace_classes(example, classes)), list(range(len(classes))))
    policy = TunePolicy(steps=25, batch=2, crop_px=128, learning_rate=3e-3, replay=(), kept_share=0.0)
    tuned = tune(start, tmp_path / "out.safetensors", [told], policy)
    assert share_of_positive(tuned, example) < 0.4 * share_of_positive(start, example)


def replace_classes(example: Example, classes: Any) -> Any:
    return type(example.nuclei)(example.nuclei.xy, classes, example.nuclei.scores)


def share_of_positive(version: Version, example: Example) -> float:
    from nucleus_app.kinet.predictor import Predictor

    counts = Predictor.open(version, "cpu").find(example.rgb, example.mpp).counts()
    return counts.positive / max(1, counts.tumour)


# What is filled in where no label speaks.


def make_batch(weight: float) -> Batch:
    image = torch.rand(3, 3, 64, 64) * 2 - 1
    region = torch.zeros(3, 64, 64, dtype=torch.long)
    region[0, :8] = EXCLUDED
    return Batch(
        image, torch.zeros(3, 3, 64, 64), torch.full((3, 1, 64, 64), weight), region, image, torch.zeros(3, 1, 64, 64)
    )


def test_the_running_average_speaks_where_nobody_labelled_but_not_where_somebody_excluded(start: Version) -> None:
    network = restore_network(start)
    done = complete(make_batch(0.0), Crops(3, 0, 0), TunePolicy(open_weight=0.2), network, network)
    answer = network(make_batch(0.0).image).proximity.clamp(0, 1)
    assert done.weight[0, 0, :8].max() == 0
    assert torch.allclose(done.weight[0, 0, 8:], torch.tensor(0.2))
    assert done.proximity.shape == answer.shape


def test_labels_are_never_overruled(start: Version) -> None:
    network = restore_network(start)
    batch = make_batch(1.0)
    done = complete(batch, Crops(3, 0, 0), TunePolicy(), network, network)
    assert torch.equal(done.proximity, batch.proximity)
    assert torch.equal(done.weight, batch.weight)


def test_replayed_crops_weigh_less_by_gamma_and_are_answered_by_the_start(start: Version) -> None:
    network = restore_network(start)
    batch = make_batch(1.0)
    done = complete(batch, Crops(1, 1, 1), TunePolicy(gamma=4.0), network, network)
    with torch.no_grad():
        answer = network(batch.image[2:]).proximity.clamp(0, 1)
    assert [float(w.max()) for w in done.weight] == [1.0, 0.25, 0.25]
    assert torch.equal(done.proximity[:2], batch.proximity[:2])
    assert torch.allclose(done.proximity[2:], answer, atol=1e-5)


# Replay.


def test_synthetic_fields_for_replay_are_labelled_everywhere_and_hold_every_class() -> None:
    fields = draw_synthetic(0.5, np.random.default_rng(0), 2)
    assert all((field.weight == 255).all() for field in fields)
    assert all(set(field.nuclei.classes.tolist()) == {0, 1, 2} for field in fields)


def test_a_sites_own_folder_is_replayed_and_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_labelled(tmp_path / "site", draw_field(FieldRecipe(120, 120), rng, "own_1"))
    told, asked = collect_replay((Replay.FOLDER,), [], tmp_path / "site", 0.5, rng)
    assert [image.name for image in told] == ["own_1"]
    assert asked == []
    with pytest.raises(InvalidDataset, match="no folder"):
        collect_replay((Replay.FOLDER,), [], tmp_path / "missing", 0.5, rng)


def test_without_replay_only_the_labs_own_crops_are_drawn(start: Version, tmp_path: Path) -> None:
    assert _Source(_prepare_lessons([make_example()], start, QUICK), start, QUICK).crops == Crops(QUICK.batch, 0, 0)
    alone = tune(start, tmp_path / "alone.safetensors", [make_example()])
    mixed = tune(start, tmp_path / "mixed.safetensors", [make_example()], WITH_REPLAY)
    assert any((alone.state[name] != value).any() for name, value in mixed.state.items())
