"""One run of the trainer: what it leaves behind, whatever happens to it."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from db.blobs import BlobStore
from db.engine import session_scope
from db.runs import cancel_run
from db.scorings import fail_scoring, list_latest_scorings, queue_scoring
from db.versions import CHOSEN, activate, add_version, find_active, find_version, list_versions
from nucleus_app.domain.learning import RunState
from nucleus_app.domain.scale import PixelSize
from nucleus_app.domain.split import Split
from nucleus_app.errors import CheckpointError, StorageFull, TrainingDiverged
from nucleus_app.kinet.checkpoint import Version, load_version
from nucleus_app.services.training_words import say_run
from nucleus_app.services.workplace import Workplace
from tests.trainer.lessons import NOW, NewCase, add_case, add_drawn_cases
from tests.trainer.posts import PROMOTION, QUICK, FakeTuning, ask_for_run, events_of, make_bench, run_of, watch_once
from trainer import run as run_module
from trainer.corrections.snapshot import gather, parse_snapshot
from trainer.learning.tune_policy import parse_policy
from trainer.run import Bench, explain
from trainer.weights import name_next


@pytest.fixture
def bench(workplace: Workplace, tiny: Version) -> Bench:
    add_drawn_cases(workplace, 4)
    return make_bench(workplace, tiny)


Tuned = Callable[..., FakeTuning]


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> Tuned:
    def use(act: Callable[[], None] = lambda: None) -> FakeTuning:
        fake = FakeTuning(act)
        monkeypatch.setattr(run_module, "finetune", fake)
        return fake

    return use


@pytest.fixture
def promoting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "judge_candidate", lambda *_: PROMOTION)


def active_sha256(workplace: Workplace) -> str | None:
    with session_scope(workplace.engine) as session:
        active = find_active(session)
    return active.sha256 if active else None


def test_a_run_learns_keeps_its_candidate_and_says_what_is_missing_to_decide(
    workplace: Workplace, bench: Bench
) -> None:
    ask_for_run(workplace)
    watch_once(bench)
    run = run_of(workplace)
    assert run.state is RunState.UNDECIDED
    assert run.verdict.sentence.startswith("Learned from 2 fields of 2 cases. Not enough evidence")
    assert "1 more locked case" in run.verdict.sentence
    assert (run.device, run.start_sha256) == ("cpu", load_version(bench.weights.base_path).sha256)
    assert run.summary["train"]["cases"] == 2
    with session_scope(workplace.engine) as session:
        version = find_version(session, run.candidate_sha256)
    assert (version.name, version.parent, version.run_id) == ("lab-1", run.start_sha256, run.id)
    assert (version.learned["fields"], version.learned["cases"]) == (2, 2)
    assert [e["step"] for e in events_of(workplace) if e["event"] == "progress"] == [4]
    assert not bench.folder_of(run.id).exists()
    assert active_sha256(workplace) is None


def test_a_version_tells_where_it_comes_from_and_never_whose(workplace: Workplace, tiny: Version, tuned: Tuned) -> None:
    add_case(workplace, NewCase([{"op": "class", "ids": [0], "c": 1}], label="Smith, John"))
    add_drawn_cases(workplace, 3)
    tuned()
    ask_for_run(workplace)
    site = {"replay_dir": "/images/of Smith"}
    bench = make_bench(workplace, tiny, policy=asdict(QUICK) | site)
    watch_once(bench)
    run = run_of(workplace)
    notes = bench.weights.load(run.candidate_sha256).provenance.notes
    assert notes["parent_sha256"] == run.start_sha256
    assert notes["snapshot_sha256"] == run.snapshot
    assert notes["run"] == run.id
    assert parse_policy(notes["policy"]) == QUICK
    frozen = workplace.blobs.get(run.snapshot).decode().replace(site["replay_dir"], "")  # stays on this machine
    told = json.dumps([notes, events_of(workplace), run.summary, frozen])
    assert "Smith" not in told
    assert "Dr. A" not in told


@pytest.mark.usefixtures("promoting")
def test_a_promoted_candidate_is_in_service_and_the_next_run_starts_from_it(
    workplace: Workplace, bench: Bench, tuned: Tuned
) -> None:
    tuned()
    ask_for_run(workplace)
    watch_once(bench)
    first = run_of(workplace)
    assert first.state is RunState.PROMOTED
    assert active_sha256(workplace) == first.candidate_sha256
    ask_for_run(workplace)
    watch_once(bench)
    second = run_of(workplace, 2)
    assert second.start_sha256 == first.candidate_sha256
    with session_scope(workplace.engine) as session:
        assert {version.name for version in list_versions(session)} == {"tiny", "lab-1", "lab-2"}
    assert bench.weights.load(first.start_sha256).name == "tiny"  # kept, to go back to


def test_nothing_to_learn_from_is_no_failure(workplace: Workplace, tiny: Version) -> None:
    add_case(workplace, NewCase())
    ask_for_run(workplace)
    watch_once(make_bench(workplace, tiny))
    run = run_of(workplace)
    assert run.state is RunState.NOTHING
    assert "nothing to learn from" in run.error
    assert run.last_sign_off == 1  # the same signatures start no other run


def test_a_cancelled_run_ends_before_its_next_step_and_leaves_nothing(
    workplace: Workplace, bench: Bench, tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel() -> None:
        with session_scope(workplace.engine, write=True) as session:
            cancel_run(session, 1, NOW)
        pulses[0].beat()

    pulses: list[run_module.Pulse] = []
    begin = run_module.Pulse.hold
    monkeypatch.setattr(run_module.Pulse, "hold", lambda self, run: (pulses.append(self), begin(self, run))[1])
    fake = tuned(cancel)
    ask_for_run(workplace)
    watch_once(bench)
    run = run_of(workplace)
    assert run.state is RunState.CANCELLED
    assert fake.done == 2
    assert run.candidate_sha256 is None
    assert not bench.folder_of(1).exists()


@pytest.mark.usefixtures("promoting")
def test_a_run_that_was_cancelled_while_it_was_judged_is_not_promoted(
    workplace: Workplace, bench: Bench, tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(*_: object) -> object:
        with session_scope(workplace.engine, write=True) as session:
            cancel_run(session, 1, NOW)
        return PROMOTION

    monkeypatch.setattr(run_module, "judge_candidate", judge)
    tuned()
    ask_for_run(workplace)
    watch_once(bench)
    assert run_of(workplace).state is RunState.CANCELLED
    assert active_sha256(workplace) is None


def test_a_version_that_was_put_in_service_meanwhile_is_the_one_to_beat(
    workplace: Workplace, bench: Bench, tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    beaten = []

    def judge(candidate: object, incumbent: object, *_: object) -> object:
        beaten.append(incumbent.version.sha256)
        if len(beaten) == 1:
            with session_scope(workplace.engine, write=True) as session:
                activate(session, run_of(workplace).candidate_sha256, "Dr. A", NOW, CHOSEN)
        return replace(PROMOTION, state=RunState.REJECTED)

    monkeypatch.setattr(run_module, "judge_candidate", judge)
    tuned()
    ask_for_run(workplace)
    watch_once(bench)
    run = run_of(workplace)
    assert beaten == [run.start_sha256, run.candidate_sha256]
    assert run.state is RunState.REJECTED


def test_a_choice_that_a_person_made_meanwhile_is_not_overridden(
    workplace: Workplace, bench: Bench, tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    vetoes = []

    def judge(*given: object) -> object:
        vetoes.append(given[-1])
        return PROMOTION

    monkeypatch.setattr(run_module, "judge_candidate", judge)
    tuned()
    ask_for_run(workplace)
    watch_once(bench)
    base, first = run_of(workplace).start_sha256, run_of(workplace).candidate_sha256

    def go_back() -> None:
        with session_scope(workplace.engine, write=True) as session:
            activate(session, base, "Dr. A", NOW, CHOSEN)

    tuned(go_back)
    second = ask_for_run(workplace)
    watch_once(bench)
    assert run_of(workplace, second).start_sha256 == first
    assert vetoes[0] == ""
    assert "That choice stands" in vetoes[1]


def test_one_image_whose_pixels_are_lost_costs_that_image_alone(
    workplace: Workplace, bench: Bench, tuned: Tuned
) -> None:
    tuned()
    with session_scope(workplace.engine) as session:
        training = [statement for statement in gather(session) if statement.split is Split.TRAIN]
    lost = training[0]
    (workplace.settings.data_dir / "blobs" / lost.blob[:2] / lost.blob).unlink()
    ask_for_run(workplace)
    watch_once(bench)
    run = run_of(workplace)
    assert run.summary["train"]["fields"] == 1
    notes = [event["text"] for event in events_of(workplace) if event["event"] == "note"]
    assert any(f"image {lost.image}, whose pixels are missing" in text for text in notes)
    assert run.state is RunState.UNDECIDED


def test_when_all_pixels_are_lost_the_run_names_the_images(workplace: Workplace, bench: Bench, tuned: Tuned) -> None:
    tuned()
    with session_scope(workplace.engine) as session:
        training = [statement for statement in gather(session) if statement.split is Split.TRAIN]
    for lost in training:
        (workplace.settings.data_dir / "blobs" / lost.blob[:2] / lost.blob).unlink(missing_ok=True)
    ask_for_run(workplace)
    watch_once(bench)
    run = run_of(workplace)
    assert run.state is RunState.NOTHING
    assert all(str(lost.image) in say_run(run) for lost in training)
    assert "Restore them from a backup" in say_run(run)


class FullStore(BlobStore):
    """Has no room for the n-th blob from now on."""

    def __init__(self, url: str, room: int) -> None:
        super().__init__(url)
        self.room = room

    def put(self, content: bytes) -> str:
        self.room -= 1
        if self.room < 0:
            raise StorageFull("The disk is full: nothing was stored. Free some space and send the image again.")
        return super().put(content)


@pytest.mark.parametrize("room", [0, 1, 2])
@pytest.mark.usefixtures("promoting")
def test_a_full_disk_fails_the_run_and_changes_nothing(
    workplace: Workplace, bench: Bench, tuned: Tuned, room: int
) -> None:
    tuned()
    ask_for_run(workplace)
    watch_once(replace(bench, blobs=FullStore(workplace.settings.blob_store_url, room)))
    run = run_of(workplace)
    assert run.state is RunState.FAILED
    assert run.error.startswith("The disk is full: nothing was changed.")
    assert active_sha256(workplace) is None
    with session_scope(workplace.engine) as session:
        assert {version.name for version in list_versions(session)} <= {"tiny"}
    assert not bench.folder_of(1).exists()


def raising(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "The disk is full"),
        (RuntimeError("[enforce fail] unexpected pos 576 vs 534 basic_ios::clear: iostream error"), "The disk is full"),
        (TrainingDiverged("loss nan at step 3"), "went astray"),
        (CheckpointError("The checkpoint of this run is damaged."), "The checkpoint of this run is damaged."),
        (ZeroDivisionError("/home/smith/x"), "failed unexpectedly. Nothing was changed. The log"),
    ],
)
def test_whatever_goes_wrong_is_a_sentence_on_the_page(
    workplace: Workplace, bench: Bench, tuned: Tuned, error: Exception, said: str
) -> None:
    tuned(raising(error))
    ask_for_run(workplace)
    watch_once(bench)
    run = run_of(workplace)
    assert run.state is RunState.FAILED
    assert said in run.error
    assert "smith" not in explain(error)


def test_a_damaged_version_in_service_is_named_with_what_to_do(
    workplace: Workplace, bench: Bench, tuned: Tuned
) -> None:
    tuned()
    ask_for_run(workplace)
    watch_once(bench)
    candidate = run_of(workplace).candidate_sha256
    with session_scope(workplace.engine, write=True) as session:
        activate(session, candidate, "Dr. A", NOW, CHOSEN)
    (workplace.settings.data_dir / "blobs" / candidate[:2] / candidate).write_bytes(b"damaged")
    ask_for_run(workplace)
    watch_once(bench)
    run = run_of(workplace, 2)
    assert run.state is RunState.FAILED
    assert candidate[:12] in run.error
    assert "Put another version in service, then start the training again." in run.error


def test_a_damaged_checkpoint_costs_its_steps_and_is_said(workplace: Workplace, bench: Bench) -> None:
    ask_for_run(workplace)
    folder = bench.folder_of(1)
    folder.mkdir(parents=True)
    (folder / "candidate.safetensors.resume").write_bytes(b"half of one")
    watch_once(bench)
    assert run_of(workplace).candidate_sha256 is not None
    assert any("first step" in event.get("text", "") for event in events_of(workplace))
    assert not folder.exists()


def test_on_a_cpu_a_step_waits_while_images_are_scored(workplace: Workplace, bench: Bench, tuned: Tuned) -> None:
    with session_scope(workplace.engine, write=True) as session:
        scoring = queue_scoring(session, 1, PixelSize(0.5, "test"), NOW)

    def score() -> None:
        fake_steps.append(fake.done)
        with session_scope(workplace.engine, write=True) as session:
            fail_scoring(session, scoring, "enough", NOW)

    fake_steps: list[int] = []
    fake = tuned()
    timer = threading.Timer(1.5, score)
    timer.start()
    ask_for_run(workplace)
    watch_once(bench)
    timer.join()
    assert fake_steps == [0]
    assert fake.done == 3
    kinds = [e["event"] for e in events_of(workplace)]
    assert kinds[:2] == ["paused", "resumed"]
    with session_scope(workplace.engine) as session:
        assert list_latest_scorings(session, [1])[1].error == "enough"


def test_a_run_is_replayed_from_its_snapshot_alone(workplace: Workplace, bench: Bench, tuned: Tuned) -> None:
    tuned()
    ask_for_run(workplace)
    watch_once(bench)
    plan, statements = parse_snapshot(workplace.blobs.get(run_of(workplace).snapshot))
    assert (plan.name, plan.start_sha256) == ("lab-1", run_of(workplace).start_sha256)
    assert parse_policy(plan.policy) == QUICK
    assert workplace.blobs.get(plan.start_sha256)
    assert all(workplace.blobs.get(statement.blob) for statement in statements)


def test_names_of_versions_count_up_and_are_not_used_twice() -> None:
    assert name_next([]) == "lab-1"
    assert name_next(["base-3", "lab-2", "lab-10", "lab-x"]) == "lab-11"


def test_a_policy_with_unknown_names_is_refused() -> None:
    with pytest.raises(Exception, match="has stepps; known are batch"):
        parse_policy({"stepps": 3})


def test_a_candidate_is_added_once(workplace: Workplace, bench: Bench, tuned: Tuned) -> None:
    tuned()
    ask_for_run(workplace)
    watch_once(bench)
    with session_scope(workplace.engine, write=True) as session:
        version = find_version(session, run_of(workplace).candidate_sha256)
        add_version(session, version)
        assert len([v for v in list_versions(session) if v.name == "lab-1"]) == 1
