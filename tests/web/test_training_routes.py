"""The training page's routes, with runs in the database as a trainer leaves them there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from db.engine import session_scope
from db.runs import add_event, advance_run, beat_run, note_trainer, request_run, take_run
from db.versions import list_activations
from nucleus_app.domain.learning import Change, Comparison, Difference, RunState, Trigger, Verdict
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.errors import NucleusAppError
from nucleus_app.services.base_version import register_base
from nucleus_app.services.intake import take_in
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.training import drop_repeated
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from nucleus_app.web.routes import create_router, error_to_response
from tests.services.reviewing import add_scoring
from tests.services.versions import draw_version, keep_version, put_in_service

URL = "/nucleus/api/training"
SAID = "Learned from 12 fields of 4 cases; on 2 locked cases it finds 3 % more of the positive nuclei."
LOCKED = Comparison(4, 900, Difference(0.8, 0.81), Difference(0.7, 0.75, 0.02, 0.08), {}, None, None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", demo=False, weights=str(draw_version(tmp_path, 1)), train_hours="20-6")


class Trainer:
    """What a trainer writes, step by step."""

    def __init__(self, workplace: Workplace, folder: Path) -> None:
        self.workplace, self.folder, self.base = workplace, folder, register_base(workplace).sha256

    def ask(self, trigger: Trigger = Trigger.FIELDS, last_sign_off: int = 0) -> int:
        with session_scope(self.workplace.engine, write=True) as session:
            run_id = request_run(session, trigger, "", datetime.now(UTC), last_sign_off)
            take_run(session, run_id, "trainer-1", 0)
        return run_id

    def reach(self, run_id: int, state: RunState, **made: Any) -> None:
        with session_scope(self.workplace.engine, write=True) as session:
            advance_run(session, run_id, "trainer-1", state, datetime.now(UTC), **made)

    def tell(self, run_id: int, *events: dict[str, Any]) -> None:
        with session_scope(self.workplace.engine, write=True) as session:
            for event in events:
                add_event(session, run_id, event, datetime.now(UTC))

    def finish(self, state: RunState, seed: int, gallery: tuple[Change, ...] = ()) -> tuple[int, str]:
        """A whole run; returns its id and the candidate's SHA-256."""
        run_id = self.ask()
        self.reach(run_id, RunState.TRAINING, device="cpu")
        sha256 = keep_version(self.workplace, draw_version(self.folder, seed), parent=self.base, run_id=run_id)
        self.reach(run_id, RunState.JUDGING, candidate_sha256=sha256)
        verdict = Verdict(state, SAID, (), 2, LOCKED, None, 0.95, gallery)
        self.reach(run_id, state, verdict=verdict)
        if state is RunState.PROMOTED:
            put_in_service(self.workplace, sha256, "promoted")
        return run_id, sha256


@pytest.fixture
def trainer(workplace: Workplace, tmp_path: Path) -> Trainer:
    return Trainer(workplace, tmp_path)


def test_a_fresh_installation_says_what_serves_and_what_it_waits_for(client: TestClient, trainer: Trainer) -> None:
    told = client.get(URL).json()
    assert (told["state"], told["run"], told["runs"]) == ("idle", None, [])
    assert told["trainer"] == {"is_there": False, "doing": "", "is_failing": False}
    sides = {"train": 0, "validation": 0, "locked": 0}
    assert told["rule"] == {"after_fields": 8, "hours": "20-6", "signed_fields": 0, "sides": sides}
    service, [version] = told["in_service"], told["versions"]
    assert (service["sha256"], service["name"], service["since"]) == (trainer.base, "tiny-1", None)
    assert "have not learned from your cases yet" in service["sentence"]
    assert (version["sha256"], version["is_active"], version["state"]) == (trainer.base, True, "shipped")
    assert told["disk_bytes"] == Path(trainer.workplace.settings.weights).stat().st_size


def test_the_base_is_shown_even_before_a_process_has_kept_it(client: TestClient, workplace: Workplace) -> None:
    told = client.get(URL).json()
    assert [version["name"] for version in told["versions"]] == [told["in_service"]["name"]] == ["tiny-1"]
    put = client.post(f"{URL}/activate", json={"sha256": told["in_service"]["sha256"], "reader": "Dr. A"})
    assert (put.status_code, put.json()["in_service"]["since"] is not None) == (200, True)


def test_signed_fields_count_until_a_run_has_seen_them(
    client: TestClient, trainer: Trainer, workplace: Workplace, image_id: int
) -> None:
    add_scoring(workplace, image_id)
    case = f"/nucleus/api/cases/{get_scored_image(workplace, image_id).image.case_id}"
    assert client.post(f"{case}/sign", json={"digest": client.get(case).json()["digest"], "reader": "Dr. A"}).is_success
    rule = client.get(URL).json()["rule"]
    assert (rule["signed_fields"], sum(rule["sides"].values())) == (1, 1)
    client.post(f"{URL}/start", json={"reader": "Dr. A"})
    assert client.get(URL).json()["rule"]["signed_fields"] == 1  # it has not learned from them yet
    run = client.get(URL).json()["run"]["id"]
    client.post(f"{URL}/cancel", json={"run": run, "reader": "Dr. A"})
    assert client.get(URL).json()["rule"]["signed_fields"] == 0


def test_a_run_under_way_says_where_it_is_and_can_be_stopped(
    client: TestClient, trainer: Trainer, workplace: Workplace
) -> None:
    started = client.post(f"{URL}/start", json={"reader": "Dr. A"}).json()
    run_id = started["run"]["id"]
    assert (started["state"], started["run"]["trigger"], started["run"]["can_cancel"]) == ("queued", "button", True)
    again = client.post(f"{URL}/start", json={})
    assert (again.status_code, "cancel it" in again.json()["detail"]) == (409, True)
    with session_scope(workplace.engine, write=True) as session:
        take_run(session, run_id, "trainer-1", 0)
        note_trainer(session, "trainer-1", "step 40 of 300", datetime.now(UTC))
    trainer.reach(run_id, RunState.TRAINING, device="cuda")
    trainer.tell(
        run_id,
        {"event": "progress", "step": 20, "of": 300, "loss": {"total": 0.9}, "seconds_left": 99},
        {"event": "progress", "step": 40, "of": 300, "loss": {"total": 0.8}, "seconds_left": 90},
        {"event": "paused"},
    )
    told = client.get(URL).json()
    assert (told["state"], told["trainer"]["is_there"], told["trainer"]["doing"]) == ("paused", True, "step 40 of 300")
    assert told["run"] | {"id": 0} == {
        "id": 0, "state": "training", "trigger": "button", "step": 40, "of": 300, "seconds_left": 90, "device": "cuda",
        "can_cancel": True,
    }  # fmt: skip
    trainer.tell(run_id, {"event": "resumed"})
    assert client.get(URL).json()["state"] == "training"
    stopped = client.post(f"{URL}/cancel", json={"run": run_id, "reader": "Dr. B"}).json()
    assert (stopped["run"]["can_cancel"], stopped["runs"][0]["sentence"]) == (False, "Is being stopped.")
    with session_scope(workplace.engine, write=True) as session:
        assert beat_run(session, run_id, "trainer-1").is_cancelled
    trainer.reach(run_id, RunState.JUDGING)
    over = client.get(URL).json()
    assert (over["run"], over["runs"][0]["state"]) == (None, "cancelled")
    assert client.get(f"{URL}/runs/{run_id}").json()["events"][-1]["text"] == "Asked to stop by Dr. B."
    refused = client.post(f"{URL}/cancel", json={"run": run_id})
    assert (refused.status_code, "nothing to cancel" in refused.json()["detail"]) == (409, True)


def test_what_was_learned_is_said_in_one_sentence_with_the_day_since_when_it_serves(
    client: TestClient, trainer: Trainer
) -> None:
    _, rejected = trainer.finish(RunState.REJECTED, 2)
    run_id, promoted = trainer.finish(RunState.PROMOTED, 3)
    told = client.get(URL).json()
    assert (told["in_service"]["sha256"], told["in_service"]["sentence"]) == (promoted, SAID)
    versions = {version["sha256"]: version for version in told["versions"]}
    assert versions[promoted]["sentence"] == f"{SAID[:-1]}; in service since 24 Nov 2026."
    assert (versions[promoted]["state"], versions[promoted]["parent"]) == ("promoted", trainer.base)
    assert (versions[rejected]["state"], versions[rejected]["is_active"]) == ("rejected", False)
    assert versions[trainer.base]["is_active"] is False
    assert [(run["state"], run["sentence"]) for run in told["runs"]] == [("promoted", SAID), ("rejected", SAID)]
    lesson = client.get(f"{URL}/runs/{run_id}").json()
    assert lesson["verdict"]["locked"]["weighted_f1"] == [0.7, 0.75, 0.02, 0.08]
    assert (lesson["error"], lesson["device"], lesson["seconds_left"]) == (None, "cpu", None)


@pytest.mark.parametrize(
    ("state", "made", "sentence"),
    [
        (RunState.NOTHING, {}, "There was nothing to learn from"),
        (RunState.FAILED, {"error": "the disk is full"}, "Failed: the disk is full"),
        (RunState.FAILED, {}, "log of the trainer"),
    ],
)
def test_a_run_without_a_verdict_says_why(
    client: TestClient, trainer: Trainer, state: RunState, made: dict[str, Any], sentence: str
) -> None:
    trainer.reach(trainer.ask(), state, **made)
    assert sentence in client.get(URL).json()["runs"][0]["sentence"]


def test_a_person_goes_back_to_the_base_and_forth_again_with_a_name(
    client: TestClient, trainer: Trainer, workplace: Workplace
) -> None:
    _, promoted = trainer.finish(RunState.PROMOTED, 3)
    nameless = client.post(f"{URL}/activate", json={"sha256": trainer.base, "reader": " "})
    assert (nameless.status_code, "needs a name" in nameless.json()["detail"]) == (422, True)
    for sha256 in (trainer.base, trainer.base, promoted):
        told = client.post(f"{URL}/activate", json={"sha256": sha256, "reader": "Dr. A"}).json()
        assert told["in_service"]["sha256"] == sha256
    with session_scope(workplace.engine) as session:
        rows = [(row.sha256, row.actor, row.reason) for row in list_activations(session)]
    assert rows[:2] == [(promoted, "Dr. A", "chosen"), (trainer.base, "Dr. A", "chosen")]
    assert len(rows) == 3  # pressing twice is not choosing twice


def test_only_versions_that_are_there_whole_can_be_put_in_service(
    client: TestClient, trainer: Trainer, workplace: Workplace
) -> None:
    unknown = client.post(f"{URL}/activate", json={"sha256": "0" * 64, "reader": "Dr. A"})
    assert (unknown.status_code, "no version 000000000000" in unknown.json()["detail"]) == (404, True)
    _, rejected = trainer.finish(RunState.REJECTED, 2)
    (workplace.settings.data_dir / "blobs" / rejected[:2] / rejected).write_bytes(b"half")
    damaged = client.post(f"{URL}/activate", json={"sha256": rejected, "reader": "Dr. A"})
    assert (damaged.status_code, "missing or damaged" in damaged.json()["detail"]) == (422, True)
    assert client.get(URL).json()["in_service"]["since"] is None


def test_a_version_that_no_worker_can_open_is_named_and_the_one_before_goes_on(
    client: TestClient, trainer: Trainer, workplace: Workplace
) -> None:
    _, first = trainer.finish(RunState.PROMOTED, 2)
    _, second = trainer.finish(RunState.PROMOTED, 3)
    put_in_service(workplace, second, "refused")
    told = client.get(URL).json()
    assert told["in_service"]["sha256"] == first
    assert "tiny-3 was to be in service" in told["in_service"]["sentence"]
    assert "cannot be opened, so this one goes on scoring" in told["in_service"]["sentence"]
    assert [version["sha256"] for version in told["versions"] if version["is_active"]] == [first]
    again = client.post(f"{URL}/activate", json={"sha256": second, "reader": "Dr. A"}).json()
    assert again["in_service"]["sha256"] == second  # the next scoring tries it anew


def test_the_neighbourhood_of_a_changed_nucleus_is_a_small_picture_with_it_in_the_middle(
    client: TestClient, trainer: Trainer, workplace: Workplace, tmp_path: Path
) -> None:
    rgb = np.full((200, 300, 3), (230, 220, 225), np.uint8)
    rgb[48:53, 98:103] = (120, 60, 20)
    Image.fromarray(rgb).save(tmp_path / "dot.png", dpi=(50_800, 50_800))  # 0.5 µm/px
    image = take_in(workplace, tmp_path / "dot.png", "dot").id
    gallery = (
        Change(image, 100, 50, NucleusClass.POSITIVE, None, NucleusClass.POSITIVE),
        Change(image, 0, 199, None, None, NucleusClass.OTHER),
        Change(9999, 0, 0, None, None, NucleusClass.OTHER),
    )
    run_id, _ = trainer.finish(RunState.PROMOTED, 3, gallery)

    def look(n: int) -> np.ndarray:
        answer = client.get(f"{URL}/runs/{run_id}/nuclei/{n}.png")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        return np.asarray(Image.open(BytesIO(answer.content)))

    middle, corner = look(0), look(1)
    assert middle.shape == corner.shape == (96, 96, 3)  # 48 µm at 0.5 µm/px
    brown = np.argwhere((middle == (120, 60, 20)).all(axis=2))
    assert np.abs(brown.mean(axis=0) - 47.5).max() <= 0.5
    assert (corner[80, 10] == 255).all()  # beyond the image
    assert (corner[10, 80] == (230, 220, 225)).all()
    missing = [f"{run_id}/nuclei/3", f"{run_id}/nuclei/2", f"{run_id + 1}/nuclei/0"]
    assert [client.get(f"{URL}/runs/{name}.png").status_code for name in missing] == [404] * 3


def test_steps_that_a_run_went_through_again_after_a_kill_are_shown_once() -> None:
    def progress(*steps: int) -> list[dict[str, Any]]:
        return [{"event": "progress", "step": step} for step in steps]

    evaluation = [{"event": "evaluation", "step": 20}]
    events = [*progress(10, 20), *evaluation, *progress(30, 40), {"event": "resumed"}, *progress(25, 30), *evaluation]
    assert drop_repeated(events) == [*progress(10, 20), {"event": "resumed"}, *progress(25, 30), *evaluation]


def test_a_trainer_is_there_while_it_was_heard_of_lately_and_does_not_fail(
    workplace: Workplace, trainer: Trainer
) -> None:
    def look(is_failing: Callable[[], bool]) -> dict[str, Any]:
        app = FastAPI()
        app.include_router(create_router(workplace, is_trainer_failing=is_failing))
        told: dict[str, Any] = TestClient(app).get(URL).json()["trainer"]
        return told

    for minutes, is_there in ((10, False), (0, True)):
        with session_scope(workplace.engine, write=True) as session:
            note_trainer(session, "trainer-1", "waiting", datetime.now(UTC) - timedelta(minutes=minutes))
        assert look(lambda: False)["is_there"] is is_there
    assert look(lambda: True) == {"is_there": False, "doing": "waiting", "is_failing": True}


def test_an_installation_that_does_not_learn_says_so(workplace: Workplace) -> None:
    app = FastAPI()
    app.add_exception_handler(NucleusAppError, error_to_response)
    app.include_router(create_router(replace(workplace, settings=replace(workplace.settings, trainer="off"))))
    client = TestClient(app)
    assert client.get(URL).json()["state"] == "off"
    refused = client.post(f"{URL}/start", json={})
    assert (refused.status_code, "NUCLEUS_TRAINER is off" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("activate", {"sha256": "../../etc/passwd", "reader": "x"}),
        ("activate", {"reader": "x"}),
        ("cancel", {"run": 0}),
        ("cancel", {"run": "1 OR 1"}),
        ("start", {"reader": 5}),
    ],
)
def test_what_is_no_request_is_refused_with_a_sentence(client: TestClient, what: str, body: dict[str, Any]) -> None:
    answer = client.post(f"{URL}/{what}", json=body)
    assert (answer.status_code, isinstance(answer.json()["detail"], str)) == (422, True)
    assert client.get(f"{URL}/runs/7").status_code == 404
    assert client.post(f"{URL}/cancel", json={"run": 7}).status_code == 404
