"""What the classes of another program become here: the targets there are, and a guess for each name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from nucleus_app.domain.edits import RegionLabel
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.domain.qupath import UNCLASSIFIED, Annotations
from nucleus_app.errors import InvalidAnnotations


class Target(StrEnum):
    """What the objects of one class become."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    OTHER = "other"
    TUMOUR = "tumour"
    NON_TUMOUR = "non-tumour"
    EXCLUDE = "exclude"
    REVIEWED = "reviewed"
    IGNORE = "ignore"

    @property
    def kind(self) -> NucleusClass | None:
        """The class of nuclei, None for the others."""
        return NucleusClass[self.name] if self in (Target.POSITIVE, Target.NEGATIVE, Target.OTHER) else None

    @property
    def label(self) -> RegionLabel | None:
        """The label of regions, None for the others."""
        return None if self is Target.IGNORE or self.kind is not None else RegionLabel(self.value)


@dataclass(frozen=True, slots=True)
class ClassFound:
    """A class of a file, and what it probably is here."""

    name: str
    points: int
    areas: int
    guess: Target


TUMOUR = re.compile(r"\b(tumou?rs?|cancer|carcinoma|malignant|neoplas\w*|invasive)\b")
NON_TUMOUR = re.compile(
    r"\b(non[- ]?tumou?r|stroma\w*|immune|inflammat\w*|lymph\w*|macrophage\w*|fibroblast\w*|endotheli\w*|vessels?|normal"
    r"|benign|others?|fat|muscle)\b"
)
NEVER = re.compile(
    r"\b(ignore|exclude\w*|necro\w*|artef?i?facts?|artifacts?|folds?|in[- ]situ|dcis|background|whitespace|debris)\b"
)
REVIEWED = re.compile(r"\breviewed\b")
POSITIVE = re.compile(r"\b(immuno)?pos(itive)?\b|(^|\s)[123]\+|\+$")
NEGATIVE = re.compile(r"\b(immuno)?neg(ative)?\b")


def list_classes(annotations: Annotations) -> tuple[ClassFound, ...]:
    """The classes of a file, in the order in which they occur, with how many points and areas each has."""

    def count(names: Iterable[int]) -> list[int]:
        counted: list[int] = np.bincount(np.fromiter(names, np.int64), minlength=len(annotations.names)).tolist()
        return counted

    points = count(annotations.point_names)
    areas = count(area.name for area in annotations.areas)
    drawn = count(area.name for area in annotations.areas if area.is_drawn)
    return tuple(
        ClassFound(name, p, a, guess_target(name, is_region=d > p + a - d))
        for name, p, a, d in zip(annotations.names, points, areas, drawn, strict=True)
    )


def guess_target(name: str, *, is_region: bool) -> Target:
    """What a class probably is. ``is_region``: most of its objects are drawn areas, not points or cells.

    Whatever is uncertain is ignored, so that nothing is counted that nobody asked for: tumour cells of unknown
    positivity, for one, and a class that says only where somebody worked (``Region*``).
    """
    lowered = name.lower()
    if name == UNCLASSIFIED:
        return Target.IGNORE
    if NEVER.search(lowered):
        return Target.EXCLUDE if is_region else Target.IGNORE
    if NON_TUMOUR.search(lowered):
        return Target.NON_TUMOUR if is_region else Target.OTHER
    if POSITIVE.search(lowered):
        return Target.POSITIVE
    if NEGATIVE.search(lowered):
        return Target.NEGATIVE
    if is_region and TUMOUR.search(lowered):
        return Target.TUMOUR
    if is_region and REVIEWED.search(lowered):
        return Target.REVIEWED
    return Target.IGNORE


def parse_mapping(value: object, names: tuple[str, ...]) -> dict[str, Target]:
    """JSON types as the target of every class; those that are not named are ignored. Raises InvalidAnnotations."""
    if not isinstance(value, dict):
        raise InvalidAnnotations('The mapping is no object: send {"name of a class": "target", …}.')
    mapping = dict.fromkeys(names, Target.IGNORE)
    for name, target in value.items():
        if name not in mapping:
            raise InvalidAnnotations(
                f"The file has no class {ascii(name)[:60]}: its classes are {', '.join(names)[:300]}."
            )
        if not isinstance(target, str) or target not in list(Target):
            raise InvalidAnnotations(f"There is no target {ascii(target)[:40]}: use one of {', '.join(Target)}.")
        mapping[name] = Target(target)
    if all(target is Target.IGNORE for target in mapping.values()):
        raise InvalidAnnotations("Every class is ignored: say of at least one what its objects are.")
    return mapping
