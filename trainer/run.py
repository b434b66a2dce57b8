"""One run, as a table of contents: prepare, train, judge. Each phase may run twice, and ends with one transaction."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.blobs import BlobStore
from db.engine import session_scope
from db.runs import StoredRun, add_event, advance_run, beat_run, find_newest_sign_off
from db.versions import CHOSEN, PROMOTED, StoredVersion, activate, add_version, find_active, hold_active, list_versions
from nucleus_app.domain.learning import RunState
from nucleus_app.domain.split import Split
from nucleus_app.errors import LostRun, NucleusAppError, TrainingDiverged, is_disk_full
from nucleus_app.imaging.synthetic import FieldRecipe
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version, load_version
from nucleus_app.kinet.config import Provenance
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.settings import Settings
from trainer.attending import AttendedFinder
from trainer.corrections.budget import keep_newest, say_left_out
from trainer.corrections.snapshot import (
    Plan,
    count_silent,
    find_lost,
    freeze,
    gather,
    list_signed_images,
    read_snapshot,
    say_lost,
)
from trainer.corrections.statement import Statement
from trainer.holding import Pulse, name_holder
from trainer.judging.gate import judge_candidate
from trainer.judging.regression import RECIPES, make_regression
from trainer.judging.remembered import Finder, Lazy, Remembered
from trainer.learning.finetune import finetune
from trainer.learning.team import Team
from trainer.learning.tune_policy import hide_paths, parse_policy, policy_for
from trainer.weights import Weights, name_next

logger = logging.getLogger(__name__)
SEE_LOG = "The log of the trainer has the details."
DIVERGED = (
    "The training went astray: its losses were no numbers any more. Nothing was changed. Start it again; if that "
    "happens again, look for corrections that contradict what is seen."
)
CHOSEN_MEANWHILE = (
    "While this lesson ran, somebody put another version in service than the one it started from. That choice stands: put "
    "this one in service by hand if you want it."
)
NOTHING = "There is nothing to learn from yet: no signed case that trains has a correction, or an area marked as reviewed, tumour or non-tumour."


@dataclass(frozen=True, slots=True)
class Bench:
    """What a run is made with. ``policy``: what of the training policy is set; ``device``: torch's name of where it trains."""

    settings: Settings
    engine: Engine
    blobs: BlobStore
    policy: Mapping[str, Any]
    device: str
    team: Team
    recipes: Sequence[FieldRecipe] = RECIPES

    @property
    def holder(self) -> str:
        """The trainer's name as the one who holds a run."""
        return name_holder(self.settings.data_dir.resolve(), self.settings.trainer_slot)

    @property
    def weights(self) -> Weights:
        return Weights(self.settings, self.blobs)

    def folder_of(self, run_id: int) -> Path:
        """What a run keeps on this machine while it is open."""
        return self.settings.training_dir / f"run-{run_id}"

    def writing(self) -> AbstractContextManager[Session]:
        return session_scope(self.engine, write=True)


@dataclass(frozen=True, slots=True)
class Task:
    """What every process of a team needs to train."""

    run_id: int
    snapshot: str
    queued: datetime
    out: Path


class Runner:
    """Takes one run from phase to phase. ``attend`` is asked before every step and image, and may raise."""

    def __init__(self, bench: Bench, pulse: Pulse, attend: Callable[[], None]) -> None:
        self._bench = bench
        self._pulse = pulse
        self._attend = attend
        self._phases: Mapping[RunState, Callable[[StoredRun], StoredRun]] = {
            RunState.QUEUED: self._begin,
            RunState.PREPARING: self._prepare,
            RunState.TRAINING: self._train,
            RunState.JUDGING: self._judge,
        }

    def finish(self, run: StoredRun) -> StoredRun:
        """Go on until the run is over. Raises what ``attend`` raises, LostRun, and whatever goes wrong."""
        while run.state.is_open:
            self._pulse.doing = run.state.value
            run = self._phases[run.state](run)
            logger.info("training run %d: %s", run.id, run.state.value)
        self.forget(run)
        return run

    def end(self, run: StoredRun, state: RunState, error: str | None = None) -> StoredRun:
        """Close a run without a verdict."""
        with self._bench.writing() as session:
            run = self._advance(session, run, state, error=error)
        self.forget(run)
        return run

    def forget(self, run: StoredRun) -> None:
        shutil.rmtree(self._bench.folder_of(run.id), ignore_errors=True)

    def _advance(self, session: Session, run: StoredRun, state: RunState, **made: Any) -> StoredRun:
        return advance_run(session, run.id, self._bench.holder, state, _now(), **made)

    def _begin(self, run: StoredRun) -> StoredRun:
        device = self._bench.device.split(":")[0]
        named = f"{self._bench.team.size} × {device}" if self._bench.team.size > 1 else device
        with self._bench.writing() as session:
            return self._advance(session, run, RunState.PREPARING, device=named)

    def _prepare(self, run: StoredRun) -> StoredRun:
        """Freeze what is said now, and keep the version that one starts from."""
        bench = self._bench
        with session_scope(bench.engine) as session:
            newest = find_newest_sign_off(session)
            gathered = gather(session)
            signed = list_signed_images(session)
            silent = count_silent(session, gathered)
            active = find_active(session)
            name = name_next(version.name for version in list_versions(session))
        statements, left_out = keep_newest(gathered, signed)
        lost: set[int] = set()
        while newly := find_lost(statements, bench.blobs):  # others take their place
            lost |= newly
            statements, left_out = keep_newest([s for s in gathered if s.image not in lost], signed)
        summary = summarise_statements(statements) | {"silent": silent}
        if left_out:
            summary["left_out"] = {side.value: n for side, n in left_out.items()}
        if not any(statement.split is Split.TRAIN for statement in statements):
            with bench.writing() as session:
                error = f"{NOTHING} {say_lost(lost)}" if lost else NOTHING
                made = {"summary": summary, "last_sign_off": newest, "error": error}
                return self._advance(session, run, RunState.NOTHING, **made)
        start = bench.weights.load(active.sha256) if active else self._keep_base()
        taught = summary[Split.TRAIN.value]
        policy = policy_for(taught["fields"], taught["cases"], bench.policy)
        plan = Plan(run.id, name, start.sha256, asdict(policy))
        snapshot = bench.blobs.put(freeze(statements, plan))
        with bench.writing() as session:
            notes = say_left_out(left_out) if left_out else "", say_lost(lost) if lost else ""
            for text in filter(None, notes):
                add_event(session, run.id, {"event": "note", "text": text}, _now())
            return self._advance(
                session, run, RunState.TRAINING, snapshot=snapshot, start_sha256=start.sha256, summary=summary,
                last_sign_off=newest,
            )  # fmt: skip

    def _keep_base(self) -> Version:
        """So that the run can be replayed, and one can go back, even after an upgrade that ships other weights."""
        base = self._bench.weights.load_base()
        content = self._bench.weights.base_path.read_bytes()
        self._bench.blobs.put(content)
        with self._bench.writing() as session:
            made = base.provenance.made
            add_version(session, StoredVersion(base.sha256, base.name[:100], None, None, made, len(content), {}))
        return base

    def _train(self, run: StoredRun) -> StoredRun:
        """Make the candidate, or find it made: its file is there once it is whole."""
        bench = self._bench
        folder, snapshot = bench.folder_of(run.id), str(run.snapshot)
        task = Task(run.id, snapshot, run.queued, folder / "candidate.safetensors")
        if not task.out.is_file():
            bench.team.share(task)
            train_together(bench, task, self._report(run), self._attend)
        candidate, content = load_version(task.out), task.out.read_bytes()
        digest = bench.blobs.put(content)
        learned = run.summary.get(Split.TRAIN.value, {}) | {"snapshot": snapshot}
        stored = StoredVersion(digest, candidate.name, run.start_sha256, run.id, _now(), len(content), learned)
        with bench.writing() as session:
            run = self._advance(session, run, RunState.JUDGING, candidate_sha256=digest)
            if run.state is RunState.JUDGING:
                add_version(session, stored)
        return run

    def _report(self, run: StoredRun) -> Callable[[dict[str, Any]], None]:
        def report(event: dict[str, Any]) -> None:
            if event.get("event") == "progress":
                self._pulse.doing = f"training, step {event['step']} of {event['of']}"
            try:
                with self._bench.writing() as session:
                    beat_run(session, run.id, self._bench.holder)  # another trainer's run is not written into
                    add_event(session, run.id, event, _now())
            except (DBAPIError, LostRun) as error:
                if isinstance(error, LostRun) and self._bench.team.size == 1:
                    raise
                # Only the lead reports: it must not leave a step that the others are in, and is asked again before the next.
                logger.warning("training run %d cannot tell how it goes: %s", run.id, type(error).__name__)

        return report

    def _judge(self, run: StoredRun) -> StoredRun:
        """Both versions are loaded from their own files. One that was put in service meanwhile is the one to compare with."""
        bench = self._bench
        with session_scope(bench.engine) as session:
            active = find_active(session)
        weights = bench.weights
        incumbent = weights.load(active.sha256) if active else weights.load_base()
        candidate = weights.load(str(run.candidate_sha256))
        examples = read_snapshot(bench.blobs.get(str(run.snapshot)), bench.blobs, (Split.TRAIN, Split.LOCKED))
        answers = bench.settings.answers_dir
        known = Remembered(self._open(incumbent, cached=True), answers)
        regression = make_regression(self._open(load_version(SHIPPED_WEIGHTS), cached=True), answers, bench.recipes)
        finder = self._open(candidate, cached=False)
        is_chosen = active is not None and active.reason == CHOSEN and active.sha256 != run.start_sha256
        verdict = judge_candidate(
            finder, known, examples.locked, examples.training, regression, run.summary.get("silent", 0),
            CHOSEN_MEANWHILE if is_chosen else "",
        )  # fmt: skip
        with bench.writing() as session:
            run = beat_run(session, run.id, bench.holder)
            if run.is_cancelled or hold_active(session) != active:
                return self._advance(session, run, RunState.CANCELLED) if run.is_cancelled else run
            run = self._advance(session, run, verdict.state, verdict=verdict)
            if run.state is RunState.PROMOTED:
                activate(session, candidate.sha256, bench.settings.trainer_slot, _now(), PROMOTED, run.id)
        return run

    def _open(self, version: Version, *, cached: bool) -> Finder:
        """As the worker opens it, asking before every image. A candidate's graph is not kept: most are never served."""
        settings = self._bench.settings
        cache = settings.networks_dir if cached else None

        def open_version(version: Version) -> Finder:
            return Predictor.open(version, settings.device or None, cache=cache, threads=settings.threads)

        return AttendedFinder(Lazy(version, open_version), self._attend)


def train_together(
    bench: Bench, task: Task, report: Callable[[dict[str, Any]], None], attend: Callable[[], None]
) -> Version:
    """The part of a run that every process of a team does."""
    snapshot = read_snapshot(bench.blobs.get(task.snapshot), bench.blobs, (Split.TRAIN, Split.VALIDATION))
    start = bench.weights.load(snapshot.start_sha256)
    task.out.parent.mkdir(parents=True, exist_ok=True)
    return finetune(
        start, snapshot.training, snapshot.validation, parse_policy(snapshot.policy), task.out,
        describe_origin(start, snapshot.plan, task), device=bench.device, team=bench.team, report=report, attend=attend,
    )  # fmt: skip


def describe_origin(start: Version, plan: Plan, task: Task) -> Provenance:
    """Where the weights of a run come from: never who or whose, and nothing that differs when the run is replayed."""
    trained_on = tuple(dict.fromkeys((*start.provenance.trained_on, "corrections")))
    notes = {
        "parent_sha256": plan.start_sha256, "snapshot_sha256": task.snapshot, "run": plan.run, "policy": hide_paths(plan.policy),
    }  # fmt: skip
    return Provenance(plan.name, trained_on, task.queued.isoformat(timespec="seconds"), notes)


def summarise_statements(statements: Sequence[Statement]) -> dict[str, Any]:
    """How much a run learns from, and how much it is judged with."""

    def count(side: Split) -> dict[str, int]:
        own = [statement for statement in statements if statement.split is side]
        return {
            "cases": len({statement.case for statement in own}),
            "fields": len({statement.image for statement in own}),
            "nuclei": sum(len(statement.nuclei) for statement in own),
            "corrections": sum(int(s.by_person.sum()) + len(s.removed) for s in own),
        }

    return {side.value: count(side) for side in Split}


def explain(error: Exception) -> str:
    """Why a run failed, for the page."""
    if isinstance(error, TrainingDiverged):
        return DIVERGED
    if is_disk_full(error):
        return "The disk is full: nothing was changed. Free some space, then start the training again."
    if isinstance(error, NucleusAppError):
        return str(error)
    return f"The training failed unexpectedly. Nothing was changed. {SEE_LOG}"


def _now() -> datetime:
    return datetime.now(UTC)
