"""Words of the learning loop (decision 0010): where a run stands, why it began, and what the gate found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from nucleus_app.domain.nuclei import NucleusClass


class RunState(StrEnum):
    """Where a training run stands."""

    QUEUED = "queued"
    PREPARING = "preparing"
    TRAINING = "training"
    JUDGING = "judging"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    """Not enough evidence."""
    NOTHING = "nothing"
    """There was nothing to learn from."""
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        return self in OPEN


OPEN = (RunState.QUEUED, RunState.PREPARING, RunState.TRAINING, RunState.JUDGING)


class Trigger(StrEnum):
    """Why a run began."""

    FIELDS = "fields"
    BUTTON = "button"


class Difference(NamedTuple):
    """A number before and after, and the 90 % interval of the difference by a paired bootstrap; None where it has none."""

    before: float
    after: float
    low: float | None = None
    high: float | None = None

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """The version in service and the candidate on the same images. F1 from 0 to 1, index error in percentage points,
    calibration as the mean gap between confidence and truth. ``class_f1`` by the class's slug.
    """

    images: int
    nuclei: int
    detection_f1: Difference
    weighted_f1: Difference
    class_f1: dict[str, Difference]
    index_error: Difference | None
    calibration: Difference | None


class Change(NamedTuple):
    """A nucleus of a locked case that is newly right or newly wrong. Classes are None where there is no nucleus."""

    image: int
    x: float
    y: float
    truth: NucleusClass | None
    before: NucleusClass | None
    after: NucleusClass | None

    @property
    def is_right(self) -> bool:
        return self.after == self.truth


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decided. ``sentence`` is for a pathologist; ``reasons`` hold what spoke against the candidate. ``effect``
    says how it differs from the version that it was compared with, whatever was decided.
    """

    state: RunState
    sentence: str
    reasons: tuple[str, ...]
    cases: int
    locked: Comparison | None
    regression: Comparison | None
    lesson_agreement: float | None
    gallery: tuple[Change, ...] = ()
    effect: str = ""


_VERDICT = TypeAdapter(Verdict)


def verdict_to_mapping(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON types."""
    mapping: dict[str, Any] = _VERDICT.dump_python(verdict, mode="json")
    return mapping


def parse_verdict(mapping: dict[str, Any]) -> Verdict:
    """The inverse of :func:`verdict_to_mapping`; also of verdicts of before ``effect`` was kept."""
    return _VERDICT.validate_python(mapping)
