"""The durable path, with real processes and kill -9, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dbos import DBOSClient
from PIL import Image
from sqlalchemy import text

from db.engine import session_scope
from nucleus_app.domain.edits import Bounds, Region, parse_edit
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.errors import CheckpointError
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.checkpoint import write_version
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.services.child import Child
from nucleus_app.services.intake import score_at, take_in
from nucleus_app.services.roi import ask_for_roi, read_roi
from nucleus_app.services.scored_images import ScoredImage, get_packed_candidates, get_record, get_scored_image
from nucleus_app.services.serving import Shelf
from nucleus_app.services.worker import Scorer
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from tests.conftest import OpenWorkplace
from tests.services.versions import keep_version, put_in_service

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 120


def wait_for(case: Callable[[], ScoredImage], reached: Callable[[ScoredImage], bool]) -> ScoredImage:
    """Poll until a case is as wanted; a case that failed is an error at once."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        now = case()
        assert now.state != "failed", now.scoring.error
        if reached(now):
            return now
        time.sleep(0.02)
    raise AssertionError(f"still {now.state}, {now.scoring} after {PATIENCE_S} s")


def start_worker(settings: Settings) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "NUCLEUS_DATA_DIR": str(settings.data_dir), "DATABASE_URL": settings.sqlalchemy_url, "NUCLEUS_DEVICE": "cpu",
    }  # fmt: skip
    command = [sys.executable, "-m", "nucleus_app", "worker", "--until-stdin-closes"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE)


def steps_of(workplace: Workplace, scoring_id: int, *, prefix: str = "scoring") -> dict[int, object]:
    """Step number → when it was completed, for the finished steps of a scoring (or of its map: ``roi``)."""
    client = DBOSClient(system_database_url=workplace.engine.url.render_as_string(hide_password=False))
    steps = client.list_workflow_steps(f"{prefix}-{scoring_id}")
    client.destroy()
    return {s["function_id"]: s["completed_at_epoch_ms"] for s in steps if s["completed_at_epoch_ms"]}


def wait_for_steps(
    workplace: Workplace, scoring_id: int, n_steps: int, *, prefix: str = "scoring"
) -> dict[int, object]:
    """The finished steps, once there are so many: a result is visible a moment before its step is noted."""
    end = time.monotonic() + PATIENCE_S
    while len(steps := steps_of(workplace, scoring_id, prefix=prefix)) < n_steps and time.monotonic() < end:
        time.sleep(0.05)
    return steps


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A field of six tiles: a drawn quarter four times, each a little darker, so that no two nuclei score alike."""
    quarter = draw_field(FieldRecipe(width_px=400, height_px=1300), np.random.default_rng(8)).rgb
    path = tmp_path_factory.mktemp("slide") / "slide.png"
    Image.fromarray(np.concatenate([quarter - quarter // 40 * n for n in range(4)])).save(path)
    return path


@pytest.fixture(scope="module")
def direct(slide: Path, shipped: Predictor) -> Nuclei:
    """What the shipped network finds there without a worker."""
    return shipped.find(np.asarray(Image.open(slide)), 0.5)


def test_a_killed_worker_finishes_its_job_without_repeating_finished_steps(
    database_url: str, settings: Settings, open_at: OpenWorkplace, slide: Path, direct: Nuclei, shipped: Predictor
) -> None:
    workplace = open_at(settings, database_url=database_url)
    image = take_in(workplace, slide, "slide.png")
    score_at(workplace, image.id, 0.5)
    scoring_id = get_scored_image(workplace, image.id).scoring.id

    worker = start_worker(workplace.settings)
    try:
        midway = wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.scoring.tiles_done >= 2)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert midway.state == "running"
    assert midway.scoring.tiles_total == 6
    finished_before = steps_of(workplace, scoring_id)
    assert len(finished_before) >= 2

    worker = start_worker(workplace.settings)
    try:
        done = wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.state == "done")
        steps = wait_for_steps(workplace, scoring_id, 1 + 6 + 1)
    finally:
        worker.stdin.close()
        assert worker.wait(timeout=20) == 0
    assert {number: steps[number] for number in finished_before} == finished_before
    assert len(steps) == 1 + 6 + 1
    record = get_record(workplace, image.id)
    candidates = unpack_nuclei(get_packed_candidates(workplace, scoring_id))
    assert len(candidates) > len(direct)
    assert (candidates.scores >= 0.5 * np.array(record.thresholds, np.float32)[candidates.classes]).all()
    assert np.abs(candidates.xy[: len(direct)] - direct.xy).max() < 1e-3  # those that count come first
    assert done.scoring.counts == direct.counts()
    assert np.abs(record.nuclei.xy - direct.xy).max() < 1e-3
    assert np.abs(record.nuclei.scores - direct.scores).max() < 1e-6
    assert record.version_sha256 == shipped.version.sha256


def test_a_scoring_that_a_killed_worker_began_keeps_its_version_although_another_was_put_in_service_meanwhile(
    settings: Settings, open_at: OpenWorkplace, slide: Path, direct: Nuclei, shipped: Predictor, tmp_path: Path
) -> None:
    workplace = open_at(settings)
    image = take_in(workplace, slide, "slide.png")
    score_at(workplace, image.id, 0.5)
    worker = start_worker(workplace.settings)
    try:
        wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.scoring.tiles_done >= 2)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    stricter = replace(shipped.version, thresholds=replace(shipped.version.thresholds, per_class=(0.6, 0.6, 0.6)))
    write_version(tmp_path / "stricter.safetensors", stricter)
    sha256 = keep_version(workplace, tmp_path / "stricter.safetensors", parent=shipped.version.sha256)
    put_in_service(workplace, sha256, "promoted")
    worker = start_worker(workplace.settings)
    try:
        begun = wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.state == "done").scoring
        score_at(workplace, image.id, 0.5)
        begun_later = wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.state == "done").scoring
    finally:
        worker.stdin.close()
        assert worker.wait(timeout=20) == 0
    assert (begun.version.sha256, begun.counts) == (shipped.version.sha256, direct.counts())
    assert begun_later.version.sha256 == sha256
    assert begun_later.counts.tumour < begun.counts.tumour


def test_an_image_that_is_no_ki67_field_gets_no_nuclei_until_a_person_insists(
    settings: Settings, open_at: OpenWorkplace, tmp_path: Path
) -> None:
    workplace = open_at(settings)
    field = draw_field(FieldRecipe(width_px=200, height_px=200), np.random.default_rng(3))
    Image.fromarray(255 - field.rgb).save(tmp_path / "inverted.png")
    image = take_in(workplace, tmp_path / "inverted.png", "inverted.png")
    worker = start_worker(workplace.settings)
    try:
        score_at(workplace, image.id, 0.5)
        refused = wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.state == "done")
        score_at(workplace, image.id, 0.5)
        insisted = wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.state == "done")
    finally:
        worker.stdin.close()
        worker.wait(timeout=20)
    assert refused.scoring.oddities == insisted.scoring.oddities == (Oddity.DARK,)
    assert sum(refused.scoring.counts) == 0
    assert refused.scoring.tiles_total == 0
    assert insisted.scoring.tiles_total == 1
    assert refused.index is None


def test_a_job_that_cannot_be_done_fails_with_a_message_and_the_next_one_runs(
    settings: Settings, open_at: OpenWorkplace, tmp_path: Path
) -> None:
    workplace = open_at(settings)
    cases = []
    for seed in (1, 2):
        field = draw_field(FieldRecipe(width_px=120, height_px=120), np.random.default_rng(seed))
        Image.fromarray(field.rgb).save(tmp_path / f"{seed}.png")
        cases.append(take_in(workplace, tmp_path / f"{seed}.png", "x"))
        score_at(workplace, cases[-1].id, 0.5)
    lost = cases[0].blob
    (settings.data_dir / "blobs" / lost[:2] / lost).unlink()
    worker = start_worker(settings)
    try:
        wait_for(lambda: get_scored_image(workplace, cases[1].id), lambda c: c.state == "done")
    finally:
        worker.stdin.close()
        worker.wait(timeout=20)
    broken = get_scored_image(workplace, cases[0].id)
    assert broken.state == "failed"
    assert "missing from the store" in broken.scoring.error


def wait_for_map(workplace: Workplace, scoring_id: int) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while (found := read_roi(workplace, scoring_id))["state"] == "running" and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_the_map_of_tumour_survives_a_killed_worker_and_is_a_region(workplace: Workplace, slide: Path) -> None:
    image = take_in(workplace, slide, "slide.png")
    score_at(workplace, image.id, 0.5)
    worker = start_worker(workplace.settings)
    try:
        case = wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.state == "done")
        assert ask_for_roi(workplace, case.scoring.id)["state"] == "running"
        assert wait_for_steps(workplace, case.scoring.id, 2, prefix="roi")
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    finished_before = steps_of(workplace, case.scoring.id, prefix="roi")
    worker = start_worker(workplace.settings)
    try:
        found = wait_for_map(workplace, case.scoring.id)
        steps = wait_for_steps(workplace, case.scoring.id, 1 + 6 + 1, prefix="roi")
    finally:
        worker.stdin.close()
        worker.wait(timeout=20)
    assert {number: steps[number] for number in finished_before} == finished_before
    assert (found["state"], found["error"]) == ("done", None)
    assert (found["cells"]["label"], found["cells"]["size"], found["cells"]["columns"]) == ("tumour", 16, 25)
    region = parse_edit({"op": "region", **found["cells"]}, Bounds(400, 5200, (0.1, 0.1, 0.1)))
    assert isinstance(region, Region)
    assert sum(region.shape.runs) == 25 * 325
    assert ask_for_roi(workplace, case.scoring.id) == found  # nothing is made twice


def test_a_map_that_cannot_be_made_says_why_and_can_be_asked_for_again(
    settings: Settings, open_at: OpenWorkplace, tmp_path: Path
) -> None:
    workplace = open_at(settings)
    field = draw_field(FieldRecipe(width_px=120, height_px=120), np.random.default_rng(1))
    Image.fromarray(field.rgb).save(tmp_path / "a.png")
    image = take_in(workplace, tmp_path / "a.png", "a")
    score_at(workplace, image.id, 0.5)
    blob = settings.data_dir / "blobs" / image.blob[:2] / image.blob
    worker = start_worker(settings)
    try:
        case = wait_for(lambda: get_scored_image(workplace, image.id), lambda c: c.state == "done")
        content = blob.read_bytes()
        blob.unlink()
        ask_for_roi(workplace, case.scoring.id)
        failed = wait_for_map(workplace, case.scoring.id)
        blob.write_bytes(content)
        ask_for_roi(workplace, case.scoring.id)
        done = wait_for_map(workplace, case.scoring.id)
    finally:
        worker.stdin.close()
        worker.wait(timeout=20)
    assert failed["state"] == "failed"
    assert "missing from the store" in failed["error"]
    assert (done["state"], done["error"]) == ("done", None)


def test_a_worker_whose_database_refuses_a_step_ends_and_the_job_goes_on_with_the_next(
    settings: Settings, open_at: OpenWorkplace, slide: Path
) -> None:
    workplace = open_at(settings)
    image = take_in(workplace, slide, "slide.png")
    score_at(workplace, image.id, 0.5)
    full = "CREATE TRIGGER full BEFORE INSERT ON scoring_tile WHEN NEW.tile = 2 BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text(full))
    worker = start_worker(settings)
    assert worker.wait(timeout=PATIENCE_S) == 1
    left = get_scored_image(workplace, image.id)
    assert (left.state, left.scoring.tiles_done) == ("running", 2)
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text("DROP TRIGGER full"))
    worker = start_worker(settings)
    try:
        wait_for(lambda: get_scored_image(workplace, image.id), lambda case: case.state == "done")
    finally:
        worker.stdin.close()
        worker.wait(timeout=20)


def test_a_job_that_was_tried_too_often_is_given_up(settings: Settings, open_at: OpenWorkplace, tmp_path: Path) -> None:
    workplace = open_at(settings)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png", dpi=(50_800, 50_800))
    image = take_in(workplace, tmp_path / "a.png", "a")
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text("UPDATE workflow_status SET status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'"))
    worker = start_worker(settings)
    try:
        end = time.monotonic() + PATIENCE_S
        while get_scored_image(workplace, image.id).state != "failed" and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        worker.stdin.close()
        worker.wait(timeout=20)
    assert "more than 5 times and given up" in get_scored_image(workplace, image.id).scoring.error


def test_tiles_of_before_an_upgrade_that_cut_images_otherwise_never_make_a_result(
    workplace: Workplace, shipped: Predictor, tmp_path: Path
) -> None:
    field = draw_field(FieldRecipe(width_px=120, height_px=120), np.random.default_rng(1))
    Image.fromarray(field.rgb).save(tmp_path / "a.png")
    image = take_in(workplace, tmp_path / "a.png", "a")
    score_at(workplace, image.id, 0.5)
    scoring_id = get_scored_image(workplace, image.id).scoring.id
    scorer = Scorer(workplace, Shelf(workplace, lambda version: shipped))
    assert scorer.start(scoring_id) == 1
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text("UPDATE scoring SET tiles_total = 4"))
    with pytest.raises(CheckpointError, match="upgraded while this image was being scored"):
        scorer.find_in_tile(scoring_id, 0)


def test_the_keeper_starts_a_dead_worker_again_and_takes_it_along_when_it_stops(tmp_path: Path) -> None:
    told = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); sys.stdin.read()"
    child = Child("worker", (sys.executable, "-c", told, str(tmp_path / "ids")))
    try:
        first = wait_for_process(tmp_path / "ids", 1)
        os.kill(first, signal.SIGKILL)
        second = wait_for_process(tmp_path / "ids", 2)
    finally:
        child.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


def wait_for_process(ids: Path, n: int) -> int:
    """The id of the n-th process that was started."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if ids.exists() and ids.read_text().count("\n") == n:
            return int(ids.read_text().split()[-1])
        time.sleep(0.02)
    raise AssertionError("no worker was started")
