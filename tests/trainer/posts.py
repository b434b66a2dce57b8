"""Trainers at their post in tests: tiny networks, few steps, no regression set."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from db.engine import create_store, session_scope
from db.runs import StoredRun, get_run, list_events, request_run
from nucleus_app.domain.learning import RunState, Trigger, Verdict
from nucleus_app.kinet.checkpoint import Version, load_version, write_version
from nucleus_app.kinet.config import Provenance
from nucleus_app.services.workplace import Workplace
from tests.trainer.lessons import NOW
from trainer.holding import Pulse
from trainer.learning.team import Team
from trainer.learning.tune_policy import TunePolicy
from trainer.post import Post
from trainer.run import Bench

QUICK = TunePolicy(steps=4, batch=2, crop_px=64, replay=(), frozen_stages=0)
PROMOTION = Verdict(RunState.PROMOTED, "Learned from 2 fields of 2 cases; better.", (), 2, None, None, 1.0)


def write_base(folder: Path, tiny: Version) -> Version:
    """The tiny network as the weights that an installation begins with."""
    folder.mkdir(parents=True, exist_ok=True)
    write_version(folder / "tiny.safetensors", tiny)
    return load_version(folder / "tiny.safetensors")


def make_bench(workplace: Workplace, tiny: Version, *, slot: str = "trainer-1", **changes: Any) -> Bench:
    write_base(workplace.settings.data_dir, tiny)
    settings = replace(
        workplace.settings,
        weights=str(workplace.settings.data_dir / "tiny.safetensors"),
        trainer_slot=slot,
        device="torch-cpu",
    )
    bench = Bench(
        settings, create_store(settings.sqlalchemy_url), workplace.blobs, asdict(QUICK), "cpu", Team.alone(), ()
    )
    return replace(bench, **changes)


def ask_for_run(workplace: Workplace) -> int:
    with session_scope(workplace.engine, write=True) as session:
        return request_run(session, Trigger.BUTTON, "Dr. A", NOW, 0)


def run_of(workplace: Workplace, run_id: int = 1) -> StoredRun:
    with session_scope(workplace.engine) as session:
        return get_run(session, run_id)


def events_of(workplace: Workplace, run_id: int = 1) -> list[dict[str, Any]]:
    with session_scope(workplace.engine) as session:
        return list_events(session, run_id)


def watch_once(bench: Bench, stop: threading.Event | None = None) -> None:
    try:
        Post(bench, stop or threading.Event()).watch(once=True)
    finally:
        bench.engine.dispose()


class FakeTuning:
    """Stands in for the fine-tuning: asks before each step, does ``act`` in the second, gives back its start, renamed."""

    def __init__(self, act: Callable[[], None] = lambda: None, steps: int = 3) -> None:
        self.act = act
        self.steps = steps
        self.calls = 0
        self.done = 0

    def __call__(
        self,
        start: Version,
        training: Any,
        validation: Any,
        policy: TunePolicy,
        out: Path,
        provenance: Provenance,
        *,
        device: str,
        team: Team,
        report: Callable[[dict[str, Any]], None],
        attend: Callable[[], None],
    ) -> Version:
        self.calls += 1
        for step in range(1, self.steps + 1):
            attend()
            report({"event": "progress", "step": step, "of": self.steps, "loss": {"total": 1.0}, "seconds_left": 0})
            self.done += 1
            if step == 2:
                self.act()
        write_version(out, replace(start, provenance=provenance))
        return load_version(out)


class StillPulse(Pulse):
    """One that beats only when a test says so."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.engine, bench.holder)

    def _beat_on(self) -> None:
        """Not by itself: a beat begun before the test's own would be written after it."""
