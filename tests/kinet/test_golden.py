"""The shipped weights on one synthetic field, to the last nucleus. A change here is a change of every result."""

from __future__ import annotations

import numpy as np
import pytest

from nucleus_app.domain.agreement import Tally, compare_nuclei
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.predictor import Predictor


def test_a_known_field_gives_the_known_counts(shipped: Predictor) -> None:
    field = draw_field(FieldRecipe(width_px=512, height_px=512), np.random.default_rng(2019))
    agreement = compare_nuclei("golden", field.nuclei, shipped.find(field.rgb, field.mpp), 6 / field.mpp)
    assert agreement.detection == Tally(tp=653, fp=0, fn=12)
    assert agreement.of_class(NucleusClass.POSITIVE) == Tally(tp=105, fp=0, fn=1)
    assert agreement.of_class(NucleusClass.NEGATIVE) == Tally(tp=465, fp=2, fn=2)
    assert agreement.of_class(NucleusClass.OTHER) == Tally(tp=81, fp=0, fn=11)


@pytest.mark.parametrize(("haematoxylin", "dab", "stray"), [(2, 5, (0.15, 0.15, 0.25)), (1.6, 8, (0.15, 0.15, 0.25))])
def test_positive_nuclei_that_a_scanner_shows_black_are_positive(
    shipped: Predictor, haematoxylin: float, dab: float, stray: tuple[float, float, float]
) -> None:
    recipe = FieldRecipe(width_px=512, height_px=512, haematoxylin_strength=haematoxylin, dab_strength=dab)
    field = draw_field(recipe, np.random.default_rng(2019))
    lit = np.array(stray) + (1 - np.array(stray)) * (field.rgb / 255)  # the darkest are a bluish black
    found = shipped.find((255 * lit).round().astype(np.uint8), field.mpp)
    agreement = compare_nuclei("black", field.nuclei, found, 6 / field.mpp)
    assert agreement.of_class(NucleusClass.POSITIVE).f1 > 0.92
    assert agreement.of_class(NucleusClass.NEGATIVE).f1 > 0.95
