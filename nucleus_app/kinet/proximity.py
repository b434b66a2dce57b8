"""Points → proximity maps (Eq. 1) and marked maps → points, side by side so that they cannot drift apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from nucleus_app.domain.nuclei import N_CLASSES, Nuclei, NucleusClass
from nucleus_app.kinet.config import KiNetConfig, Thresholds

Maps = NDArray[np.float32]
BETWEEN = 9
"""Places looked at from one peak to another, both among them."""


def encode_points(
    xy: NDArray[np.float32],
    classes: NDArray[np.uint8],
    shape: tuple[int, int],
    config: KiNetConfig,
    n_classes: int = N_CLASSES,
) -> Maps:
    """Proximity maps (``n_classes``, H, W) in 0..1: (exp(α(1 - D/d)) - 1) / (exp(α) - 1) within d of a nucleus, else 0 (Eq. 1)."""
    height, width = shape
    d, decay = config.proximity_radius_px, config.proximity_decay
    maps = np.zeros((n_classes, height, width), np.float32)
    reach = int(np.ceil(d)) + 1
    for (x, y), kind in zip(xy.tolist(), classes.tolist(), strict=True):
        x0, x1 = max(0, int(x) - reach), min(width, int(x) + reach + 1)
        y0, y1 = max(0, int(y) - reach), min(height, int(y) + reach + 1)
        if x0 >= x1 or y0 >= y1:
            continue
        distance = np.hypot(np.arange(x0, x1) - x, np.arange(y0, y1)[:, None] - y)
        bump = np.expm1(decay * (1 - np.minimum(distance, d) / d)) / np.expm1(decay)
        patch = maps[kind, y0:y1, x0:x1]
        np.maximum(patch, bump, out=patch, casting="same_kind")
    return maps


def collect_peaks(maps: Maps, peaks: Maps, thresholds: Thresholds) -> Nuclei:
    """Nuclei, in map pixels, sub-pixel, strongest first, from smoothed maps (3, H, W) and their peaks (H, W): the ratio
    of a map to its class's threshold where that is at least 1 and a local maximum, else 0.

    A nucleus is a peak with no stronger one within ``min_distance_px``, nor one within twice that from which the maps lead
    to it without a dip; its class is the one furthest above its threshold, its score the proximity of that class.
    """
    ys, xs = np.nonzero(peaks)
    order = np.lexsort((xs, ys, -peaks[ys, xs]))
    ys, xs = ys[order], xs[order]
    kept = keep_apart(np.stack([xs, ys], axis=1).astype(np.float32), thresholds.min_distance_px)
    ys, xs = ys[kept], xs[kept]
    level = np.asarray(thresholds.per_class, np.float32)
    kept = keep_divided(maps, level, ys, xs, thresholds.min_distance_px * 2, thresholds.least_dip)
    ys, xs = ys[kept], xs[kept]
    if len(ys) == 0:
        return Nuclei.empty()
    values = maps[:, ys, xs]
    classes = np.argmax(values / level[:, None], axis=0).astype(np.uint8)
    xy = np.stack([xs + _sub_pixel(maps, level, ys, xs, 1), ys + _sub_pixel(maps, level, ys, xs, 0)], axis=1)
    scores = values[classes, np.arange(len(ys))]
    return Nuclei(xy.astype(np.float32), classes, scores, _find_rivals(values, classes, scores))


def _find_rivals(
    values: NDArray[np.float32], classes: NDArray[np.uint8], scores: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """How near the other tumour class comes, in 255ths of the score: a nucleus between positive and negative has a high one."""
    other = np.where(classes == NucleusClass.POSITIVE, values[NucleusClass.NEGATIVE], values[NucleusClass.POSITIVE])
    share = np.where(classes == NucleusClass.OTHER, 0, other / scores)
    rivals: NDArray[np.uint8] = np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)
    return rivals


def keep_apart(xy: NDArray[np.float32], min_distance_px: float) -> NDArray[np.bool_]:
    """Which points stay when, in the given order, each removes all later ones closer than the distance.

    This also resolves plateaus, where every pixel equals its neighbours' maximum.
    """
    return _keep_first(len(xy), _pair_up(xy, min_distance_px))


def keep_divided(
    maps: Maps,
    level: NDArray[np.float32],
    ys: NDArray[np.intp],
    xs: NDArray[np.intp],
    reach_px: float,
    least_dip: float,
) -> NDArray[np.bool_]:
    """Which of the peaks (N,) of maps (3, H, W) stay when, strongest first, each removes all weaker ones within reach that
    the maps, over the thresholds ``level`` (3,), lead to without falling by ``least_dip`` of the weaker: two maxima of
    one large nucleus.
    """
    pairs = _pair_up(np.stack([xs, ys], axis=1).astype(np.float32), reach_px)
    if least_dip <= 0 or len(pairs) == 0:
        return np.ones(len(ys), np.bool_)
    first, second = pairs.T
    along = np.linspace(0, 1, BETWEEN)
    y, x = (np.rint(np.outer(at[first], 1 - along) + np.outer(at[second], along)).astype(np.intp) for at in (ys, xs))
    between: NDArray[np.float32] = (maps[:, y, x] / level[:, None, None]).max(axis=0)
    return _keep_first(len(ys), pairs[between.min(axis=1) > (1 - least_dip) * between[:, -1]])


def _pair_up(xy: NDArray[np.float32], distance_px: float) -> NDArray[np.intp]:
    """Pairs (P, 2) of points that are closer than the distance, in the points' order."""
    if len(xy) < 2:
        return np.zeros((0, 2), np.intp)
    pairs: NDArray[np.intp] = cKDTree(xy).query_pairs(distance_px, output_type="ndarray")
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _keep_first(n: int, pairs: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of n stay when the first of each pair, unless it was removed itself, removes the second."""
    kept = np.ones(n, np.bool_)
    for first, second in pairs.tolist():
        if kept[first]:
            kept[second] = False
    return kept


def _sub_pixel(
    maps: Maps, level: NDArray[np.float32], ys: NDArray[np.intp], xs: NDArray[np.intp], axis: int
) -> NDArray[np.float32]:
    """Offset (-0.5..0.5) of the parabola through a peak's ratio and its two neighbours along an axis."""
    last = maps.shape[1 + axis] - 1
    at = (ys, xs)[axis]

    def ratio(along: NDArray[np.intp]) -> NDArray[np.float32]:
        values = maps[:, along, xs] if axis == 0 else maps[:, ys, along]
        highest: NDArray[np.float32] = (values / level[:, None]).max(axis=0)
        return highest

    low, high = ratio(np.maximum(at - 1, 0)), ratio(np.minimum(at + 1, last))
    curvature = 2 * ratio(at) - low - high
    offset = np.where(curvature > 0, (high - low) / np.maximum(2 * curvature, 1e-12), 0.0)
    inside = (at > 0) & (at < last)
    return np.where(inside, np.clip(offset, -0.5, 0.5), 0.0).astype(np.float32)
