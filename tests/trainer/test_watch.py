"""The trainer at its post: when a run begins, and who holds it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from datetime import time as time_of_day
from pathlib import Path
from typing import TypeVar

import pytest

from db.engine import session_scope
from db.runs import add_event, beat_run, find_open_run, list_runs, list_trainers, take_run
from db.versions import list_versions
from nucleus_app.domain.learning import RunState, Trigger
from nucleus_app.errors import LostRun
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from tests.conftest import OpenWorkplace
from tests.trainer.lessons import NOW, NewCase, add_case, add_drawn_cases, reopen, sign
from tests.trainer.posts import (
    PROMOTION,
    FakeTuning,
    StillPulse,
    ask_for_run,
    events_of,
    make_bench,
    run_of,
    watch_once,
)
from trainer import run as run_module
from trainer.attending import Word
from trainer.holding import Watcher, name_holder, take_slot
from trainer.learning.team import Team
from trainer.post import END, MAX_RECOVERIES, WAS_STOPPED, Lookout, Post
from trainer.run import Bench
from trainer.schedule import is_allowed
from trainer.watch import choose_device

PATIENCE_S = 120
T = TypeVar("T")
NOON = time_of_day(12)
EDIT = {"op": "class", "ids": [0], "c": 1}


# When.


def look(workplace: Workplace, tiny: Version, at: time_of_day = NOON, **settings: object) -> bool:
    """Whether a trainer that looks now begins a run."""
    bench = make_bench(workplace, tiny)
    bench = replace(bench, settings=replace(bench.settings, **{"train_after_fields": 2} | settings))
    try:
        return Post(bench, threading.Event(), get_local=lambda: at).find_work() is not None
    finally:
        bench.engine.dispose()


def test_a_run_begins_by_itself_once_enough_fields_are_newly_signed(workplace: Workplace, tiny: Version) -> None:
    first, _ = add_case(workplace, NewCase([EDIT]))
    assert not look(workplace, tiny)
    unsigned, _ = add_case(workplace, NewCase([EDIT]), signed=False)
    assert not look(workplace, tiny)  # saving corrections begins nothing
    sign(workplace, unsigned)
    assert not look(workplace, tiny, train_after_fields=0)
    assert not look(workplace, tiny, time_of_day(19, 59), train_hours="20-6")
    assert look(workplace, tiny, time_of_day(5, 59), train_hours="20-6")
    with session_scope(workplace.engine) as session:
        run = find_open_run(session)
    assert (run.trigger, run.last_sign_off) == (Trigger.FIELDS, 2)
    assert run.holder == make_bench(workplace, tiny).holder
    reopen(workplace, first)


def test_the_same_signatures_begin_no_second_run(workplace: Workplace, tiny: Version, tuned: FakeTuning) -> None:
    for _ in range(2):
        add_case(workplace, NewCase([EDIT]))
    bench = make_bench(workplace, tiny)
    watch_once(replace(bench, settings=replace(bench.settings, train_after_fields=2)))
    assert not look(workplace, tiny)
    add_case(workplace, NewCase([EDIT]))
    assert not look(workplace, tiny)
    add_case(workplace, NewCase([EDIT]))
    assert look(workplace, tiny)
    with session_scope(workplace.engine) as session:
        assert len(list_runs(session, 9)) == 2


def test_the_button_begins_a_run_at_any_hour(workplace: Workplace, tiny: Version) -> None:
    ask_for_run(workplace)
    assert look(workplace, tiny, train_hours="20-6", train_after_fields=0)


def test_hours_that_end_before_they_begin_go_over_midnight() -> None:
    assert [is_allowed("20-6", time_of_day(h)) for h in (19, 20, 0, 5, 6)] == [False, True, True, True, False]
    assert [is_allowed("9-17", time_of_day(h)) for h in (8, 9, 16, 17)] == [False, True, True, False]
    assert is_allowed("", time_of_day(3))


# Who.


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> FakeTuning:
    fake = FakeTuning()
    monkeypatch.setattr(run_module, "finetune", fake)
    monkeypatch.setattr(run_module, "judge_candidate", lambda *_: PROMOTION)
    return fake


def hold(workplace: Workplace, slot: str, seen_beat: int = 0) -> None:
    with session_scope(workplace.engine, write=True) as session:
        assert take_run(session, 1, slot, seen_beat)


def beat(workplace: Workplace, slot: str) -> None:
    with session_scope(workplace.engine, write=True) as session:
        beat_run(session, 1, slot)


@pytest.mark.usefixtures("tuned")
def test_a_run_whose_beat_stands_still_for_a_minute_of_the_own_clock_is_taken_over(
    workplace: Workplace, tiny: Version
) -> None:
    add_drawn_cases(workplace, 2)
    ask_for_run(workplace)
    hold(workplace, "gone")
    now = [1000.0]
    bench = make_bench(workplace, tiny, slot="trainer-2")
    post = Post(bench, threading.Event(), Watcher(lambda: now[0]))
    for seconds in (0.0, 20.0, 40.0, 59.0):
        now[0] = 1000.0 + seconds
        assert post.find_work() is None
    beat(workplace, "gone")  # it lives after all
    for seconds in (61.0, 81.0, 101.0, 120.9):
        now[0] = 1000.0 + seconds
        assert post.find_work() is None
    now[0] = 1121.0
    assert post.find_work().holder == bench.holder
    with pytest.raises(LostRun):
        beat(workplace, "gone")


def test_who_is_started_again_in_the_same_slot_goes_on_at_once(
    workplace: Workplace, tiny: Version, tuned: FakeTuning
) -> None:
    add_drawn_cases(workplace, 2)
    ask_for_run(workplace)
    bench = make_bench(workplace, tiny)
    hold(workplace, bench.holder)
    name_holder.cache_clear()  # as in a new process
    watch_once(bench)
    assert run_of(workplace).state is RunState.PROMOTED
    assert tuned.calls == 1


def test_a_trainer_on_another_machine_in_a_slot_of_the_same_name_is_another_holder(
    workplace: Workplace, tiny: Version, tmp_path: Path
) -> None:
    ask_for_run(workplace)
    bench = make_bench(workplace, tiny)
    hold(workplace, bench.holder)
    elsewhere = replace(bench, settings=replace(bench.settings, data_dir=tmp_path / "elsewhere"))
    assert elsewhere.holder.startswith("trainer-1-")
    assert elsewhere.holder != bench.holder
    assert Post(elsewhere, threading.Event()).find_work() is None
    assert run_of(workplace).holder == bench.holder


def test_a_holder_keeps_its_name_also_when_several_ask_at_once_and_gets_another_when_it_was_damaged(
    tmp_path: Path,
) -> None:
    ask = name_holder.__wrapped__
    with ThreadPoolExecutor(8) as pool:
        (name,) = set(pool.map(lambda _: ask(tmp_path / "new", "gpu"), range(8)))
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["gpu.id"]
    (tmp_path / "new/gpu.id").write_bytes(b"\xff")
    assert ask(tmp_path / "new", "gpu") not in (name, "gpu-")


def test_who_is_told_to_stop_leaves_the_run_open_and_goes_on_later(
    workplace: Workplace, tiny: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    fake = FakeTuning(stop.set)
    monkeypatch.setattr(run_module, "finetune", fake)
    monkeypatch.setattr(run_module, "judge_candidate", lambda *_: PROMOTION)
    add_drawn_cases(workplace, 2)
    ask_for_run(workplace)
    bench = make_bench(workplace, tiny)
    watch_once(bench, stop)
    assert (run_of(workplace).state, fake.done) == (RunState.TRAINING, 2)
    assert events_of(workplace)[-1] == WAS_STOPPED
    assert bench.folder_of(1).exists()
    watch_once(bench)
    assert run_of(workplace).state is RunState.PROMOTED


def test_who_slept_is_told_by_its_first_write_and_changes_nothing(
    workplace: Workplace, tiny: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall_asleep() -> None:
        with session_scope(workplace.engine, write=True) as session:
            assert take_run(session, 1, "trainer-2", run_of(workplace).beat)

    fake = FakeTuning(fall_asleep)
    monkeypatch.setattr(run_module, "finetune", fake)
    add_drawn_cases(workplace, 2)
    ask_for_run(workplace)
    bench = make_bench(workplace, tiny)
    post = Post(bench, threading.Event())
    pulse = StillPulse(bench)
    run = post.find_work()
    pulse.hold(run)
    post.carry_on(run, pulse)
    pulse.stop()
    left = run_of(workplace)
    assert (left.state, left.holder, left.candidate_sha256) == (RunState.TRAINING, "trainer-2", None)
    assert bench.folder_of(1).exists()  # the other may be on this machine, and need it


def test_a_pulse_tells_of_a_lost_run_a_cancelled_one_and_what_the_trainer_does(
    workplace: Workplace, tiny: Version
) -> None:
    ask_for_run(workplace)
    bench = make_bench(workplace, tiny)
    run = Post(bench, threading.Event()).find_work()
    pulse = StillPulse(bench)
    pulse.doing = "training, step 3 of 9"
    pulse.hold(run)
    pulse.beat()
    assert run_of(workplace).beat == run.beat + 1
    assert not pulse.check()
    with session_scope(workplace.engine, write=True) as session:
        assert [t.doing for t in list_trainers(session)] == ["training, step 3 of 9"]
        take_run(session, 1, "trainer-2", run.beat + 1)
    pulse.beat()
    with pytest.raises(LostRun):
        pulse.check()
    lookout = Lookout(bench, 1, pulse, threading.Event())
    assert lookout() is Word.LOST
    pulse.stop()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_run_that_was_left_paused_says_that_it_goes_on_after_a_restart(
    workplace: Workplace, tiny: Version, device: str
) -> None:
    ask_for_run(workplace)
    bench = make_bench(workplace, tiny, device=device)
    pulse = StillPulse(bench)
    hold(workplace, bench.holder)
    with session_scope(workplace.engine, write=True) as session:
        add_event(session, 1, {"event": "paused"}, NOW)
    for _ in range(2):  # only once
        assert Lookout(bench, 1, pulse, threading.Event())() is Word.GO
    pulse.stop()
    assert events_of(workplace) == [{"event": "paused"}, {"event": "resumed"}]


class ListeningTeam(Team):
    """Notes what the lead shares."""

    def __init__(self) -> None:
        super().__init__(0, 1)
        self.heard: list[object] = []

    def share(self, value: T) -> T:
        self.heard.append(value)
        return value


def test_a_lead_says_that_it_leaves_only_when_nobody_waits_in_the_middle_of_a_step(
    workplace: Workplace, tiny: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = ListeningTeam()
    watch_once(make_bench(workplace, tiny, team=team))
    assert team.heard == [END]
    team.heard.clear()

    def fail(self: Post) -> None:
        raise RuntimeError("a step went wrong")

    monkeypatch.setattr(Post, "find_work", fail)
    with pytest.raises(RuntimeError):
        watch_once(make_bench(workplace, tiny, team=team))
    assert team.heard == []


@pytest.fixture
def shared(database_url: str, settings: Settings, open_at: OpenWorkplace) -> Workplace:
    return open_at(settings, database_url=database_url)


def test_two_trainers_on_one_database_train_once(shared: Workplace, tiny: Version, tuned: FakeTuning) -> None:
    add_drawn_cases(shared, 2)
    ask_for_run(shared)
    benches = [make_bench(shared, tiny, slot=f"trainer-{n}") for n in (1, 2)]
    threads = [threading.Thread(target=watch_once, args=(bench,)) for bench in benches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE_S)
    assert tuned.calls == 1
    assert run_of(shared).state is RunState.PROMOTED
    with session_scope(shared.engine) as session:
        assert sorted(version.name for version in list_versions(session)) == ["lab-1", "tiny"]


def test_a_second_process_in_the_same_slot_waits_for_the_first(settings: Settings) -> None:
    first = take_slot(settings, threading.Event())
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert take_slot(settings, stop) is None
    first.close()
    assert take_slot(settings, threading.Event()) is not None


def test_a_run_that_takes_its_trainer_down_is_not_tried_for_ever(
    workplace: Workplace, tiny: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(run_module, "gather", die)
    add_drawn_cases(workplace, 2)
    ask_for_run(workplace)
    for _ in range(MAX_RECOVERIES + 1):
        with pytest.raises(SystemExit):
            watch_once(make_bench(workplace, tiny))
    assert run_of(workplace).state is RunState.PREPARING
    watch_once(make_bench(workplace, tiny))
    assert run_of(workplace).state is RunState.FAILED
    assert "too little memory" in run_of(workplace).error


def test_steps_that_were_taken_before_are_no_progress(
    workplace: Workplace, tiny: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise SystemExit

    monkeypatch.setattr(run_module, "finetune", FakeTuning(die))
    add_drawn_cases(workplace, 2)
    ask_for_run(workplace)
    for _ in range(MAX_RECOVERIES + 1):
        with pytest.raises(SystemExit):
            watch_once(make_bench(workplace, tiny))
    watch_once(make_bench(workplace, tiny))
    assert run_of(workplace).state is RunState.FAILED


def test_a_trainer_that_lost_its_run_writes_nothing_into_it(
    workplace: Workplace, tiny: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose() -> None:
        hold(workplace, "other", run_of(workplace).beat)

    monkeypatch.setattr(run_module, "finetune", FakeTuning(lose))
    add_drawn_cases(workplace, 2)
    ask_for_run(workplace)
    bench = make_bench(workplace, tiny)
    taken = Post(bench, threading.Event()).find_work()
    Post(bench, threading.Event()).carry_on(taken, StillPulse(bench))
    assert [e["step"] for e in events_of(workplace) if e["event"] == "progress"] == [1, 2]
    assert run_of(workplace).holder == "other"


def test_the_device_is_as_asked_or_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("torch-cpu", Team.alone()) == "cpu"
    monkeypatch.setattr("trainer.watch.has_card", lambda: True)
    assert (choose_device("", Team.alone()), choose_device("mps", Team.alone())) == ("cuda", "mps")
    monkeypatch.setattr("trainer.watch.has_card", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert choose_device("", Team.alone()) == "cpu"


def test_clocks_that_jump_decide_nothing(workplace: Workplace, tiny: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    ask_for_run(workplace)
    hold(workplace, "other")
    bench: Bench = make_bench(workplace, tiny, slot="trainer-2")
    post = Post(bench, threading.Event(), Watcher(lambda: 5.0))
    for year in (1971, 2090):
        monkeypatch.setattr("trainer.post._now", lambda year=year: datetime(year, 1, 1, tzinfo=UTC))
        monkeypatch.setattr("time.time", lambda year=year: datetime(year, 1, 1, tzinfo=UTC).timestamp())
        assert post.find_work() is None
