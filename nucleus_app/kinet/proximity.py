"""Points → proximity maps (Eq. 1) and maps → points, side by side so that they cannot drift apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

from nucleus_app.domain.nuclei import N_CLASSES, Nuclei
from nucleus_app.kinet.config import KiNetConfig, Thresholds

Maps = NDArray[np.float32]


def encode_points(
    xy: NDArray[np.float32], classes: NDArray[np.uint8], shape: tuple[int, int], config: KiNetConfig
) -> Maps:
    """Proximity maps (3, H, W) in 0..1: (exp(α(1 - D/d)) - 1) / (exp(α) - 1) within d of a nucleus, else 0 (Eq. 1)."""
    height, width = shape
    d, decay = config.proximity_radius_px, config.proximity_decay
    maps = np.zeros((N_CLASSES, height, width), np.float32)
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


def decode_maps(maps: Maps, thresholds: Thresholds, *, relative_xi: float | None = None) -> Nuclei:
    """Local maxima of proximity maps (3, H, W) as nuclei in map pixels, sub-pixel, strongest first.

    The maps are smoothed, then every class is measured against its own threshold; a pixel's class is the one furthest above. A nucleus is a
    maximum of that ratio, at least 1, with no stronger one within ``min_distance_px``. ``relative_xi`` reproduces
    the paper instead: everything under ξ · max(maps) is suppressed, so that an empty image still gives nuclei.
    """
    if thresholds.smoothing_px:
        maps = gaussian_filter(maps, (0, thresholds.smoothing_px, thresholds.smoothing_px), mode="constant")
    level = np.asarray(thresholds.per_class, np.float32)
    if relative_xi is not None:
        level = np.full(N_CLASSES, max(relative_xi * float(maps.max(initial=0.0)), 1e-6), np.float32)
    ratio = np.max(maps / level[:, None, None], axis=0)
    ys, xs = _find_peaks(ratio, thresholds.min_distance_px)
    if len(ys) == 0:
        return Nuclei.empty()
    values = maps[:, ys, xs]
    classes = np.argmax(values / level[:, None], axis=0).astype(np.uint8)
    xy = np.stack([xs + _sub_pixel(ratio, ys, xs, axis=1), ys + _sub_pixel(ratio, ys, xs, axis=0)], axis=1)
    return Nuclei(xy.astype(np.float32), classes, values[classes, np.arange(len(ys))])


def _find_peaks(ratio: NDArray[np.float32], min_distance_px: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of local maxima >= 1, strongest first, none within the distance of another."""
    local = (maximum_filter(ratio, size=3, mode="nearest") == ratio) & (ratio >= 1)
    ys, xs = np.nonzero(local)
    order = np.lexsort((xs, ys, -ratio[ys, xs]))
    ys, xs = ys[order], xs[order]
    kept = keep_apart(np.stack([xs, ys], axis=1).astype(np.float32), min_distance_px)
    return ys[kept], xs[kept]


def keep_apart(xy: NDArray[np.float32], min_distance_px: float) -> NDArray[np.bool_]:
    """Which points stay when, in the given order, each removes all later ones closer than the distance.

    This also resolves plateaus, where every pixel equals its neighbours' maximum.
    """
    kept = np.ones(len(xy), np.bool_)
    if len(xy) < 2:
        return kept
    pairs = cKDTree(xy).query_pairs(min_distance_px, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    for first, second in pairs.tolist():
        if kept[first]:
            kept[second] = False
    return kept


def _sub_pixel(
    ratio: NDArray[np.float32], ys: NDArray[np.intp], xs: NDArray[np.intp], axis: int
) -> NDArray[np.float32]:
    """Offset (-0.5..0.5) of the parabola through a maximum and its two neighbours along an axis."""
    last = ratio.shape[axis] - 1
    at = (ys, xs)[axis]
    before, after = np.maximum(at - 1, 0), np.minimum(at + 1, last)
    low = ratio[before, xs] if axis == 0 else ratio[ys, before]
    high = ratio[after, xs] if axis == 0 else ratio[ys, after]
    curvature = 2 * ratio[ys, xs] - low - high
    offset = np.where(curvature > 0, (high - low) / np.maximum(2 * curvature, 1e-12), 0.0)
    inside = (at > 0) & (at < last)
    return np.where(inside, np.clip(offset, -0.5, 0.5), 0.0).astype(np.float32)
