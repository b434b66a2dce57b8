"""Whole slides: files of scanners that hold one picture at several sizes, of which only parts are ever decoded."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from openslide import OpenSlide, OpenSlideError
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from nucleus_app.domain.scale import POSSIBLE_MPP, PixelSize
from nucleus_app.errors import InvalidImage, NotFound
from nucleus_app.imaging.pyramid import TILE_PX, Pyramid, deep_zoom_descriptor

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the full resolution; corners lie between pixels."""

GENERIC = "generic-tiff"
TIFF_MAGIC = (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+")
"""Only TIFF is asked for: files of other kinds name further files, and OpenSlide would read whatever they name."""
MOST_SMALLEST_PX = 80_000_000
"""Of the smallest level: a slide without small copies of itself would be decoded whole to be looked at once."""
MOST_READ_PX = 4096 * 4096
"""To show one tile, where levels lie far apart."""
MOST_TILE_PX = 8192
SLACK = 1.01
"""A level 4.0002 times smaller is good enough for what should be 4 times smaller."""
MOST_OVERVIEW_PX = 30_000_000
SMALL_PX = 2048
STRIPE_PX = 2048
_DAMAGED = "The slide is damaged or incomplete: export it again and send the new file."
_BOUNDS = ("openslide.bounds-x", "openslide.bounds-y", "openslide.bounds-width", "openslide.bounds-height")
_MPP = ("openslide.mpp-x", "openslide.mpp-y")
_RESOLUTION = ("tiff.XResolution", "tiff.YResolution")
_UM_PER_UNIT = {"inch": 25_400.0, "centimeter": 10_000.0}
_TILE_SIDES = (".tile-width", ".tile-height")


class Slide:
    """An open slide. Its methods may be called by several threads; one that fails closes it for good."""

    def __init__(self, path: Path, maker: str) -> None:
        self._slide = _open(path)
        self.maker = maker
        # Some scanners place what they scanned on a far larger plane; as QuPath does, the slide is what was scanned.
        full = dict(zip(_BOUNDS, (0, 0, *self._slide.dimensions), strict=True))
        self._left, self._top, self.width_px, self.height_px = (
            int(self._slide.properties.get(name, usual)) for name, usual in full.items()
        )
        self._zoom = DeepZoomGenerator(self._slide, tile_size=TILE_PX, overlap=0, limit_bounds=True)
        self._last_small = max(n for n, size in enumerate(self._zoom.level_dimensions) if max(size) <= SMALL_PX)
        self._small: Pyramid | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._slide.close()

    @property
    def levels(self) -> int:
        """In how many sizes the file holds the picture."""
        return int(self._slide.level_count)

    @property
    def megapixels(self) -> float:
        return self.width_px * self.height_px / 1e6

    @property
    def pixel_size(self) -> PixelSize | None:
        """µm/px of the full resolution as the file states it."""
        source = f"{self.maker} metadata" if self.maker else "TIFF resolution"
        return self._read_mpp(_MPP, source) or self._read_mpp(_RESOLUTION, "TIFF resolution")

    def _read_mpp(self, names: tuple[str, str], source: str) -> PixelSize | None:
        try:
            across, down = (float(self._slide.properties[name]) for name in names)
            if names == _RESOLUTION:
                unit = _UM_PER_UNIT[self._slide.properties["tiff.ResolutionUnit"]]
                across, down = unit / across, unit / down
        except (KeyError, ValueError, ZeroDivisionError):
            return None
        mpp = (across + down) / 2
        if not POSSIBLE_MPP[0] <= mpp <= POSSIBLE_MPP[1] or abs(across - down) > 0.05 * mpp:
            return None
        return PixelSize(mpp, source)

    @property
    def descriptor(self) -> str:
        """For Deep Zoom."""
        return deep_zoom_descriptor(self.width_px, self.height_px)

    def tile(self, level: int, column: int, row: int) -> bytes:
        """One Deep Zoom tile as JPEG. Raises NotFound outside the slide, InvalidImage where the file is damaged."""
        if level <= self._last_small:
            return self._get_small().tile(level, column, row)
        try:
            image = self._zoom.get_tile(level, (column, row))
        except ValueError as error:
            raise NotFound(f"there is no tile {column}, {row} at level {level}") from error
        except OpenSlideError as error:
            raise InvalidImage(_DAMAGED) from error
        image.info.clear()  # a scanner's colour profile would go into every tile
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=88)
        return buffer.getvalue()

    def _get_small(self) -> Pyramid:
        """The levels that are smaller than what the file holds: of each of their tiles all of that would be read anew."""
        with self._lock:
            if self._small is None:
                image = Image.fromarray(self.overview()[0])
                size = self._zoom.level_dimensions[self._last_small]
                self._small = Pyramid.of(np.asarray(image.resize(size, Image.Resampling.BOX)))
            return self._small

    def cut(self, box: Box) -> NDArray[np.uint8]:
        """The pixels of a box at full resolution, (H, W, 3); where nothing was scanned, white. Raises InvalidImage where
        the file is damaged.
        """
        left, top, right, bottom = box
        rgb = np.empty((bottom - top, right - left, 3), np.uint8)
        for y in range(top, bottom, STRIPE_PX):  # with its alpha the whole would need more than twice the memory
            height = min(STRIPE_PX, bottom - y)
            rgb[y - top : y - top + height] = self._read((left, y), 0, (right - left, height))
        return rgb

    def overview(self) -> tuple[NDArray[np.uint8], float]:
        """All of it at low power, (H, W, 3), and how many times larger the slide is. Raises InvalidImage."""
        sizes = [self._size_at(level) for level in range(self._slide.level_count)]
        level = next((n for n, (w, h) in enumerate(sizes) if w * h <= MOST_OVERVIEW_PX), len(sizes) - 1)
        return self._read((0, 0), level, sizes[level]), float(self._slide.level_downsamples[level])

    def picture(self, longest_px: int) -> NDArray[np.uint8]:
        """All of it in one small picture, (H, W, 3). Raises InvalidImage."""
        image = Image.fromarray(self.overview()[0])
        image.thumbnail((longest_px, longest_px), reducing_gap=2.0)
        return np.asarray(image)

    def _size_at(self, level: int) -> tuple[int, int]:
        smaller = self._slide.level_downsamples[level]
        return max(1, round(self.width_px / smaller)), max(1, round(self.height_px / smaller))

    def _read(self, corner: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        try:
            part = self._slide.read_region((corner[0] + self._left, corner[1] + self._top), level, size)
        except OpenSlideError as error:
            raise InvalidImage(_DAMAGED) from error
        ground = Image.new("RGB", size, "white")
        ground.paste(part, mask=part.getchannel("A"))
        return np.asarray(ground)

    def check_can_be_browsed(self) -> None:
        """Raises InvalidImage where a look at low power would decode far more than it shows."""
        levels = range(self._last_small + 1, self._zoom.level_count)
        reads = [self._zoom.get_tile_coordinates(level, (0, 0))[2] for level in levels]
        width, height = self._size_at(self._slide.level_count - 1)
        if width * height > MOST_SMALLEST_PX or any(w * h > MOST_READ_PX for w, h in reads):
            raise InvalidImage(
                f"The slide has {self.width_px} × {self.height_px} pixels and too few small copies of itself to look at it (those "
                "of OME-TIFF are not found): save it as SVS or pyramidal TIFF, or export fields of it."
            )


def find_maker(path: Path) -> str | None:
    """Which scanner's file it is; an empty name for a tiled TIFF of nobody in particular, None for no slide."""
    try:
        with path.open("rb") as file:
            if file.read(4) not in TIFF_MAGIC:
                return None
        vendor = OpenSlide.detect_format(path)
    except (OpenSlideError, OSError):
        return None
    if vendor is None:
        return None
    return "" if vendor == GENERIC else str(vendor).capitalize()


class _Levels(OpenSlide):
    """Chooses levels as if scanners rounded their sizes to whole pixels, as they do."""

    def get_best_level_for_downsample(self, downsample: float) -> int:
        return super().get_best_level_for_downsample(downsample * SLACK)


def _open(path: Path) -> OpenSlide:
    try:
        slide = _Levels(path)
    except (OpenSlideError, OSError) as error:
        raise InvalidImage(_DAMAGED) from error
    sides = [int(text) for name, text in slide.properties.items() if name.endswith(_TILE_SIDES) and text.isdecimal()]
    if max(sides, default=0) > MOST_TILE_PX:  # one pixel of it would decode as much
        slide.close()
        raise InvalidImage(
            f"The slide is kept in tiles of {max(sides)} pixels; up to {MOST_TILE_PX} are read: save it with smaller tiles."
        )
    return slide
