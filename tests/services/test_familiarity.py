from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nucleus_app.domain.oddities import Oddity
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.backends import open_backend
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.services.familiarity import find_oddities
from trainer.base.scale_guess import collect_features, solve

RECIPE = FieldRecipe(width_px=480, height_px=480)


@pytest.fixture(scope="module")
def guessing(shipped: Predictor) -> Predictor:
    """The shipped network with a guess fitted on drawn fields."""
    fields = [(draw_field(RECIPE, np.random.default_rng(seed)).rgb, 0.5) for seed in range(4)]
    version = replace(shipped.version, scale_guess=solve(*collect_features(shipped, fields)))
    return Predictor(version, open_backend(version, "cpu", None))


@pytest.mark.parametrize(
    ("stated_mpp", "expected"),
    [(0.5, ()), (1.0, (Oddity.NUCLEI_TOO_LARGE,)), (0.25, (Oddity.NUCLEI_TOO_SMALL,))],
)
def test_a_pixel_size_that_is_off_by_two_is_noticed(
    stated_mpp: float, expected: tuple[Oddity, ...], guessing: Predictor
) -> None:
    field = draw_field(RECIPE, np.random.default_rng(99))
    assert find_oddities(guessing, guessing.prepare(field.rgb, stated_mpp)) == expected


def test_a_version_without_a_guess_doubts_no_pixel_size(shipped: Predictor) -> None:
    plain = Predictor(
        replace(shipped.version, scale_guess=type(shipped.version.scale_guess)()),
        open_backend(shipped.version, "cpu", None),
    )
    field = draw_field(RECIPE, np.random.default_rng(99))
    assert plain.guess_scale(plain.prepare(field.rgb, 1.0)) is None
