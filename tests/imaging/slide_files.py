"""Slides as scanners write them, small or with the same tissue over and over: pyramids of tiles in one TIFF."""

from __future__ import annotations

import zlib
from itertools import repeat
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

TILE_PX = 256
SECRET = "Muster^Maria"


def write_slide(
    path: Path,
    rgb: NDArray[np.uint8],
    *,
    mpp: float | None = 0.25,
    is_aperio: bool = True,
    levels: tuple[int, ...] = (4,),
    resolution_mpp: float | None = None,
) -> Path:
    """A slide of these pixels, lossless; each of ``levels`` times smaller copies is the mean of its pixels."""
    height, width = rgb.shape[:2]
    stated = resolution_mpp or mpp
    resolution = (1e4 / stated, 1e4 / stated) if stated else None
    with tifffile.TiffWriter(path) as writer:
        for n in (1, *levels):
            small = rgb[: height // n * n, : width // n * n].reshape(height // n, n, width // n, n, 3).mean((1, 3))
            writer.write(
                small.astype(np.uint8),
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="deflate",
                description=_describe(width, height, n, mpp) if is_aperio else None,
                resolution=resolution if n == 1 else None,
                resolutionunit="CENTIMETER" if stated and n == 1 else None,
                subfiletype=0 if is_aperio or n == 1 else 1,
                metadata=None,
            )
            if is_aperio and n == 1:  # the thumbnail, which is no level
                writer.write(rgb[::8, ::8], photometric="rgb", description="Aperio", metadata=None)
    return path


def write_large_slide(path: Path, tile: NDArray[np.uint8], columns: int, rows: int, mpp: float = 0.25) -> Path:
    """A slide of ``columns`` × ``rows`` times the same tile of 256 px, and as if it were a copy 4 and 16 times smaller."""
    packed = zlib.compress(tile.tobytes(), 1)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for n in (1, 4, 16):
            across, down = -(-columns // n), -(-rows // n)
            writer.write(
                repeat(packed, across * down),
                shape=(down * TILE_PX, across * TILE_PX, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="deflate",
                description=_describe(columns * TILE_PX, rows * TILE_PX, n, mpp),
                metadata=None,
            )
    return path


def _describe(width: int, height: int, n: int, mpp: float | None) -> str:
    size = f" -> {width // n}x{height // n}" if n > 1 else ""
    known = f"|AppMag = 40|MPP = {mpp}" if mpp else ""
    return f"Aperio Image Library v12.0.15\r\n{width}x{height} [0,0 {width}x{height}] (256x256){size} JPEG/RGB Q=85{known}|Filename = {SECRET}"
