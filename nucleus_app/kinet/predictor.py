"""Image → nuclei: scale, tile, run the network, find peaks. One call a tile, so that a caller can show progress,
stop, or resume.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.nuclei import N_CLASSES, Nuclei
from nucleus_app.kinet.backends import Backend, MarkedMaps, choose_device, open_backend
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.preprocess import Rgb, Scaling, scale_image
from nucleus_app.kinet.proximity import Maps, collect_peaks, keep_apart
from nucleus_app.kinet.tiling import Tile, plan_tiles

GUESS_SIDE_PX, GUESS_WINDOWS = 320, 5
"""The scale is guessed from so many windows of this side, in network pixels."""


@dataclass(frozen=True, slots=True)
class Field:
    """An image brought to the network's scale, and its tiles."""

    rgb: Rgb
    scaling: Scaling
    tiles: tuple[Tile, ...]


class Predictor:
    """A version of the network, ready to run on one device. Not for use by several threads at once."""

    def __init__(
        self, version: Version, backend: Backend, *, core_px: tuple[int, int] | None = None, halo_px: int | None = None
    ) -> None:
        """Tiles are as the network wants them unless told otherwise."""
        self.version = version
        self.core_px = core_px or version.config.core_px
        self.halo_px = version.config.halo_px if halo_px is None else halo_px
        self._backend = backend
        self._levels = np.asarray(version.thresholds.per_class, np.float32)

    @classmethod
    def open(
        cls, version: Version, device: str | None = None, *, cache: Path | None = None, threads: int = 0
    ) -> Predictor:
        """A version on a device (``cpu`` by OpenVINO, ``cuda``, ``mps``, ``torch-cpu``; default: the best there is)."""
        return cls(version, open_backend(version, device or choose_device(), cache, threads))

    def warm_up(self) -> None:
        """Do once, before the first image comes, what the first image would else wait for."""
        field = self.prepare(np.full((GUESS_SIDE_PX, GUESS_SIDE_PX, 3), 255, np.uint8), self.version.config.mpp)
        self.find_in_tile(field, field.tiles[0])
        self.guess_scale(field)

    def prepare(self, rgb: Rgb, mpp: float) -> Field:
        """Scale an image (H, W, 3) uint8 of ``mpp`` µm/px to the network's pixels and plan its tiles."""
        config = self.version.config
        scaled, scaling = scale_image(rgb, mpp, config.mpp)
        tiles = plan_tiles(*scaled.shape[:2], core=self.core_px, halo=self.halo_px, stride=config.stride)
        return Field(scaled, scaling, tuple(tiles))

    def find_in_tile(self, field: Field, tile: Tile) -> Nuclei:
        """The nuclei owned by one tile's core, in network pixels."""
        return self._collect(tile, self.mark(field, tile))

    def find_in_tiles(self, field: Field) -> list[Nuclei]:
        """The nuclei of all tiles, windows of one size run together where the device gains by it."""
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for i, tile in enumerate(field.tiles):
            by_size[_window(field, tile).shape].append(i)
        found: dict[int, Nuclei] = {}
        for same in by_size.values():
            for start in range(0, len(same), self._backend.batch):
                at = same[start : start + self._backend.batch]
                marked = self._mark([_window(field, field.tiles[i]) for i in at])
                found |= {i: self._collect(field.tiles[i], m) for i, m in zip(at, marked, strict=True)}
        return [found[i] for i in range(len(field.tiles))]

    def _collect(self, tile: Tile, marked: MarkedMaps) -> Nuclei:
        found = collect_peaks(marked.maps, marked.peaks, self.version.thresholds)
        xy = found.xy + np.array([tile.window_left, tile.window_top], np.float32)
        at = np.floor(xy + 0.5)
        owned = (at[:, 0] >= tile.left) & (at[:, 0] < tile.right) & (at[:, 1] >= tile.top) & (at[:, 1] < tile.bottom)
        return replace(found, xy=xy).select(owned)

    def join(self, field: Field, parts: list[Nuclei]) -> Nuclei:
        """Nuclei of all tiles in original-image pixels, strongest first; twins across a seam become one, and nuclei
        that the image's edge cuts off are left out.

        Parts that were found with :meth:`with_lower_thresholds` may hold candidates under the thresholds. They come after
        the others and never take one's place, so that the nuclei over the thresholds are the same with and without.
        """
        whole = Nuclei.concatenate(parts)
        thresholds = self.version.thresholds
        hidden = ~whole.reach(thresholds.per_class)
        whole = whole.select(np.lexsort((whole.xy[:, 0], whole.xy[:, 1], -whole.scores, hidden)))
        if len(field.tiles) > 1:
            whole = whole.select(keep_apart(whole.xy, thresholds.min_distance_px / 2))
        height, width = field.rgb.shape[:2]
        last = np.array([width - 1, height - 1]) - thresholds.edge_px
        inside = np.all((whole.xy >= thresholds.edge_px) & (whole.xy <= last), axis=1)
        return field.scaling.to_image(whole.select(inside))

    def find(self, rgb: Rgb, mpp: float) -> Nuclei:
        """All nuclei of an image (H, W, 3) uint8 of ``mpp`` µm/px, in its own pixels."""
        field = self.prepare(rgb, mpp)
        return self.join(field, self.find_in_tiles(field))

    def stitch_maps(self, field: Field) -> NDArray[np.float32]:
        """Smoothed proximity maps (3, H, W) of the whole field at the network's scale, stitched from its tiles."""
        maps = np.zeros((N_CLASSES, *field.rgb.shape[:2]), np.float32)
        for t in field.tiles:
            maps[:, t.top : t.bottom, t.left : t.right] = self.mark(field, t).maps[
                :, t.top - t.window_top : t.bottom - t.window_top, t.left - t.window_left : t.right - t.window_left
            ]
        return maps

    def find_roi(self, rgb: Rgb) -> Maps:
        """Probability (H, W) of tumour for one window at the network's scale, from the ROI sibling."""
        height, width = rgb.shape[:2]
        return self._backend.find_roi(self._pad(rgb))[:height, :width].copy()

    def find_roi_in_tile(self, field: Field, tile: Tile) -> Maps:
        """Probability (H, W) of tumour in one tile's core."""
        top, left = tile.window_top, tile.window_left
        return self.find_roi(_window(field, tile))[
            tile.top - top : tile.bottom - top, tile.left - left : tile.right - left
        ]

    def guess_scale(self, field: Field) -> float | None:
        """log2 of how many times larger nuclei look than they should at the stated pixel size; None where this version
        has no guess. The median over the darkest windows of a grid.
        """
        guess = self.version.scale_guess
        if not guess.weights:
            return None
        weights = np.asarray(guess.weights, np.float32)
        values = [
            float(self._backend.describe(w) @ weights) + guess.bias
            for w in pick_windows(field.rgb, self.version.config.stride)
        ]
        return float(np.median(values)) if values else None

    def describe(self, rgb: Rgb) -> NDArray[np.float32]:
        """Features (F,) of one window, see :meth:`guess_scale`."""
        return self._backend.describe(rgb)

    def mark(self, field: Field, tile: Tile) -> MarkedMaps:
        """Maps and peaks of a tile's window, good until the next call."""
        return self._mark([_window(field, tile)])[0]

    def _mark(self, windows: list[Rgb]) -> list[MarkedMaps]:
        """Maps and peaks of windows of one size."""
        height, width = windows[0].shape[:2]
        marked = self._backend.mark(np.stack([self._pad(window) for window in windows]), self._levels)
        return [MarkedMaps(maps[:, :height, :width], peaks[:height, :width]) for maps, peaks in marked]

    def _pad(self, rgb: Rgb) -> Rgb:
        """Repeat the last row and column until both sides are multiples of the network's stride."""
        stride = self.version.config.stride
        below, right = -rgb.shape[0] % stride, -rgb.shape[1] % stride
        return np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else rgb

    def with_thresholds(self, per_class: tuple[float, float, float]) -> Predictor:
        """The same network, on the same backend, cutting its maps elsewhere."""
        version = replace(self.version, thresholds=replace(self.version.thresholds, per_class=per_class))
        return Predictor(version, self._backend, core_px=self.core_px, halo_px=self.halo_px)

    def with_lower_thresholds(self, share: float) -> Predictor:
        """The same network cutting its maps at this share of each threshold."""
        positive, negative, other = (share * level for level in self.version.thresholds.per_class)
        return self.with_thresholds((positive, negative, other))


def _window(field: Field, tile: Tile) -> Rgb:
    return field.rgb[tile.window_top : tile.window_bottom, tile.window_left : tile.window_right]


def pick_windows(rgb: Rgb, stride: int) -> list[Rgb]:
    """The darkest windows of a grid over an image, sides multiples of ``stride``; none of an image under three strides."""
    height, width = (min(GUESS_SIDE_PX, length) // stride * stride for length in rgb.shape[:2])
    if min(height, width) < 3 * stride:
        return []
    windows = [
        rgb[y : y + height, x : x + width]
        for y in range(0, rgb.shape[0] - height + 1, height)
        for x in range(0, rgb.shape[1] - width + 1, width)
    ]
    return sorted(windows, key=lambda window: float(window[::4, ::4].mean()))[:GUESS_WINDOWS]
