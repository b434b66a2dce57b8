"""Image → nuclei: scale, tile, run the network, find peaks. One call a tile, so that a caller can show progress,
stop, or resume.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from nucleus_app.domain.nuclei import N_CLASSES, Nuclei
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.network import roi_probability
from nucleus_app.kinet.preprocess import Rgb, Scaling, rgb_to_tensor, scale_image
from nucleus_app.kinet.proximity import decode_maps, keep_apart
from nucleus_app.kinet.tiling import Tile, plan_tiles

CORE_PX = 1024
HALO_PX = 192
"""Halo in network pixels. Measured: beyond it a changed pixel moves a map by less than 1e-4 (decision 0004)."""


@dataclass(frozen=True, slots=True)
class Field:
    """An image brought to the network's scale, and its tiles."""

    rgb: Rgb
    scaling: Scaling
    tiles: tuple[Tile, ...]


class Predictor:
    """A version of the network, ready to run on one device. Holds no state between calls."""

    def __init__(
        self, version: Version, *, device: str | None = None, core_px: int = CORE_PX, halo_px: int = HALO_PX
    ) -> None:
        self.version = version
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.core_px = core_px
        self.halo_px = halo_px
        self._network = version.network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def prepare(self, rgb: Rgb, mpp: float) -> Field:
        """Scale an image (H, W, 3) uint8 of ``mpp`` µm/px to the network's pixels and plan its tiles."""
        config = self.version.config
        scaled, scaling = scale_image(rgb, mpp, config.mpp)
        tiles = plan_tiles(*scaled.shape[:2], core=self.core_px, halo=self.halo_px, stride=config.stride)
        return Field(scaled, scaling, tuple(tiles))

    def find_in_tile(self, field: Field, tile: Tile) -> Nuclei:
        """The nuclei owned by one tile's core, in network pixels."""
        window = field.rgb[tile.window_top : tile.window_bottom, tile.window_left : tile.window_right]
        found = decode_maps(self.run(window), self.version.thresholds)
        xy = found.xy + np.array([tile.window_left, tile.window_top], np.float32)
        at = np.floor(xy + 0.5)
        owned = (at[:, 0] >= tile.left) & (at[:, 0] < tile.right) & (at[:, 1] >= tile.top) & (at[:, 1] < tile.bottom)
        return Nuclei(xy, found.classes, found.scores).select(owned)

    def join(self, field: Field, parts: list[Nuclei]) -> Nuclei:
        """Nuclei of all tiles in original-image pixels, strongest first; twins across a seam become one."""
        whole = Nuclei.concatenate(parts)
        whole = whole.select(np.lexsort((whole.xy[:, 0], whole.xy[:, 1], -whole.scores)))
        if len(field.tiles) > 1:
            whole = whole.select(keep_apart(whole.xy, self.version.thresholds.min_distance_px / 2))
        return field.scaling.to_image(whole)

    def find(self, rgb: Rgb, mpp: float) -> Nuclei:
        """All nuclei of an image (H, W, 3) uint8 of ``mpp`` µm/px, in its own pixels."""
        field = self.prepare(rgb, mpp)
        return self.join(field, [self.find_in_tile(field, tile) for tile in field.tiles])

    def stitch_maps(self, field: Field) -> NDArray[np.float32]:
        """Proximity maps (3, H, W) of the whole field at the network's scale, stitched from its tiles."""
        maps = np.zeros((N_CLASSES, *field.rgb.shape[:2]), np.float32)
        for t in field.tiles:
            part = self.run(field.rgb[t.window_top : t.window_bottom, t.window_left : t.window_right])
            maps[:, t.top : t.bottom, t.left : t.right] = part[
                :, t.top - t.window_top : t.bottom - t.window_top, t.left - t.window_left : t.right - t.window_left
            ]
        return maps

    def run(self, rgb: Rgb) -> NDArray[np.float32]:
        """Proximity maps (3, H, W) of one window (H, W, 3) uint8 at the network's scale."""
        return self._forward(rgb, with_roi=False)

    def find_roi(self, rgb: Rgb) -> NDArray[np.float32]:
        """Probability (H, W) of tumour for one window at the network's scale, from the ROI sibling."""
        return self._forward(rgb, with_roi=True)

    @torch.inference_mode()
    def _forward(self, rgb: Rgb, *, with_roi: bool) -> NDArray[np.float32]:
        height, width = rgb.shape[:2]
        stride = self.version.config.stride
        padded = np.pad(rgb, ((0, -height % stride), (0, -width % stride), (0, 0)), mode="edge")
        image = rgb_to_tensor(padded).to(self.device, memory_format=torch.channels_last)
        output = self._network(image, with_roi=with_roi)
        maps = roi_probability(output.roi_logits) if with_roi else output.proximity
        result: NDArray[np.float32] = maps[0, ..., :height, :width].float().cpu().numpy()
        return result

    def with_thresholds(self, per_class: tuple[float, float, float]) -> Predictor:
        """The same network cutting its maps elsewhere."""
        thresholds = replace(self.version.thresholds, per_class=per_class)
        return Predictor(
            replace(self.version, thresholds=thresholds),
            device=str(self.device),
            core_px=self.core_px,
            halo_px=self.halo_px,
        )
