"""Who holds a run: a trainer's name, its beat, and when another may take over (decision 0010). No wall clock decides."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import IO
from uuid import uuid4

from sqlalchemy import Engine

from db.engine import session_scope
from db.runs import StoredRun, beat_run, note_trainer
from nucleus_app.errors import LostRun
from nucleus_app.settings import Settings

logger = logging.getLogger(__name__)
BEAT_EVERY_S = 3.0
LOST_AFTER_S = 60.0
"""A beat that stood still for so long is that of a trainer that is gone."""
LONGEST_GAP_S = 20.0
"""Between two looks: longer, and the beat may have stood still because nobody could reach the database."""
SLOT_EVERY_S = 1.0


def take_slot(settings: Settings, stop: threading.Event) -> IO[bytes] | None:
    """Hold this machine's lock of the trainer slot for as long as the process lives; wait while another holds it. None when
    stopped meanwhile.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    lock = (settings.data_dir / f"{settings.trainer_slot}.lock").open("wb")
    is_told = False
    while not stop.is_set():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not is_told:
                logger.warning("another trainer holds slot %s; waiting for it to end", settings.trainer_slot)
            is_told = True
            stop.wait(SLOT_EVERY_S)
        else:
            return lock
    return None


@cache
def name_holder(data_dir: Path, slot: str) -> str:
    """What a trainer is called as the holder of a run: its slot, and an id that its data folder keeps. So the one that is
    started again on this machine is the same, and one on another machine in a slot of the same name is another.
    """
    file = data_dir / f"{slot}.id"
    if not _read_id(file):
        data_dir.mkdir(parents=True, exist_ok=True)
        if file.exists() and not _read_id(file):  # damaged
            file.unlink(missing_ok=True)
        partial = data_dir / f"{slot}.id.{uuid4().hex}"
        partial.write_text(uuid4().hex[:8])
        with suppress(FileExistsError):  # another process of the team was first
            os.link(partial, file)
        partial.unlink()
    return f"{slot}-{_read_id(file)}"


def _read_id(file: Path) -> str:
    text = file.read_text("utf-8", "replace") if file.exists() else ""
    return text if re.fullmatch(r"[0-9a-f]{8}", text) else ""


class Watcher:
    """Sees whether another trainer's run is abandoned: its beat stood still for a while of one's own monotonic clock. After a
    time without looks, as when the database was away for both, the while begins anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, lost_after_s: float = LOST_AFTER_S) -> None:
        self._clock = clock
        self._lost_after_s = lost_after_s
        self._seen: tuple[int, str | None, int] | None = None
        self._since = self._looked = 0.0

    def is_abandoned(self, run: StoredRun) -> bool:
        """Whether the run's beat was the same at every look for long enough. Nobody's run is."""
        if run.holder is None:
            return True
        seen, now = (run.id, run.holder, run.beat), self._clock()
        if seen != self._seen or now - self._looked > LONGEST_GAP_S:
            self._seen, self._since = seen, now
        self._looked = now
        return now - self._since >= self._lost_after_s


class Pulse:
    """Says every few seconds that this trainer lives, in a thread with its own sessions, whatever the others do."""

    def __init__(self, engine: Engine, holder: str) -> None:
        self._engine = engine
        self._holder = holder
        self._lock = threading.Lock()
        self._run: StoredRun | None = None
        self._is_lost = False
        self.doing = "waiting"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="trainer-pulse", daemon=True)
        self._thread.start()

    def hold(self, run: StoredRun | None) -> None:
        """Beat for this run from now on; None: for none."""
        with self._lock:
            self._run, self._is_lost = run, False

    def check(self) -> bool:
        """Whether the run that is held was cancelled. Raises LostRun once another trainer holds it."""
        with self._lock:
            if self._is_lost:
                raise LostRun("Another trainer goes on with this training run: this one leaves it alone.")
            return self._run is not None and self._run.is_cancelled

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)

    def _beat_on(self) -> None:
        while True:
            try:
                self.beat()
            except Exception as error:  # the database may be away for a while; who lost the run is told when it is back
                logger.warning("the trainer cannot say that it lives: %s", type(error).__name__)
            if self._stopping.wait(BEAT_EVERY_S):
                return

    def beat(self) -> None:
        """Once."""
        with self._lock:
            run, doing = self._run, self.doing
        try:
            with session_scope(self._engine, write=True) as session:
                note_trainer(session, self._holder, doing, datetime.now(UTC))
                beaten = beat_run(session, run.id, self._holder) if run else None
        except LostRun:
            beaten = None
        with self._lock:
            if self._run is run and run is not None:
                self._run, self._is_lost = beaten or run, beaten is None
