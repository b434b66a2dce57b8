"""The training page: what was learned, what is in service, and the three things a person can do about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from db.engine import session_scope
from db.patients import count_patients, mark_standing
from db.runs import (
    StoredRun,
    StoredTrainer,
    add_event,
    cancel_run,
    count_newly_signed_fields,
    find_newest_sign_off,
    find_open_run,
    get_run,
    list_events,
    list_runs,
    list_trainers,
    request_run,
)
from db.versions import (
    CHOSEN,
    StoredActivation,
    StoredVersion,
    activate,
    hold_active,
    list_activations,
    list_refused,
)
from nucleus_app.domain.learning import Trigger, verdict_to_mapping
from nucleus_app.domain.line import to_line
from nucleus_app.errors import CheckpointError, InvalidCase, NotFound, StaleRevision
from nucleus_app.services.base_version import BaseFinder
from nucleus_app.services.lineage import InService, find_in_service, list_with_base
from nucleus_app.services.submissions import MAX_READER
from nucleus_app.services.training_words import say_origin, say_refused, say_run, say_service
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings

Mapping = dict[str, Any]
LISTED = 200
THERE_FOR = timedelta(minutes=2)
"""A trainer is there when it said something within so long. For the page only: who holds a run is decided without clocks."""
OFF = "This installation does not learn (NUCLEUS_TRAINER is off): ask whoever runs it to switch that on."


@dataclass(frozen=True, slots=True)
class _Look:
    """All that the database says of learning at one moment."""

    runs: list[StoredRun]
    open_run: StoredRun | None
    events: list[Mapping]
    trainers: list[StoredTrainer]
    versions: list[StoredVersion]
    made_by: dict[int, StoredRun]
    in_service: InService | None
    activations: list[StoredActivation]
    signed_fields: int
    sides: dict[str, int]


class TrainingDesk:
    """Reads and steers the learning loop for pages. Never imports torch."""

    def __init__(self, workplace: Workplace, is_trainer_failing: Callable[[], bool] = lambda: False) -> None:
        self._workplace = workplace
        self._is_trainer_failing = is_trainer_failing
        self._base = BaseFinder(workplace)
        self._sides: tuple[tuple[int, int], dict[str, int]] | None = None

    def read(self, now: datetime | None = None) -> Mapping:
        """The training page as JSON types (decision 0010)."""
        with session_scope(self._workplace.engine) as session:
            look = self._look(session)
        settings = self._workplace.settings
        run = _run_to_mapping(look.open_run, look.events) if look.open_run else None
        return {
            "state": _find_state(settings, look),
            "trainer": self._trainer_to_mapping(look, now or datetime.now(UTC)),
            "rule": {
                "after_fields": settings.train_after_fields,
                "hours": settings.train_hours or None,
                "signed_fields": look.signed_fields,
                "sides": look.sides,
            },
            "run": run,
            "in_service": self._service_to_mapping(look),
            "versions": [self._version_to_mapping(version, look) for version in look.versions],
            "activations": [_activation_to_mapping(row) for row in look.activations],
            "runs": [_line(run) for run in look.runs],
            "disk_bytes": sum(version.size_bytes for version in look.versions)
            + _measure(settings.training_dir)
            + _measure(settings.networks_dir),
        }

    def read_run(self, run_id: int) -> Mapping:
        """One run with its events and its verdict. Raises NotFound."""
        with session_scope(self._workplace.engine) as session:
            run = get_run(session, run_id)
            events = list_events(session, run_id)
        return {
            **_line(run),
            **_run_to_mapping(run, events),
            "requested_by": run.requested_by,
            "error": run.error,
            "summary": run.summary,
            "verdict": verdict_to_mapping(run.verdict) if run.verdict else None,
            "events": drop_repeated(events),
        }

    def start(self, reader: str) -> int:
        """Ask for a run; returns its id. Raises StaleRevision while one is open, and where nothing is ever learned."""
        if self._workplace.settings.trainer == "off":
            raise StaleRevision(OFF)
        with session_scope(self._workplace.engine, write=True) as session:
            newest = find_newest_sign_off(session)
            return request_run(session, Trigger.BUTTON, to_line(reader, MAX_READER), datetime.now(UTC), newest)

    def cancel(self, run_id: int, reader: str) -> None:
        """Have a run stop. Raises NotFound; StaleRevision for one that is over."""
        now, name = datetime.now(UTC), to_line(reader, MAX_READER)
        with session_scope(self._workplace.engine, write=True) as session:
            if not get_run(session, run_id).state.is_open:
                raise StaleRevision(f"Training run {run_id} is over: there is nothing to cancel.")
            cancel_run(session, run_id, now)
            by = f" by {name}" if name else ""
            add_event(session, run_id, {"event": "note", "text": f"Asked to stop{by}."}, now)

    def activate(self, sha256: str, reader: str) -> None:
        """Put a version in service for the next scorings; one that is in service already stays so.

        Raises NotFound for an unknown one, InvalidCase without a name, CheckpointError where its file is lost or damaged.
        """
        name = to_line(reader, MAX_READER)
        if not name:
            raise InvalidCase("Putting a version in service needs a name: give yours in the field Reader.")
        self._base.keep(sha256)
        with session_scope(self._workplace.engine, write=True) as session:
            active = hold_active(session)
            if active is None or active.sha256 != sha256 or active.sha256 in list_refused(session, active):
                activate(session, sha256, name, datetime.now(UTC), CHOSEN)
                self._check_file(sha256)

    def _check_file(self, sha256: str) -> None:
        try:
            self._workplace.blobs.get(sha256)
        except NotFound as error:
            raise CheckpointError(
                f"The file of version {sha256[:12]} is missing or damaged: restore the data folder from a backup."
            ) from error

    def _look(self, session: Session) -> _Look:
        runs, open_run = list_runs(session, LISTED), find_open_run(session)
        ended = next((run for run in runs if not run.state.is_open), None)
        base = self._base.find()
        versions, made_by = list_with_base(session, base), {run.id: run for run in runs}
        for run_id in {version.run_id for version in versions if version.run_id} - set(made_by):
            made_by[run_id] = get_run(session, run_id)
        return _Look(
            runs,
            open_run,
            list_events(session, open_run.id) if open_run else [],
            list_trainers(session),
            versions,
            made_by,
            find_in_service(session, base),
            list_activations(session)[:LISTED],
            count_newly_signed_fields(session, ended.last_sign_off if ended else 0),
            self._count_sides(session),
        )

    def _count_sides(self, session: Session) -> dict[str, int]:
        """Patients on each side; counted anew only when somebody signed or changed a case."""
        mark = mark_standing(session)
        if self._sides is None or self._sides[0] != mark:
            self._sides = mark, {split.value: n for split, n in count_patients(session).items()}
        return self._sides[1]

    def _trainer_to_mapping(self, look: _Look, now: datetime) -> Mapping:
        # By the least distance, not the latest: a clock may have been wrong.
        latest = min(look.trainers, key=lambda trainer: abs(now - trainer.at), default=None)
        is_there = latest is not None and abs(now - latest.at) < THERE_FOR
        is_failing = self._is_trainer_failing()
        return {
            "is_there": is_there and not is_failing,
            "doing": latest.doing if latest and is_there else "",
            "is_failing": is_failing,
        }

    def _service_to_mapping(self, look: _Look) -> Mapping | None:
        service = look.in_service
        if service is None:
            return None
        sentence = self._say_origin(service.version, look)
        if service.refused is not None:
            names = {version.sha256: version.name for version in look.versions}
            wanted = names.get(service.refused.sha256, service.refused.sha256[:12])
            sentence = f"{sentence} {say_refused(wanted, service.refused.at)}".strip()
        return {
            "sha256": service.version.sha256,
            "name": service.version.name,
            "since": service.since.isoformat(timespec="seconds") if service.since else None,
            "sentence": sentence,
        }

    def _version_to_mapping(self, version: StoredVersion, look: _Look) -> Mapping:
        service = look.in_service
        is_active = service is not None and service.version.sha256 == version.sha256
        sentence = self._say_origin(version, look)
        run = _find_run(look, version)
        return {
            "sha256": version.sha256,
            "name": version.name,
            "parent": version.parent,
            "created": version.created.isoformat(timespec="seconds"),
            "run_id": version.run_id,
            "is_active": is_active,
            "state": run.state.value if run else "shipped",
            "sentence": say_service(sentence, service.since) if service and is_active else sentence,
        }

    def _say_origin(self, version: StoredVersion, look: _Look) -> str:
        return say_origin(version, _find_run(look, version), is_shipped=not self._workplace.settings.weights)


def drop_repeated(events: list[Mapping]) -> list[Mapping]:
    """Events without the steps that a run, gone on from a checkpoint, went through again."""
    kept: list[Mapping] = []
    for event in events:
        kind, step = event.get("event"), event.get("step")
        if kind in ("progress", "evaluation") and isinstance(step, int):
            kept = [other for other in kept if other.get("event") != kind or other.get("step", -1) < step]
        kept.append(event)
    return kept


def _find_state(settings: Settings, look: _Look) -> str:
    if look.open_run is None:
        return "off" if settings.trainer == "off" else "idle"
    stops = [event["event"] for event in look.events if event.get("event") in ("paused", "resumed")]
    return "paused" if stops and stops[-1] == "paused" else look.open_run.state.value


def _find_run(look: _Look, version: StoredVersion) -> StoredRun | None:
    return look.made_by[version.run_id] if version.run_id else None


def _run_to_mapping(run: StoredRun, events: list[Mapping]) -> Mapping:
    last = next((event for event in reversed(events) if event.get("event") == "progress"), {})
    return {
        "id": run.id,
        "state": run.state.value,
        "trigger": run.trigger.value,
        "step": last.get("step"),
        "of": last.get("of"),
        "seconds_left": last.get("seconds_left") if run.state.is_open else None,
        "device": run.device,
        "can_cancel": run.state.is_open and not run.is_cancelled,
    }


def _line(run: StoredRun) -> Mapping:
    return {
        "id": run.id,
        "state": run.state.value,
        "sentence": say_run(run),
        "started": run.started.isoformat(timespec="seconds") if run.started else None,
        "finished": run.finished.isoformat(timespec="seconds") if run.finished else None,
    }


def _activation_to_mapping(row: StoredActivation) -> Mapping:
    at = row.at.isoformat(timespec="seconds")
    return {"sha256": row.sha256, "actor": row.actor, "reason": row.reason, "at": at}


def _measure(folder: Path) -> int:
    """Bytes of the files in a folder; a trainer may be removing some."""
    total = 0
    for root, _, names in os.walk(folder):  # which passes over folders that vanish meanwhile
        for name in names:
            with suppress(OSError):
                total += (Path(root) / name).stat().st_size
    return total
