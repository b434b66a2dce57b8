"""Files → pixels. Everything a browser or a camera may send becomes 8-bit RGB, or an error that says what to do."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import warnings
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from nucleus_app.domain.scale import PixelSize
from nucleus_app.errors import InvalidImage, WholeSlide
from nucleus_app.imaging.pixel_size import find_pixel_size
from nucleus_app.imaging.slides import Slide, find_maker

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".svs", ".ndpi", ".scn")
MIN_SIDE_PX = 32
SAMPLES = 4_000_000
NEARLY_BLACK = 64
"""No glass between tissue is darker; 14 bits of 16 are."""
_ACCEPTED = "Accepted are PNG, JPEG, TIFF, BMP and WebP"
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is not ours: _check_size judges before anything is decoded
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, struct.error)
"""What Pillow raises on broken files."""
BITS_PER_SAMPLE, PLANAR_CONFIGURATION, SEPARATE_PLANES = 258, 284, 2
"""Tags of TIFF, and a value."""
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


@dataclass(frozen=True, slots=True)
class ReadImage:
    """``rgb`` (H, W, 3) uint8; ``sha256`` of the file as it came; ``pixel_size`` as the file states it, or None;
    ``notes`` what had to be changed to read it.
    """

    rgb: NDArray[np.uint8]
    sha256: str
    format: str
    pixel_size: PixelSize | None
    notes: tuple[str, ...]

    @property
    def width_px(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height_px(self) -> int:
        return int(self.rgb.shape[0])


def read_image(path: Path, *, max_megapixels: int) -> ReadImage:
    """Read an image file. Raises InvalidImage with what was got, what is allowed and what to do; WholeSlide for a slide that
    is too large to be one image.
    """
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise InvalidImage("The file is empty (0 bytes): export the image again and send the new file.")
            if maker := find_maker(path):  # the first page of a scanner's file may be its label
                return _read_slide(path, maker, file, max_megapixels)
            with warnings.catch_warnings():
                # Pillow warns of large images; size is judged below, and broken metadata is no reason to refuse pixels.
                warnings.simplefilter("ignore")
                return _decode(file, max_megapixels, _count_levels(path, maker), is_tiled=maker is not None)
    except OSError as error:
        raise InvalidImage(
            f"The file cannot be opened ({error.strerror}): check that it is there and readable."
        ) from error
    except MemoryError as error:
        raise InvalidImage("There is not enough memory to open this image: crop it or export fields of it.") from error


def _count_levels(path: Path, maker: str | None) -> int:
    """Of a tiled TIFF, which are pages to Pillow."""
    if maker is None:
        return 1
    try:
        with Slide(path, maker) as slide:
            return slide.levels
    except InvalidImage:
        return 1


def _read_slide(path: Path, maker: str, file: BufferedReader, max_megapixels: int) -> ReadImage:
    with Slide(path, maker) as slide:
        if slide.megapixels > max_megapixels:
            raise _too_large(slide.width_px, slide.height_px, max_megapixels, is_slide=True)
        _check_not_tiny(slide.width_px, slide.height_px)
        rgb = slide.cut((0, 0, slide.width_px, slide.height_px))
        return ReadImage(rgb, _digest(file), maker, slide.pixel_size, ())


def _digest(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _decode(file: BufferedReader, max_megapixels: int, levels: int, *, is_tiled: bool) -> ReadImage:
    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as image:
            _check_size(image, max_megapixels, is_tiled=is_tiled)
            file_format = "JPEG" if image.format == "MPO" else str(image.format)
            pixel_size = find_pixel_size(image)
            notes: list[str] = []
            rgb = _to_rgb(image, notes, levels)
    except UnidentifiedImageError as error:
        raise InvalidImage(
            f"The file is not an image this app can read. {_ACCEPTED}, and slides in one file: SVS, NDPI, SCN, pyramidal TIFF."
        ) from error
    except DAMAGE as error:
        raise InvalidImage(
            f"The image is damaged or incomplete ({error}): export it again and send the new file."
        ) from error
    return ReadImage(rgb, _digest(file), file_format, pixel_size, tuple(notes))


def _check_size(image: Image.Image, max_megapixels: int, *, is_tiled: bool) -> None:
    width, height = image.size
    if width * height > max_megapixels * 1_000_000:
        raise _too_large(width, height, max_megapixels, is_slide=is_tiled)
    _check_not_tiny(width, height)


def _too_large(width: int, height: int, max_megapixels: int, *, is_slide: bool) -> InvalidImage:
    size = f"{width} × {height} = {width * height / 1e6:.0f} megapixels; up to {max_megapixels} are"
    if is_slide:
        return WholeSlide(f"The slide has {size} scored at once: drop it on the page to choose fields on it.")
    return InvalidImage(f"The image has {size} allowed: crop it or export fields of it.")


def _check_not_tiny(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise InvalidImage(
            f"The image has {width} × {height} pixels; a field needs at least {MIN_SIDE_PX} on each side: "
            "check that the export held the whole field."
        )


def _to_rgb(image: Image.Image, notes: list[str], levels: int) -> NDArray[np.uint8]:
    frames = getattr(image, "n_frames", 1)
    if frames > levels:
        notes.append(f"The file holds {frames} pages or frames; only the first was read.")
    if image.mode in _SIXTEEN_BIT:
        notes.append("A grey image with more than 8 bits was stretched to 8 bits; Ki67 needs colour.")
        return _stretch(np.asarray(image, np.float32))
    _refuse_deep_planes(image)
    upright = _turn_upright(image)
    if upright.mode == "CMYK":
        notes.append("CMYK colours were converted to RGB.")
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        with_alpha = upright.convert("RGBA")
        if np.asarray(with_alpha.getchannel("A")).min() < 255:
            notes.append("Transparent parts were filled with white.")
        upright = Image.new("RGB", with_alpha.size, "white")
        upright.paste(with_alpha, mask=with_alpha.getchannel("A"))
    elif upright.mode in ("L", "1"):
        notes.append("The image is grey; Ki67 classes need colour.")
    rgb = np.asarray(_managed(upright).convert("RGB"))
    if rgb.max() < NEARLY_BLACK:
        notes.append(
            f"The image is nearly black: its brightest pixel has {rgb.max()} of 255. If the camera took more than 8 bits a "
            "colour, save it as 8-bit RGB."
        )
    return rgb


def _refuse_deep_planes(image: Image.Image) -> None:
    """Pillow reads uncompressed planes of 16 bits as if they had 8, without a word."""
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = tags.get(BITS_PER_SAMPLE, (8,))
    if max(bits if isinstance(bits, tuple) else (bits,)) > 8 and tags.get(PLANAR_CONFIGURATION) == SEPARATE_PLANES:
        raise InvalidImage(
            "The image has more than 8 bits a colour, in separate planes: save it as 8-bit RGB and send that file."
        )


def _turn_upright(image: Image.Image) -> Image.Image:
    """As the camera was held. Broken EXIF is no reason to refuse pixels: they are then taken as they lie."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGE:
        return image


def _managed(image: Image.Image) -> Image.Image:
    """Colours of a CMYK image with a profile, as the profile means them."""
    profile = image.info.get("icc_profile")
    if image.mode != "CMYK" or not profile:
        return image
    try:
        converted = ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted or image


def _stretch(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    step = max(1, math.isqrt(values.size // SAMPLES))  # of a large image every few pixels tell the same
    low, high = np.percentile(values[::step, ::step], (0.1, 99.9)).astype(np.float32)
    values = (values - low) * (255 / max(high - low, np.float32(1e-9)))
    np.clip(values, 0, 255, out=values)
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def encode_png(rgb: NDArray[np.uint8]) -> bytes:
    """Lossless PNG without any metadata: pixels and nothing else leave this function."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def decode_png(content: bytes) -> NDArray[np.uint8]:
    """Pixels of a PNG that :func:`encode_png` made."""
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"))
