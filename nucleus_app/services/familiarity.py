"""Whether an image is one that the network knows."""

from __future__ import annotations

from nucleus_app.domain.oddities import Oddity, is_refused
from nucleus_app.imaging.traits import find_odd_traits
from nucleus_app.kinet.predictor import Field, Predictor

SCALE_OFF = 0.7
"""log2 of the guessed size of nuclei over the usual one from which the pixel size is doubted (decision 0006)."""


def find_oddities(predictor: Predictor, field: Field) -> tuple[Oddity, ...]:
    """What of a prepared image is not as in the Ki67 fields that the network was taught with."""
    odd = find_odd_traits(field.rgb)
    if is_refused(odd):
        return odd
    scale = predictor.guess_scale(field)
    if scale is not None and abs(scale) > SCALE_OFF:
        return (*odd, Oddity.NUCLEI_TOO_LARGE if scale > 0 else Oddity.NUCLEI_TOO_SMALL)
    return odd
