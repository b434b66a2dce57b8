"""A lab that corrects: labelled images as signed cases, the corrections simulated from the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.kinet.predictor import Predictor
from trainer.learning.dataset import UNKNOWN
from trainer.learning.example import Example

FIELD_UM = 300.0
"""Side of a field: 600 px at 0.5 µm/px."""
REACH_UM = 6.0


def cut_field(image: LabelledImage, field_um: float = FIELD_UM) -> LabelledImage:
    """The square of an image with the most labelled nuclei."""
    side = round(field_um / image.mpp)
    height, width = image.rgb.shape[:2]
    if height <= side and width <= side:
        return image
    xy = image.inside_labelled_area(image.nuclei).xy
    counted, _, _ = np.histogram2d(xy[:, 1], xy[:, 0], bins=(np.arange(height + 1), np.arange(width + 1)))
    sums = np.pad(counted.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = min(side, height), min(side, width)
    held = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    top, left = np.unravel_index(int(held.argmax()), held.shape)
    inside = np.all((xy >= (left, top)) & (xy < (left + columns, top + rows)), axis=1)
    nuclei = image.inside_labelled_area(image.nuclei).select(inside)
    window = (slice(top, top + rows), slice(left, left + columns))
    area = None if image.labelled_area is None else image.labelled_area[window]
    shifted = Nuclei(nuclei.xy - np.array([left, top], np.float32), nuclei.classes, nuclei.scores)
    return LabelledImage(image.name, np.ascontiguousarray(image.rgb[window]), image.mpp, shifted, area)


def correct(
    field: LabelledImage, predictor: Predictor, rng: np.random.Generator, *, share: float = 1.0, swapped: float = 0.0
) -> Example:
    """What a pathologist leaves of a field. With ``share`` 1 all of the labelled area is reviewed, and she acts where the
    network was wrong; what it found stays where it found it. With less she labels only so many nuclei, and nothing says
    that the others are none. ``swapped``: share of tumour nuclei whose class is the wrong one.
    """
    shape = field.rgb.shape[:2]
    area = np.ones(shape, np.bool_) if field.labelled_area is None else field.labelled_area
    found = field.inside_labelled_area(predictor.find(field.rgb, field.mpp))
    truth = _swap(field.nuclei, swapped, rng)
    pairs = match_points(truth.xy, found.xy, REACH_UM / field.mpp)
    by_person = np.ones(len(truth), np.bool_)
    by_person[pairs.truth] = truth.classes[pairs.truth] != found.classes[pairs.found]
    xy = truth.xy.copy()
    xy[pairs.truth] = found.xy[pairs.found]
    truth = Nuclei(xy, truth.classes, truth.scores)
    removed = np.delete(found.xy, pairs.found, axis=0)
    reviewed = area
    if share < 1.0:
        kept = np.sort(rng.permutation(len(truth))[: round(share * len(truth))])
        truth, by_person = truth.select(kept), np.ones(len(kept), np.bool_)
        removed = removed[: round(share * len(removed))]
        reviewed = np.zeros(shape, np.bool_)
    nothing = np.zeros(shape, np.bool_)
    return Example(
        field.name, 0, 0, field.rgb, field.mpp, truth, by_person, removed, np.empty((0, 2), np.float32),
        reviewed, nothing, nothing, np.full(shape, UNKNOWN, np.uint8),
    )  # fmt: skip


def _swap(nuclei: Nuclei, share: float, rng: np.random.Generator) -> Nuclei:
    classes: NDArray[np.uint8] = nuclei.classes.copy()
    tumour = np.flatnonzero(classes != NucleusClass.OTHER)
    chosen = rng.permutation(tumour)[: round(share * len(tumour))]
    classes[chosen] = 1 - classes[chosen]
    return Nuclei(nuclei.xy, classes, nuclei.scores)


def correct_all(
    fields: Sequence[LabelledImage], predictor: Predictor, seed: int, *, share: float = 1.0, swapped: float = 0.0
) -> list[Example]:
    """Each field a case of its own."""
    rng = np.random.default_rng(seed)
    corrected = [correct(field, predictor, rng, share=share, swapped=swapped) for field in fields]
    return [replace(example, case=n, image=n) for n, example in enumerate(corrected, 1)]
