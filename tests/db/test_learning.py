"""The contract of the learning loop's stores, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.cases import FrozenReport, add_case, add_reopening, add_sign_off
from db.engine import session_scope
from db.images import NewImage, add_image
from db.learning_cases import learn_from, list_splits
from db.runs import (
    StoredRun,
    StoredTrainer,
    add_event,
    advance_run,
    beat_run,
    cancel_run,
    count_newly_signed_fields,
    find_newest_sign_off,
    find_open_run,
    get_run,
    list_events,
    list_runs,
    list_trainers,
    note_trainer,
    request_run,
    take_run,
)
from db.versions import (
    StoredVersion,
    activate,
    add_version,
    find_active,
    find_version,
    hold_active,
    list_activations,
    list_refused,
    list_versions,
)
from nucleus_app.domain.learning import RunState, Trigger, Verdict
from nucleus_app.domain.sheet import CaseSheet, FieldPlan
from nucleus_app.domain.split import Split, assign_split
from nucleus_app.errors import LostRun, NotFound, StaleRevision

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
VERDICT = Verdict(RunState.REJECTED, "No better.", ("more misses",), 3, None, None, 0.97)
CANDIDATE = StoredVersion("c" * 64, "lab-2", "b" * 64, None, NOW, 8_000_000, {"fields": 12})


@pytest.fixture
def run_id(engine: Engine) -> int:
    return ask(engine)


def ask(engine: Engine) -> int:
    with session_scope(engine, write=True) as session:
        return request_run(session, Trigger.BUTTON, "Dr. Nagy 例", NOW, 7)


def take(engine: Engine, run_id: int, holder: str, seen_beat: int) -> StoredRun | None:
    with session_scope(engine, write=True) as session:
        return take_run(session, run_id, holder, seen_beat)


def advance(engine: Engine, run_id: int, holder: str, state: RunState, **made: object) -> StoredRun:
    with session_scope(engine, write=True) as session:
        return advance_run(session, run_id, holder, state, LATER, **made)  # type: ignore[arg-type]


def at_once(work: Callable[[int], object], n: int) -> list[object]:
    """What ``n`` threads return that begin together; errors among it."""
    gate, results = threading.Barrier(n), list[object]()

    def try_it(i: int) -> None:
        gate.wait()
        try:
            results.append(work(i))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=try_it, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_run_is_queued_as_it_was_asked_for(engine: Engine, run_id: int) -> None:
    with session_scope(engine) as session:
        run = get_run(session, run_id)
        assert find_open_run(session) == run
        assert list_runs(session, 9) == [run]
    assert run == StoredRun(
        run_id, RunState.QUEUED, Trigger.BUTTON, "Dr. Nagy 例", NOW, None, None, None, 0, 7, None, None, None, None, None,
        False, {}, None,
    )  # fmt: skip


def test_a_second_run_is_refused_until_the_first_is_over_with_what_to_do(engine: Engine, run_id: int) -> None:
    with pytest.raises(StaleRevision, match="wait until it is done, or cancel it"):
        ask(engine)
    take(engine, run_id, "a", 0)
    advance(engine, run_id, "a", RunState.NOTHING)
    again = ask(engine)
    with session_scope(engine) as session:
        assert [(run.id, run.state) for run in list_runs(session, 9)] == [
            (again, RunState.QUEUED),
            (run_id, RunState.NOTHING),
        ]
        assert [run.id for run in list_runs(session, 1)] == [again]
        assert find_open_run(session).id == again


def test_of_requests_at_the_same_moment_one_succeeds(engine: Engine) -> None:
    results = at_once(lambda _: ask(engine), 6)
    assert sorted(type(result).__name__ for result in results) == ["StaleRevision"] * 5 + ["int"]
    with session_scope(engine) as session:
        assert len(list_runs(session, 9)) == 1


def test_a_run_says_what_each_state_made_and_is_over_in_the_end(engine: Engine, run_id: int) -> None:
    take(engine, run_id, "a", 0)
    advance(engine, run_id, "a", RunState.PREPARING, device="cpu", start_sha256="b" * 64)
    advance(engine, run_id, "a", RunState.TRAINING, snapshot="s" * 64, last_sign_off=9, summary={"images": 4})
    advance(engine, run_id, "a", RunState.JUDGING, candidate_sha256="c" * 64, summary={"steps": 300})
    over = advance(engine, run_id, "a", RunState.REJECTED, verdict=VERDICT)
    with session_scope(engine) as session:
        assert get_run(session, run_id) == over
        assert find_open_run(session) is None
    assert (over.state, over.verdict, over.summary) == (RunState.REJECTED, VERDICT, {"images": 4, "steps": 300})
    assert (over.snapshot, over.start_sha256, over.candidate_sha256) == ("s" * 64, "b" * 64, "c" * 64)
    assert (over.device, over.last_sign_off, over.started, over.finished) == ("cpu", 9, LATER, LATER)


def test_what_is_over_stays_as_it_is(engine: Engine, run_id: int) -> None:
    take(engine, run_id, "a", 0)
    over = advance(engine, run_id, "a", RunState.FAILED, error="because " + "x" * 2000)
    assert len(over.error) == 1000
    assert advance(engine, run_id, "a", RunState.PROMOTED, verdict=VERDICT) == over
    assert take(engine, run_id, "a", over.beat) is None
    with session_scope(engine, write=True) as session:
        assert beat_run(session, run_id, "a") == over
        assert cancel_run(session, run_id, NOW) == over


def test_a_held_run_is_taken_over_only_when_its_beat_stands_still(engine: Engine, run_id: int) -> None:
    mine = take(engine, run_id, "a", 0)
    assert (mine.holder, mine.beat) == ("a", 1)
    assert take(engine, run_id, "b", 0) is None  # it was queued when b looked
    with session_scope(engine, write=True) as session:
        beating = beat_run(session, run_id, "a")
    assert take(engine, run_id, "b", mine.beat) is None
    again = take(engine, run_id, "a", 0)  # a was started again and goes on at once
    assert take(engine, run_id, "b", beating.beat) is None
    assert take(engine, run_id, "b", again.beat).holder == "b"


def test_a_trainer_that_slept_is_told_by_its_first_write(engine: Engine, run_id: int) -> None:
    mine = take(engine, run_id, "a", 0)
    theirs = take(engine, run_id, "b", mine.beat)
    with pytest.raises(LostRun, match="held by b, not by a"), session_scope(engine, write=True) as session:
        beat_run(session, run_id, "a")
    with pytest.raises(LostRun, match="leave it alone"):
        advance(engine, run_id, "a", RunState.TRAINING, snapshot="0" * 64)
    with session_scope(engine) as session:
        assert get_run(session, run_id) == theirs


def test_of_trainers_that_take_a_run_over_at_the_same_moment_one_gets_it(engine: Engine, run_id: int) -> None:
    results = at_once(lambda i: take(engine, run_id, f"trainer-{i}", 0), 6)
    [taken] = [result for result in results if result is not None]
    with session_scope(engine) as session:
        assert get_run(session, run_id) == taken


def test_no_beat_is_lost_between_a_holder_and_whoever_cancels(engine: Engine, run_id: int) -> None:
    take(engine, run_id, "a", 0)
    advance(engine, run_id, "a", RunState.TRAINING)

    def work(i: int) -> StoredRun:
        with session_scope(engine, write=True) as session:
            return beat_run(session, run_id, "a") if i else cancel_run(session, run_id)

    at_once(work, 6)
    with session_scope(engine) as session:
        run = get_run(session, run_id)
    assert (run.beat, run.is_cancelled, run.state) == (2 + 5, True, RunState.TRAINING)


def test_a_queued_run_is_cancelled_at_once(engine: Engine, run_id: int) -> None:
    take(engine, run_id, "a", 0)
    with session_scope(engine, write=True) as session:
        cancelled = cancel_run(session, run_id, LATER)
    assert (cancelled.state, cancelled.finished, cancelled.is_cancelled) == (RunState.CANCELLED, LATER, True)
    assert advance(engine, run_id, "a", RunState.PREPARING).state is RunState.CANCELLED
    assert ask(engine) > run_id


def test_cancelling_wins_over_anything_but_a_final_state(engine: Engine, run_id: int) -> None:
    for final in (False, True):
        take(engine, run_id, "a", 0)
        advance(engine, run_id, "a", RunState.TRAINING)
        with session_scope(engine, write=True) as session:
            assert cancel_run(session, run_id).is_cancelled
            assert beat_run(session, run_id, "a").is_cancelled  # which is how its holder learns of it
        if final:
            assert advance(engine, run_id, "a", RunState.PROMOTED).state is RunState.PROMOTED
        else:
            over = advance(engine, run_id, "a", RunState.JUDGING, candidate_sha256="c" * 64)
            assert (over.state, over.candidate_sha256, over.finished) == (RunState.CANCELLED, "c" * 64, LATER)
            run_id = ask(engine)


def test_events_come_back_in_order(engine: Engine, run_id: int) -> None:
    events = [{"event": "note", "text": "例"}, {"event": "progress", "step": 1, "loss": {"total": 1 / 3}}]
    with session_scope(engine, write=True) as session:
        for event in events:
            add_event(session, run_id, event, NOW)
    with session_scope(engine) as session:
        assert list_events(session, run_id) == events
        assert list_events(session, run_id + 1) == []
    with pytest.raises(IntegrityError), session_scope(engine, write=True) as session:
        add_event(session, 99, events[0], NOW)


def test_a_trainer_says_what_it_does_now(engine: Engine) -> None:
    for doing, now in (("waiting", NOW), ("training", LATER)):
        with session_scope(engine, write=True) as session:
            note_trainer(session, "trainer-1", doing, now)
            note_trainer(session, "trainer-2", doing * 99, NOW)
    with session_scope(engine) as session:
        assert list_trainers(session) == [
            StoredTrainer("trainer-1", "training", LATER),
            StoredTrainer("trainer-2", ("training" * 99)[:200], NOW),
        ]


def test_what_there_is_not_is_named(engine: Engine) -> None:
    for call in (get_run, cancel_run, lambda s, n: take_run(s, n, "a", 0), lambda s, n: beat_run(s, n, "a")):
        with session_scope(engine, write=True) as session, pytest.raises(NotFound, match="no training run 5"):
            call(session, 5)
    with session_scope(engine, write=True) as session, pytest.raises(NotFound, match="no version cccccccccccc"):
        activate(session, "c" * 64, "Dr. A", NOW, "chosen")


def test_a_version_is_kept_once(engine: Engine, run_id: int) -> None:
    with session_scope(engine, write=True) as session:
        add_version(session, replace(CANDIDATE, run_id=run_id))
        add_version(session, replace(CANDIDATE, name="another name"))
        add_version(session, replace(CANDIDATE, sha256="d" * 64, created=LATER, parent=None))
    with session_scope(engine) as session:
        assert find_version(session, "c" * 64) == replace(CANDIDATE, run_id=run_id)
        assert find_version(session, "e" * 64) is None
        assert [version.sha256[0] for version in list_versions(session)] == ["d", "c"]


def test_in_service_is_what_was_activated_last_and_a_refusal_points_nowhere(engine: Engine, run_id: int) -> None:
    with session_scope(engine, write=True) as session:
        assert find_active(session) is None
        for letter in "bc":
            add_version(session, replace(CANDIDATE, sha256=letter * 64))
        first = activate(session, "b" * 64, "Dr. A", NOW, "chosen")
        promoted = activate(session, "c" * 64, "trainer-1", LATER, "promoted", run_id)
        assert list_refused(session, promoted) == set()
        refused = activate(session, "c" * 64, "worker-1", LATER, "refused")
    with session_scope(engine, write=True) as session:
        assert find_active(session) == promoted
        assert (promoted.actor, promoted.reason, promoted.at, promoted.run_id) == (
            "trainer-1",
            "promoted",
            LATER,
            run_id,
        )
        assert list_refused(session, promoted) == {refused.sha256}
        assert list_activations(session) == [refused, promoted, first]
        back = activate(session, "b" * 64, "Dr. B", LATER, "chosen")
        again = activate(session, "c" * 64, "Dr. B", LATER, "chosen")
    with session_scope(engine) as session:
        assert find_active(session) == again
        assert list_refused(session, again) == set()  # of an earlier time
        assert [row.id for row in list_activations(session)][:2] == [again.id, back.id]


def test_a_promotion_never_overrides_what_a_person_chose_at_the_same_moment(engine: Engine, run_id: int) -> None:
    """As the gate does it: what was in service when it judged must still be so when it promotes."""
    with session_scope(engine, write=True) as session:
        for letter in "bcd":
            add_version(session, replace(CANDIDATE, sha256=letter * 64))
        judged = activate(session, "b" * 64, "Dr. A", NOW, "chosen")

    def write(i: int) -> object:
        with session_scope(engine, write=True) as session:
            if i == 0:
                hold_active(session)
                return activate(session, "d" * 64, "Dr. A", LATER, "chosen")
            if hold_active(session) != judged:
                return None
            time.sleep(0.05)  # long enough for the others to come between
            return activate(session, "c" * 64, f"trainer-{i}", LATER, "promoted", run_id)

    results = at_once(write, 4)
    assert not [result for result in results if isinstance(result, Exception)]
    with session_scope(engine) as session:
        reasons = [row.reason for row in reversed(list_activations(session))]
    assert reasons in (["chosen", "promoted", "chosen"], ["chosen", "chosen"])


@pytest.mark.parametrize("table", ["training_run", "training_event", "activation"])
def test_ids_that_are_cited_are_never_used_again(engine: Engine, run_id: int, table: str) -> None:
    def fill(session: Session) -> int:
        if table == "training_event":
            add_event(session, run_id, {}, NOW)
        elif table == "activation":
            add_version(session, CANDIDATE)
            activate(session, CANDIDATE.sha256, "Dr. A", NOW, "chosen")
        elif not find_open_run(session):
            request_run(session, Trigger.FIELDS, "", NOW, 0)
        return session.scalar(text(f"SELECT max(id) FROM {table}"))

    with session_scope(engine, write=True) as session:
        before = fill(session)
        session.execute(text(f"DELETE FROM {table}"))
    with session_scope(engine, write=True) as session:
        assert fill(session) > before


def sign(session: Session, *, fields: int) -> int:
    case = add_case(session, CaseSheet(fields=tuple(FieldPlan(n, n) for n in range(1, fields + 1))), NOW)
    add_sign_off(session, case.id, 1, "Dr. A", NOW, FrozenReport("f" * 64, "12.0 %", None))
    return case.id


def test_fields_count_as_new_while_their_case_is_signed_and_was_signed_since(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        assert find_newest_sign_off(session) == count_newly_signed_fields(session, 0) == 0
        first, second = sign(session, fields=3), sign(session, fields=2)
        seen = find_newest_sign_off(session)
        assert (count_newly_signed_fields(session, 0), count_newly_signed_fields(session, seen)) == (5, 0)
        sign(session, fields=4)
        add_case(session, CaseSheet(fields=(FieldPlan(1, 1),)), NOW)  # not signed
        assert count_newly_signed_fields(session, seen) == 4
        add_reopening(session, first, 2, "Dr. A", "recount", NOW)
        newest = find_newest_sign_off(session)
        assert newest == seen + 1  # a reopening is no signature
        assert count_newly_signed_fields(session, 0) == 2 + 4
        add_sign_off(session, first, 2, "Dr. A", NOW, FrozenReport("e" * 64, "13.0 %", None))
        assert count_newly_signed_fields(session, newest) == 3
        assert second not in (first, newest)


def test_cases_take_sides_in_the_order_of_their_first_signature_and_for_ever(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        ids = [add_case(session, CaseSheet(), NOW).id for _ in range(9)][::-1]
    for n, case_id in enumerate(ids[:8]):
        with session_scope(engine, write=True) as session:
            assert learn_from(session, case_id, NOW) == assign_split(n)
            assert learn_from(session, ids[0], LATER) == assign_split(0)
    with session_scope(engine) as session:
        assert list_splits(session, ids) == {case_id: assign_split(n) for n, case_id in enumerate(ids[:8])}
        assert Counter(list_splits(session).values()) == {Split.TRAIN: 4, Split.VALIDATION: 2, Split.LOCKED: 2}


def test_cases_that_are_signed_at_the_same_moment_get_places_of_their_own(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        ids = [add_case(session, CaseSheet(), NOW).id for _ in range(8)]

    def learn(i: int) -> Split:
        with session_scope(engine, write=True) as session:
            return learn_from(session, ids[i], NOW)

    splits = at_once(learn, 8)
    assert sorted(splits) == sorted(assign_split(n) for n in range(8))  # type: ignore[type-var]


def test_fields_that_the_app_drew_itself_begin_no_run(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        for n, is_synthetic in enumerate((True, False), 1):
            image = add_image(session, NewImage(str(n), "b", "", "PNG", 40, 40, None, (), is_synthetic), NOW)
            add_sign_off(session, image.case_id, 1, "Dr. A", NOW, FrozenReport(str(n) * 64, "12.0 %", None))
        assert count_newly_signed_fields(session, 0) == 1
