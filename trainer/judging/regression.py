"""The regression set that ships with the app: what every network must still do, whatever a lab teaches it.

No pixels are shipped but recipes: drawn fields of many labs whose truth is known, and the same fields as yet other labs
would have stained them, on which the shipped network's own answers are the truth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.packing import pack_nuclei, unpack_nuclei
from nucleus_app.errors import InvalidImage
from nucleus_app.imaging.reader import DAMAGE, decode_png, encode_png
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from trainer.judging.judge import restain_images
from trainer.judging.remembered import Finder, Remembered, keep_file

SIDE_PX = 420
FIRST_SEED = 4100
BLUE, BLUE_RED, BLUE_GREEN = (0.65, 0.704, 0.286), (0.88, 0.43, 0.18), (0.62, 0.65, 0.44)
BROWN, BROWN_GREY, BROWN_YELLOW = (0.268, 0.57, 0.776), (0.52, 0.57, 0.63), (0.29, 0.55, 0.78)
"""Stain vectors of labs that lie far apart."""

RECIPES = (
    FieldRecipe(SIDE_PX, SIDE_PX, 0.5, 0.18, haematoxylin=BLUE, dab=BROWN),
    FieldRecipe(SIDE_PX, SIDE_PX, 0.5, 0.03, haematoxylin=BLUE_RED, dab=BROWN_YELLOW),
    FieldRecipe(SIDE_PX, SIDE_PX, 0.5, 0.65, tumour_spacing_um=9.0, haematoxylin=BLUE_GREEN, dab=BROWN),
    FieldRecipe(SIDE_PX, SIDE_PX, 0.5, 0.35, stroma_share=0.4, haematoxylin=BLUE_RED, dab=BROWN_GREY),
    FieldRecipe(SIDE_PX, SIDE_PX, 0.5, 0.25, haematoxylin=BLUE, dab=BROWN_YELLOW, haematoxylin_strength=0.7),
    FieldRecipe(SIDE_PX, SIDE_PX, 0.5, 0.5, haematoxylin=BLUE_GREEN, dab=BROWN_GREY, haematoxylin_strength=1.35),
    FieldRecipe(SIDE_PX, SIDE_PX, 0.5, 0.12, tumour_spacing_um=11.5, dab_strength=0.7),
    FieldRecipe(2 * SIDE_PX, SIDE_PX, 0.3, 0.3, tumour_spacing_um=10.5, haematoxylin=BLUE_GREEN, dab=BROWN),
)
"""Each is drawn with the seed of its place. A changed list is another regression set: name it in the changelog."""


@dataclass(frozen=True, slots=True)
class Regression:
    """``known``: images with their truth, and ``answers`` of the shipped network on them; ``distilled``: images whose truth
    is what the shipped network finds.
    """

    known: tuple[LabelledImage, ...]
    answers: tuple[Nuclei, ...]
    distilled: tuple[LabelledImage, ...]


def make_regression(base: Finder, folder: Path, recipes: Sequence[FieldRecipe] = RECIPES) -> Regression:
    """The regression set as the shipped network ``base`` sees it. What was drawn and found is kept in ``folder``."""
    known = tuple(_draw(recipe, FIRST_SEED + n, folder) for n, recipe in enumerate(recipes))
    asked = Remembered(base, folder)
    restained = restain_images(known, base.version.config.mpp, 1)
    distilled = tuple(replace(image, nuclei=asked.find(image.rgb, image.mpp)) for image in restained)
    return Regression(known, tuple(asked.find(image.rgb, image.mpp) for image in known), distilled)


def _draw(recipe: FieldRecipe, seed: int, folder: Path) -> LabelledImage:
    """A field, from the folder where it was drawn before."""
    name = f"regression_{seed}"
    digest = hashlib.sha256(f"{recipe!r} {seed}".encode()).hexdigest()[:32]
    pixels, truth = folder / f"{digest}.png", folder / f"{digest}.nuclei"
    try:
        return LabelledImage(name, decode_png(pixels.read_bytes()), recipe.mpp, unpack_nuclei(truth.read_bytes()), None)
    except (*DAMAGE, InvalidImage):
        field = draw_field(recipe, np.random.default_rng(seed), name)
    keep_file(pixels, encode_png(field.rgb))
    keep_file(truth, pack_nuclei(field.nuclei))
    return field
