"""A trainer at its post: looks for a run, asks for one when it is due, takes it, and carries it on."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import time as time_of_day
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from db.engine import session_scope
from db.runs import (
    StoredRun,
    add_event,
    beat_run,
    count_newly_signed_fields,
    find_newest_sign_off,
    find_open_run,
    list_events,
    list_runs,
    request_run,
    take_run,
)
from db.scorings import count_open_scorings
from nucleus_app.domain.learning import RunState, Trigger
from nucleus_app.errors import LostRun, StaleRevision, StorageFull, TrainingDiverged
from trainer.attending import Attendance, Cancelled, Stopped, Word
from trainer.holding import Pulse, Watcher
from trainer.run import SEE_LOG, Bench, Runner, Task, explain, train_together
from trainer.schedule import is_due

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 2.0
RETRY_S = 10.0
PAUSE_CHECK_S = 1.0
MAX_RECOVERIES = 5
"""A run that takes its trainer down with it is not tried for ever."""
GOES_ON = {"event": "note", "text": "The trainer goes on with this run."}
IS_BACK = {"event": "note", "text": "The database was away; the run goes on."}
WAS_STOPPED = {"event": "note", "text": "The trainer was stopped; the run goes on when it is there again."}
GIVEN_UP = f"The trainer ended {MAX_RECOVERIES + 1} times without getting any further, and gave up. Is there too little memory? {SEE_LOG}"
END = "end"
"""What a lead shares when it leaves; None when there is nothing to do; else a :class:`Task`."""
T = TypeVar("T")


class Post:
    """The lead's watch over a store."""

    def __init__(
        self,
        bench: Bench,
        stop: threading.Event,
        watcher: Watcher | None = None,
        get_local: Callable[[], time_of_day] = lambda: datetime.now().astimezone().time(),
    ) -> None:
        self._bench = bench
        self._stop = stop
        self._watcher = watcher or Watcher()
        self._get_local = get_local
        self._interrupted: int | None = None
        """The run that this process was at when the database went away."""

    def watch(self, *, once: bool = False) -> None:
        """Until stopped; with ``once`` until there is nothing (more) to do."""
        pulse = Pulse(self._bench.engine, self._bench.holder)
        try:
            self._try(self._sweep)
            while not self._stop.is_set():
                run = self._try(self.find_work)
                if run is not None:
                    self._try_to_carry_on(run, pulse)
                elif once:
                    break
                else:
                    self._bench.team.share(None)
                    self._stop.wait(LOOK_EVERY_S)
            self._bench.team.share(END)  # not after an error: the others may be in the middle of a step
        finally:
            pulse.stop()

    def find_work(self) -> StoredRun | None:
        """The open run, now held; None where there is none, or another trainer is at it."""
        bench = self._bench
        with session_scope(bench.engine) as session:
            run = find_open_run(session)
        if run is None:
            self._request_if_due()
            with session_scope(bench.engine) as session:
                run = find_open_run(session)
        if run is None or (run.holder != bench.holder and not self._watcher.is_abandoned(run)):
            return None
        with bench.writing() as session:
            taken = take_run(session, run.id, bench.holder, run.beat)
            if taken is not None and taken.state is not RunState.QUEUED:
                add_event(session, run.id, IS_BACK if run.id == self._interrupted else GOES_ON, _now())
        return taken

    def _request_if_due(self) -> None:
        with session_scope(self._bench.engine) as session:
            latest = list_runs(session, 1)
            newly = count_newly_signed_fields(session, latest[0].last_sign_off if latest else 0)
        if not is_due(self._bench.settings, newly, self._get_local()):
            return
        try:
            with self._bench.writing() as session:
                request_run(session, Trigger.FIELDS, "", _now(), find_newest_sign_off(session))
        except StaleRevision:  # another trainer, or the button, was first
            return

    def _try_to_carry_on(self, run: StoredRun, pulse: Pulse) -> None:
        pulse.hold(run)
        try:
            self._try(lambda: self.carry_on(run, pulse))
        finally:
            pulse.hold(None)
            pulse.doing = "waiting"

    def carry_on(self, run: StoredRun, pulse: Pulse) -> None:
        """Take a run that is held to its end, or as far as it goes."""
        lookout = Lookout(self._bench, run.id, pulse, self._stop)
        runner = Runner(self._bench, pulse, Attendance(lookout, self._stop.wait))
        try:
            if self._count_recoveries(run) > MAX_RECOVERIES:
                self._close(runner, run, RunState.FAILED, GIVEN_UP)
            else:
                runner.finish(run)
        except Stopped:
            with self._bench.writing() as session:
                add_event(session, run.id, WAS_STOPPED, _now())
        except LostRun:
            logger.warning("training run %d went to another trainer", run.id)
        except Cancelled:
            self._close(runner, run, RunState.CANCELLED)
        except DBAPIError:
            self._interrupted = run.id
            raise
        except Exception as error:
            logger.exception("training run %d failed", run.id)
            self._close(runner, run, RunState.FAILED, explain(error))
            if self._bench.team.size > 1:
                raise  # the others may wait in the middle of a step for ever: whoever started the team starts it again

    def _close(self, runner: Runner, run: StoredRun, state: RunState, error: str | None = None) -> None:
        """Even where a full disk has no room for that: then as soon as it has."""
        while not self._stop.is_set():
            try:
                runner.end(run, state, error)
            except StorageFull:
                runner.forget(run)  # perhaps that is room enough
                self._stop.wait(RETRY_S)
            except LostRun:
                return
            else:
                return

    def _count_recoveries(self, run: StoredRun) -> int:
        """How often it was taken up since it last got further than ever before, or was stopped by somebody."""
        with session_scope(self._bench.engine) as session:
            events = list_events(session, run.id)
        count, furthest = 0, 0
        for event in events:
            step = event.get("step", 0) if event.get("event") == "progress" else 0
            if event in (WAS_STOPPED, IS_BACK) or step > furthest:
                count, furthest = 0, max(step, furthest)
            count += event == GOES_ON
        return count

    def _sweep(self) -> None:
        """Remove what runs left behind that ended elsewhere."""
        with session_scope(self._bench.engine) as session:
            run = find_open_run(session)
        kept = self._bench.folder_of(run.id) if run else None
        for folder in self._bench.settings.training_dir.glob("run-*"):
            if folder != kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _try(self, work: Callable[[], T]) -> T | None:
        """The database may be away for a while: then wait, and look again."""
        try:
            return work()
        except (DBAPIError, StorageFull) as error:
            logger.warning("the trainer waits: %s", type(error).__name__)
            self._stop.wait(RETRY_S)
            return None


class Lookout:
    """What a lead says before a step: on a CPU scoring comes first."""

    def __init__(
        self,
        bench: Bench,
        run_id: int,
        pulse: Pulse,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bench = bench
        self._run_id = run_id
        self._pulse = pulse
        self._stop = stop
        self._clock = clock
        self._looked = float("-inf")
        self._is_paused = self._was_left_paused()

    def __call__(self) -> Word:
        try:
            if self._pulse.check():
                return Word.CANCEL
        except LostRun:
            return Word.LOST
        if self._stop.is_set():
            return Word.STOP
        must_look = self._bench.device == "cpu" or self._is_paused
        if must_look and self._clock() - self._looked >= PAUSE_CHECK_S:
            self._looked = self._clock()
            try:
                self._look_for_scorings()
            except LostRun:
                return Word.LOST
            except (DBAPIError, StorageFull) as error:  # what it was last goes on, in every process of a team
                logger.warning("the trainer cannot see whether images wait: %s", type(error).__name__)
        return Word.WAIT if self._is_paused else Word.GO

    def _look_for_scorings(self) -> None:
        with session_scope(self._bench.engine) as session:
            must_wait = self._bench.device == "cpu" and count_open_scorings(session) > 0
        if must_wait != self._is_paused:
            with self._bench.writing() as session:
                beat_run(session, self._run_id, self._bench.holder)
                add_event(session, self._run_id, {"event": "paused" if must_wait else "resumed"}, _now())
            self._is_paused = must_wait

    def _was_left_paused(self) -> bool:
        """Whether a trainer before was stopped, or fell, while this run was paused."""
        with session_scope(self._bench.engine) as session:
            kinds = [event.get("event") for event in list_events(session, self._run_id)]
        return next((kind == "paused" for kind in reversed(kinds) if kind in ("paused", "resumed")), False)


def follow(bench: Bench) -> None:
    """What the others of a team do: train when the lead says so, until it leaves. They stop where it does."""
    order: Task | str | None = None
    while order != END:
        order = bench.team.share(order)
        if isinstance(order, Task):
            try:
                train_together(bench, order, lambda event: None, lambda: None)
            except (Stopped, Cancelled, LostRun, TrainingDiverged):
                continue


def _now() -> datetime:
    return datetime.now(UTC)
