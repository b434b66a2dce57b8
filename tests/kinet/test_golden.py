"""The shipped weights on one synthetic field, to the last nucleus. A change here is a change of every result."""

from __future__ import annotations

import numpy as np

from nucleus_app.domain.agreement import Tally, compare_nuclei
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.predictor import Predictor


def test_a_known_field_gives_the_known_counts(shipped: Predictor) -> None:
    field = draw_field(FieldRecipe(width_px=512, height_px=512), np.random.default_rng(2019))
    agreement = compare_nuclei("golden", field.nuclei, shipped.find(field.rgb, field.mpp), 6 / field.mpp)
    assert agreement.detection == Tally(tp=636, fp=1, fn=29)
    assert agreement.of_class(NucleusClass.POSITIVE) == Tally(tp=105, fp=0, fn=1)
    assert agreement.of_class(NucleusClass.NEGATIVE) == Tally(tp=466, fp=6, fn=1)
    assert agreement.of_class(NucleusClass.OTHER) == Tally(tp=60, fp=0, fn=32)
