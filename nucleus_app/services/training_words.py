"""What a training run and a version are called before a pathologist: one sentence each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.runs import StoredRun
from db.versions import StoredVersion
from nucleus_app.domain.learning import RunState, Verdict
from nucleus_app.domain.line import count_of

SHIPPED = "Shipped with the app; it has not learned from your cases yet."
GIVEN = "The weights that this installation was given (NUCLEUS_WEIGHTS); they have not learned from your cases yet."
UNDER_WAY = {
    RunState.QUEUED: "Waits for the trainer.",
    RunState.PREPARING: "Collects what the signed cases say.",
    RunState.TRAINING: "Learns from the signed cases.",
    RunState.JUDGING: "Is judged on the locked cases.",
}
OVER = {
    RunState.PROMOTED: "Put in service.",
    RunState.REJECTED: "Not put in service.",
    RunState.UNDECIDED: "Not enough evidence to put it in service.",
    RunState.NOTHING: "There was nothing to learn from.",
    RunState.FAILED: "Failed. The log of the trainer has the details.",
    RunState.CANCELLED: "Cancelled before it was done.",
}
CANCELLING = "Is being stopped."


def say_run(run: StoredRun) -> str:
    """What became of a run, or what it does."""
    if run.verdict is not None and run.verdict.sentence:
        return run.verdict.sentence
    if run.state is RunState.FAILED and run.error:
        return f"Failed: {run.error}"
    if run.state is RunState.NOTHING and run.error:
        return run.error
    if run.state.is_open:
        return CANCELLING if run.is_cancelled else UNDER_WAY[run.state]
    return OVER[run.state]


def say_origin(version: StoredVersion, run: StoredRun | None, *, is_shipped: bool) -> str:
    """From what a version learned, and what that did."""
    if run is not None and run.verdict is not None and run.verdict.sentence:
        return _say_made(version, run.verdict)
    if run is not None and run.state.is_open:
        return f"{_say_learned(version.learned) or 'Learned from signed cases'}. It is still being judged."
    if run is None and version.parent is None:
        return SHIPPED if is_shipped else GIVEN
    learned = _say_learned(version.learned)
    return f"{learned}." if learned else ""


def _say_made(version: StoredVersion, verdict: Verdict) -> str:
    """What the version is, not what was decided then: somebody may have put a rejected one in service since."""
    learned = _say_learned(version.learned)
    if not learned or (not verdict.effect and verdict.state is RunState.PROMOTED):
        return verdict.sentence
    return f"{learned}; {verdict.effect}." if verdict.effect else f"{learned}."


def say_service(sentence: str, since: datetime | None) -> str:
    """A version's sentence with the day since when it is in service."""
    if since is None:
        return sentence
    return "; ".join(part for part in (sentence.rstrip(". "), f"in service since {say_day(since)}") if part) + "."


def say_refused(name: str, at: datetime) -> str:
    return (
        f"{name} was to be in service since {say_day(at)}, but its file cannot be opened, so this one goes on scoring. "
        "The log of the worker has the reason; restore the file from a backup, or choose a version."
    )


def say_day(at: datetime) -> str:
    return f"{at.day} {at:%b %Y}"


def _say_learned(learned: dict[str, Any]) -> str:
    fields, cases = learned.get("fields"), learned.get("cases")
    if not isinstance(fields, int) or not isinstance(cases, int):
        return ""
    return f"Learned from {count_of(fields, 'field')} of {count_of(cases, 'case')}"
