"""Whether an image is one that the network knows, and what it looks like."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.doubt import is_unsure
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity, is_refused
from nucleus_app.imaging.look import describe_look
from nucleus_app.imaging.traits import judge_windows, measure_traits, spread_windows
from nucleus_app.kinet.predictor import Field, Predictor

SCALE_OFF = 0.7
"""log2 of the guessed size of nuclei over the usual one from which the pixel size is doubted (decision 0006)."""


class Observed(NamedTuple):
    """``oddities``: what is not as in the Ki67 fields that the network was taught with. ``traits``: by name, what the image
    looks like, with ``scale``, log2 of how much larger nuclei look than they should.
    """

    oddities: tuple[Oddity, ...]
    traits: dict[str, float]


def find_oddities(predictor: Predictor, field: Field) -> tuple[Oddity, ...]:
    """What of a prepared image is not as in the Ki67 fields that the network was taught with."""
    return observe(predictor, field).oddities


def find_doubts(nuclei: Nuclei, confidence: Confidence | None) -> tuple[Oddity, ...]:
    """What only the nuclei show that a network found."""
    return (Oddity.UNSURE,) if is_unsure(nuclei, confidence) else ()


def observe(predictor: Predictor, field: Field) -> Observed:
    """What is odd about a prepared image, and what it looks like."""
    windows = spread_windows(field.rgb)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # filters of numpy and scipy, which let others run
        measured = list(pool.map(measure_traits, windows))
    odd, traits = judge_windows(measured), describe_look(windows, measured)
    if is_refused(odd):
        return Observed(odd, traits)
    scale = predictor.guess_scale(field)
    if scale is None:
        return Observed(odd, traits)
    if abs(scale) > SCALE_OFF:
        odd = (*odd, Oddity.NUCLEI_TOO_LARGE if scale > 0 else Oddity.NUCLEI_TOO_SMALL)
    return Observed(odd, traits | {"scale": round(scale, 4)})
