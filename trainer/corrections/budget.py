"""How much of what was said one run reads: pixels are held in memory, and signed cases only become more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from nucleus_app.domain.split import Split
from trainer.corrections.statement import Statement

MEGAPIXELS = {Split.TRAIN: 80.0, Split.VALIDATION: 32.0, Split.LOCKED: 64.0}
FEWEST_PATIENTS = {Split.TRAIN: 1, Split.VALIDATION: 1, Split.LOCKED: 2}
"""The newest image of so many patients is kept, however large it is: with fewer locked ones nothing could be decided."""
NAMES = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.LOCKED: "locked"}


def keep_newest(
    statements: Sequence[Statement], signed: Mapping[int, datetime], megapixels: Mapping[Split, float] = MEGAPIXELS
) -> tuple[list[Statement], dict[Split, int]]:
    """The statements of those images that fit, in their order, and how many images of each side do not.

    Patients come in turn, one image each, and those first whose case was signed last (``signed``, by image). An image that
    does not fit leaves room for others.
    """

    def recency(image: int) -> tuple[float, int]:
        return signed[image].timestamp() if image in signed else 0.0, image

    sizes: Counter[tuple[Split, int]] = Counter()
    patients: dict[int, int] = {}
    for s in statements:
        sizes[s.split, s.image] += s.window.width * s.window.height
        patients[s.image] = s.case
    kept: set[tuple[Split, int]] = set()
    for side in Split:
        newest = sorted((image for split, image in sizes if split is side), key=recency, reverse=True)
        always, left = min(FEWEST_PATIENTS[side], len({patients[image] for image in newest})), megapixels[side] * 1e6
        for n, image in enumerate(_in_turn(newest, patients)):
            if n < always or sizes[side, image] <= left:
                left -= sizes[side, image]
                kept.add((side, image))
    left_out = Counter(split for split, image in sizes if (split, image) not in kept)
    return [s for s in statements if (s.split, s.image) in kept], dict(left_out)


def _in_turn(images: Sequence[int], patients: Mapping[int, int]) -> list[int]:
    """Each patient's first image, in order, then each one's second, and so on."""
    seen: Counter[int] = Counter()
    rounds = []
    for place, image in enumerate(images):
        rounds.append((seen[patients[image]], place, image))
        seen[patients[image]] += 1
    return [image for _, _, image in sorted(rounds)]


def say_left_out(left_out: Mapping[Split, int]) -> str:
    """For the run's log."""
    parts = [
        f"{n} {NAMES[side]} image{'' if n == 1 else 's'} (at most {MEGAPIXELS[side]:g} megapixels)"
        for side, n in left_out.items()
    ]
    return f"Left out, so that one lesson fits into memory: {', '.join(parts)}. The cases that were signed last come first."
