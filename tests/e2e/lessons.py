"""Training runs in a running app's store, as a trainer leaves them there, without training anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from db.engine import session_scope
from db.runs import add_event, advance_run, find_open_run, note_trainer, request_run, take_run
from db.versions import PROMOTED, StoredVersion, activate, add_version
from nucleus_app.domain.learning import Change, Comparison, Difference, RunState, Trigger, Verdict
from nucleus_app.services.base_version import register_base
from nucleus_app.services.workplace import Workplace

SLOT = "trainer-1"
SAID = "On 2 locked cases it gives more nuclei the right class, and nothing got worse."
LOCKED = Comparison(
    4, 900, Difference(0.8, 0.81, -0.01, 0.03), Difference(0.7, 0.75, 0.02, 0.08),
    {"positive": Difference(0.7, 0.78, 0.03, 0.13), "negative": Difference(0.75, 0.76, -0.01, 0.04), "other": Difference(0.6, 0.55, -0.09, -0.01)},
    Difference(4.0, 3.0, -2.0, -0.2), Difference(0.06, 0.06),
)  # fmt: skip


class Lessons:
    """Writes what a trainer writes, step by step."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    def find_asked(self) -> int | None:
        """The run that somebody asked for."""
        with session_scope(self._workplace.engine) as session:
            run = find_open_run(session)
        return run.id if run else None

    def take(self) -> int:
        """A trainer comes and takes the run that waits, or begins one by itself."""
        run_id, now = self.find_asked(), datetime.now(UTC)
        with session_scope(self._workplace.engine, write=True) as session:
            note_trainer(session, SLOT, "training", now)
            run_id = run_id or request_run(session, Trigger.FIELDS, "", now, 0)
            taken = take_run(session, run_id, SLOT, 0)
        assert taken is not None
        return run_id

    def reach(self, run_id: int, state: RunState, **made: Any) -> None:
        with session_scope(self._workplace.engine, write=True) as session:
            advance_run(session, run_id, SLOT, state, datetime.now(UTC), **made)

    def tell(self, run_id: int, *events: dict[str, Any]) -> None:
        with session_scope(self._workplace.engine, write=True) as session:
            for event in events:
                add_event(session, run_id, event, datetime.now(UTC))

    def finish(
        self, run_id: int, state: RunState, gallery: tuple[Change, ...] = (), reasons: tuple[str, ...] = ()
    ) -> str:
        """Keep a candidate and judge it; returns its name."""
        workplace, now, name = self._workplace, datetime.now(UTC), f"lab-{run_id}"
        content, base = f"weights of {name}".encode(), register_base(workplace).sha256
        sha256 = workplace.blobs.put(content)
        version = StoredVersion(sha256, name, base, run_id, now, len(content), {"fields": 12, "cases": 4})
        verdict = Verdict(state, SAID, reasons, 2, LOCKED, None, 0.95, gallery)
        with session_scope(workplace.engine, write=True) as session:
            add_version(session, version)
            advance_run(session, run_id, SLOT, state, now, candidate_sha256=sha256, verdict=verdict)
            if state is RunState.PROMOTED:
                activate(session, sha256, "trainer", now, PROMOTED, run_id)
        return name
