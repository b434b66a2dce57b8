"""How much of what was said one run reads: pixels are held in memory, and signed cases only become more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from nucleus_app.domain.split import Split
from trainer.corrections.statement import Statement

MEGAPIXELS = {Split.TRAIN: 60.0, Split.VALIDATION: 30.0, Split.LOCKED: 30.0}
NAMES = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.LOCKED: "locked"}


def keep_newest(
    statements: Sequence[Statement], signed: Mapping[int, datetime], megapixels: Mapping[Split, float] = MEGAPIXELS
) -> tuple[list[Statement], dict[Split, int]]:
    """The statements of those images that fit, in their order, and how many images of each side do not.

    Those come first whose case was signed last (``signed``, by image). One that does not fit leaves room for others; where
    none would fit, the first is kept all the same.
    """

    def recency(image: int) -> tuple[float, int]:
        return signed[image].timestamp() if image in signed else 0.0, image

    sizes: Counter[tuple[Split, int]] = Counter()
    for s in statements:
        sizes[s.split, s.image] += s.window.width * s.window.height
    kept: set[tuple[Split, int]] = set()
    for side in Split:
        ordered = sorted((image for split, image in sizes if split is side), key=recency, reverse=True)
        left = megapixels[side] * 1e6
        chosen = []
        for image in ordered:
            if sizes[side, image] <= left:
                left -= sizes[side, image]
                chosen.append(image)
        kept |= {(side, image) for image in chosen or ordered[:1]}
    left_out = Counter(split for split, image in sizes if (split, image) not in kept)
    return [s for s in statements if (s.split, s.image) in kept], dict(left_out)


def say_left_out(left_out: Mapping[Split, int]) -> str:
    """For the run's log."""
    parts = [
        f"{n} {NAMES[side]} image{'' if n == 1 else 's'} (at most {MEGAPIXELS[side]:g} megapixels)"
        for side, n in left_out.items()
    ]
    return f"Left out, so that one lesson fits into memory: {', '.join(parts)}. The cases that were signed last come first."
