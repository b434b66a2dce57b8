"""Words of the learning loop (decision 0010): where a run stands, why it began, and what the gate found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

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


def verdict_to_mapping(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON types."""
    mapping = asdict(verdict)
    mapping["gallery"] = [list(change) for change in verdict.gallery]
    for name in ("locked", "regression"):
        comparison: Comparison | None = getattr(verdict, name)
        mapping[name] = _comparison_to_mapping(comparison) if comparison else None
    return mapping | {"state": verdict.state.value, "reasons": list(verdict.reasons)}


def parse_verdict(mapping: dict[str, Any]) -> Verdict:
    """The inverse of :func:`verdict_to_mapping`."""
    return Verdict(
        RunState(mapping["state"]),
        mapping["sentence"],
        tuple(mapping["reasons"]),
        mapping["cases"],
        _parse_comparison(mapping["locked"]),
        _parse_comparison(mapping["regression"]),
        mapping["lesson_agreement"],
        tuple(
            Change(*row[:3], *(None if c is None else NucleusClass(c) for c in row[3:])) for row in mapping["gallery"]
        ),
        mapping.get("effect", ""),  # verdicts of before it was kept
    )


def _comparison_to_mapping(comparison: Comparison) -> dict[str, Any]:
    def pair(difference: Difference | None) -> list[float | None] | None:
        return None if difference is None else list(difference)

    return {
        "images": comparison.images,
        "nuclei": comparison.nuclei,
        "detection_f1": pair(comparison.detection_f1),
        "weighted_f1": pair(comparison.weighted_f1),
        "class_f1": {slug: pair(difference) for slug, difference in comparison.class_f1.items()},
        "index_error": pair(comparison.index_error),
        "calibration": pair(comparison.calibration),
    }


def _parse_comparison(mapping: dict[str, Any] | None) -> Comparison | None:
    if mapping is None:
        return None

    def pair(values: list[Any] | None) -> Difference | None:
        return None if values is None else Difference(*values)

    return Comparison(
        mapping["images"],
        mapping["nuclei"],
        Difference(*mapping["detection_f1"]),
        Difference(*mapping["weighted_f1"]),
        {slug: Difference(*values) for slug, values in mapping["class_f1"].items()},
        pair(mapping["index_error"]),
        pair(mapping["calibration"]),
    )
