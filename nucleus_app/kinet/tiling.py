"""Cutting an image into tiles: every pixel is owned by exactly one core, and a halo gives each core its context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tile:
    """Half-open pixel ranges: the core that this tile answers for, and the window that is read for it."""

    top: int
    bottom: int
    left: int
    right: int
    window_top: int
    window_bottom: int
    window_left: int
    window_right: int


def plan_tiles(height: int, width: int, *, core: tuple[int, int], halo: int, stride: int) -> list[Tile]:
    """Tiles of an image (H, W), row by row. Windows start at multiples of ``stride`` and end at the image's edge.

    ``core`` (height, width) and ``halo`` must be multiples of ``stride``: only then do a tile and the whole image share the
    network's pixel grid, and stitched maps equal the whole image's.
    """
    if min(core) <= 0 or halo < 0 or any(length % stride for length in (*core, halo)):
        raise ValueError(f"core {core} and halo {halo} must be multiples of the stride {stride}, core > 0, halo >= 0")
    return [
        Tile(
            top, bottom, left, right,
            max(0, top - halo), min(height, bottom + halo), max(0, left - halo), min(width, right + halo),
        )
        for top, bottom in _spans(height, core[0])
        for left, right in _spans(width, core[1])
    ]  # fmt: skip


def _spans(length: int, core: int) -> Iterator[tuple[int, int]]:
    for start in range(0, length, core):
        yield start, min(start + core, length)
