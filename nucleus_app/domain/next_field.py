"""Which field is worth reviewing next: where the index is least sure, and where the image is like none reviewed so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.doubt import Swing
from nucleus_app.domain.index import MIN_TUMOUR_NUCLEI
from nucleus_app.domain.nuclei import Nuclei, NucleusClass

CROSSES = 0.25
"""What it adds to the value when the index could be on either side of a cut-off of the case's protocol."""
NOVEL = 0.5
"""What an image adds that is endlessly far from everything reviewed."""
FAMILIAR_WITHIN = 1.0
"""Standard deviations from the nearest reviewed image up to which one is nothing new."""
HALF_NOVEL_AT = 2.0
"""So many deviations further an image is worth half of ``NOVEL``."""
LEAST_TO_SAY = 1.0
"""Deviations by which a single feature must differ to be named."""

SURE = "the network is sure of it"
NOTHING_FOUND = "no tumour nucleus was found"
WORDS = {
    "brown": ("paler brown", "darker brown"),
    "brown_hue": ("redder brown", "yellower brown"),
    "brown_share": ("less brown", "more brown"),
    "blue": ("paler blue", "darker blue"),
    "blue_hue": ("purer blue", "greyer blue"),
    "ground": ("darker ground", "brighter ground"),
    "contrast": ("weaker contrast", "stronger contrast"),
    "grain": ("softer focus", "coarser grain"),
    "eosin": ("less pink", "more pink"),
    "scale": ("smaller nuclei", "larger nuclei"),
    "crowding": ("fewer nuclei", "more crowded nuclei"),
    "positive": ("fewer positive nuclei", "more positive nuclei"),
    "other": ("fewer non-tumour nuclei", "more non-tumour nuclei"),
    "doubtful": ("fewer doubtful nuclei", "more doubtful nuclei"),
}
"""Each feature, when it is lower and when it is higher than in what was reviewed."""


@dataclass(frozen=True, slots=True)
class ScoredField:
    """An image that nobody has reviewed. ``tumour``: nuclei that count; ``swing``: how far its index can go; ``cutoffs`` in percent of its case's protocol;
    ``features`` by name, those of :data:`WORDS` that are known.
    """

    image: int
    tumour: int
    swing: Swing
    cutoffs: tuple[float, ...]
    features: Mapping[str, float] = field(hash=False)


@dataclass(frozen=True, slots=True)
class RankedField:
    """``value`` from 0, the higher the sooner; ``reason`` for a pathologist."""

    image: int
    value: float
    reason: str


def describe_candidates(nuclei: Nuclei, doubtful: int, area_mm2: float) -> dict[str, float]:
    """Features of the nuclei that count: tumour nuclei per mm² as its log10, and shares."""
    counts = nuclei.counts()
    features = {"crowding": float(np.log10(1 + counts.tumour / area_mm2))}
    if counts.tumour:
        features["positive"] = counts.positive / counts.tumour
        features["doubtful"] = min(1.0, doubtful / counts.tumour)
    if len(nuclei):
        features["other"] = int(np.count_nonzero(nuclei.classes == NucleusClass.OTHER)) / len(nuclei)
    return features


def rank_fields(fields: Sequence[ScoredField], reviewed: Sequence[Mapping[str, float]]) -> list[RankedField]:
    """Fields by the value of reviewing them, highest first; equal ones by image. ``reviewed``: features of the images that
    were reviewed.

    Value: the width of what the index could be, as a fraction, and ``CROSSES`` more where that spans a cut-off, both in
    proportion where there are fewer tumour nuclei than an index needs; and ``NOVEL`` · e / (e + ``HALF_NOVEL_AT``), e the
    distance to the nearest reviewed image beyond ``FAMILIAR_WITHIN``.
    """
    ordered = sorted(fields, key=lambda one: one.image)  # sums in another order would differ in the last digit
    distances, differences = _measure_novelty([f.features for f in ordered], reviewed)
    ranked = [_value(*each) for each in zip(ordered, distances, differences, strict=True)]
    return sorted(ranked, key=lambda one: (-one.value, one.image))


def _value(scored: ScoredField, distance: float, differences: Mapping[str, float]) -> RankedField:
    swing = scored.swing
    width, crossed = 0.0, []
    if swing.low_percent is not None and swing.high_percent is not None:
        width = (swing.high_percent - swing.low_percent) / 100
        crossed = [c for c in scored.cutoffs if swing.low_percent < c < swing.high_percent]
    beyond = max(0.0, distance - FAMILIAR_WITHIN)
    novelty = NOVEL * beyond / (beyond + HALF_NOVEL_AT)
    doubt = (width + (CROSSES if crossed else 0.0)) * min(1.0, scored.tumour / MIN_TUMOUR_NUCLEI)
    said = [(doubt, _say_swing(swing, crossed))]
    if novelty:
        said.append((novelty, _say_novelty(differences)))
    # What counts most comes first; what hardly counts is not said.
    most = max(worth for worth, _ in said)
    reasons = [text for worth, text in sorted(said, key=lambda s: -s[0]) if worth >= most / 2]
    return RankedField(scored.image, doubt + novelty, "; ".join(reasons))


def _say_swing(swing: Swing, crossed: Sequence[float]) -> str:
    if swing.low_percent is None or swing.high_percent is None:
        return NOTHING_FOUND
    low, high = f"{swing.low_percent:.0f}", f"{swing.high_percent:.0f}"
    if crossed:
        digits = 0 if low != high else 1
        low, high = f"{swing.low_percent:.{digits}f}", f"{swing.high_percent:.{digits}f}"
    elif low == high:
        return SURE
    over = f", on either side of the cut-off at {' and '.join(f'{c:g}' for c in crossed)} %" if crossed else ""
    return f"the index could be anywhere from {low} to {high} %{over}"


def _say_novelty(differences: Mapping[str, float]) -> str:
    name = max(differences, key=lambda key: abs(differences[key]))
    how = WORDS[name][differences[name] > 0]
    return f"unlike anything reviewed so far{f': {how}' if abs(differences[name]) >= LEAST_TO_SAY else ''}"


def _measure_novelty(
    fields: Sequence[Mapping[str, float]], reviewed: Sequence[Mapping[str, float]]
) -> tuple[list[float], list[dict[str, float]]]:
    """Of each field the distance to the nearest reviewed image (root mean square over the features that both have, each in
    standard deviations over all images) and how its features differ from that one's. Nothing is new while nothing is
    reviewed: then there is nothing to tell apart.
    """
    nothing: dict[str, float] = {}
    if not reviewed or not fields:
        return [0.0] * len(fields), [nothing] * len(fields)
    names = list(WORDS)
    own, others = _to_table(fields, names), _to_table(reviewed, names)
    everything = np.concatenate([own, others])
    known = ~np.isnan(everything)
    counted = known.sum(axis=0).clip(1)
    mean = np.where(known, everything, 0).sum(axis=0) / counted
    spread = np.sqrt(np.where(known, (everything - mean) ** 2, 0).sum(axis=0) / counted)
    usable = spread > 1e-9
    scale = np.where(usable, spread, 1.0)
    distances, differences = [], []
    for row in own:
        apart = np.where(usable, (row - others) / scale, np.nan)
        shared = ~np.isnan(apart)
        squares = np.where(shared, apart, 0.0) ** 2
        both = shared.sum(axis=1)
        distance = np.sqrt(squares.sum(axis=1) / both.clip(1))
        distance[both == 0] = np.inf  # nothing in common says nothing
        nearest = int(np.argmin(distance))
        found = float(distance[nearest])
        distances.append(found if np.isfinite(found) else 0.0)
        differences.append({names[i]: float(apart[nearest, i]) for i in np.flatnonzero(shared[nearest])})
    return distances, differences


def _to_table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[row.get(name, np.nan) for name in names] for row in rows], np.float64).reshape(-1, len(names))
