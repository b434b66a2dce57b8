"""Deep Zoom tiles of an image, for the viewer."""

from __future__ import annotations

import io
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nucleus_app.errors import NotFound

TILE_PX = 512


class Pyramid:
    """All levels of one image in memory, halved down to one pixel; level 0 is the smallest, as Deep Zoom counts."""

    def __init__(self, levels: list[Image.Image]) -> None:
        self._levels = levels

    @classmethod
    def of(cls, rgb: NDArray[np.uint8]) -> Self:
        levels = [Image.fromarray(rgb)]
        while max(levels[-1].size) > 1:
            width, height = levels[-1].size
            levels.append(levels[-1].resize(((width + 1) // 2, (height + 1) // 2), Image.Resampling.BOX))
        return cls(levels[::-1])

    @property
    def pixels(self) -> int:
        """Of the largest level."""
        return self._levels[-1].width * self._levels[-1].height

    def tile(self, level: int, column: int, row: int) -> bytes:
        """One tile as JPEG. Raises NotFound outside the pyramid."""
        if not 0 <= level < len(self._levels) or column < 0 or row < 0:
            raise NotFound(f"there is no level {level}, tile {column}, {row}")
        image = self._levels[level]
        left, top = column * TILE_PX, row * TILE_PX
        if left >= image.width or top >= image.height:
            raise NotFound(f"there is no tile {column}, {row} at level {level}")
        box = (left, top, min(image.width, left + TILE_PX), min(image.height, top + TILE_PX))
        buffer = io.BytesIO()
        image.crop(box).save(buffer, "JPEG", quality=90, subsampling=0)
        return buffer.getvalue()

    def crop_around(self, x: float, y: float, side_px: float, size_px: int) -> bytes:
        """A square of ``side_px`` pixels around a point as PNG of ``size_px``²; white beyond the image's edge."""
        image = self._levels[-1]
        left, top = round(x + 0.5 - side_px / 2), round(y + 0.5 - side_px / 2)
        side = max(1, round(side_px))
        square = Image.new("RGB", (side, side), "white")
        inside = (max(0, left), max(0, top), min(image.width, left + side), min(image.height, top + side))
        if inside[0] < inside[2] and inside[1] < inside[3]:
            square.paste(image.crop(inside), (inside[0] - left, inside[1] - top))
        buffer = io.BytesIO()
        square.resize((size_px, size_px), Image.Resampling.LANCZOS).save(buffer, "PNG")
        return buffer.getvalue()


def deep_zoom_descriptor(width_px: int, height_px: int) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" Overlap="0" '
        f'TileSize="{TILE_PX}"><Size Width="{width_px}" Height="{height_px}"/></Image>'
    )
