"""Examples for tests: synthetic fields as a person would have left them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from trainer.learning.dataset import UNKNOWN
from trainer.learning.example import Example, Points

NO_POINTS: Points = np.empty((0, 2), np.float32)


def make_example(seed: int = 0, size: int = 160, *, mpp: float = 0.5, name: str = "", reviewed: bool = True) -> Example:
    """A synthetic field whose nuclei are all there, none of them by a person; reviewed everywhere or nowhere."""
    field = draw_field(FieldRecipe(size, size, mpp), np.random.default_rng(seed), name or f"case{seed}_1")
    nothing = np.zeros((size, size), np.bool_)
    return Example(
        field.name, seed + 1, seed + 1, field.rgb, mpp, field.nuclei, np.zeros(len(field.nuclei), np.bool_),
        NO_POINTS, NO_POINTS, nothing | reviewed, nothing, nothing, np.full((size, size), UNKNOWN, np.uint8),
    )  # fmt: skip


def by_person(example: Example, at: list[int]) -> Example:
    """The same, with these nuclei a person's."""
    marked = example.by_person.copy()
    marked[at] = True
    return replace(example, by_person=marked)
