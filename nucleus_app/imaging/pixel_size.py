"""Finding µm/px in an image's metadata. A value that no microscope gives (72 dpi) is no value."""

from __future__ import annotations

import re

from PIL import Image

from nucleus_app.domain.scale import POSSIBLE_MPP, PixelSize

_UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}
"""TIFF ResolutionUnit: inch, centimetre."""
_LENGTHS_UM = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
_X_RESOLUTION, _RESOLUTION_UNIT, _DESCRIPTION = 282, 296, 270


def find_pixel_size(image: Image.Image) -> PixelSize | None:
    """µm/px as the file states it, or None. Reads OME-XML, Aperio and ImageJ descriptions, TIFF resolution,
    PNG pHYs and JPEG density, and ignores values outside what is possible.
    """
    candidates = (_from_description(image), _from_tiff_resolution(image), _from_density(image))
    for found in candidates:
        if found is not None and POSSIBLE_MPP[0] <= found.mpp <= POSSIBLE_MPP[1]:
            return found
    return None


def _tags(image: Image.Image) -> dict[int, object]:
    return dict(getattr(image, "tag_v2", {}) or {})


def _from_description(image: Image.Image) -> PixelSize | None:
    text = _as_utf8(str(_tags(image).get(_DESCRIPTION, "") or ""))
    if ome := re.search(r'PhysicalSizeX="([0-9.eE+-]+)"', text):
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', text)
        factor = _LENGTHS_UM.get(unit.group(1) if unit else "µm")
        return _pixel_size(ome.group(1), factor, "OME-XML")
    if aperio := re.search(r"\bMPP\s*=\s*([0-9.]+)", text):
        return _pixel_size(aperio.group(1), 1.0, "Aperio metadata")
    if imagej := re.search(r"^unit=(\S+)", text, re.MULTILINE):
        per_unit = _number(_tags(image).get(_X_RESOLUTION))
        factor = _LENGTHS_UM.get(imagej.group(1).replace("\\u00B5", "µ").replace("\\u00b5", "µ").replace("μ", "µ"))
        if per_unit and factor:
            return PixelSize(factor / per_unit, "ImageJ metadata")
    return None


def _as_utf8(text: str) -> str:
    """Pillow reads TIFF text as Latin-1; OME-XML is UTF-8 and writes its µm so."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _from_tiff_resolution(image: Image.Image) -> PixelSize | None:
    tags = _tags(image)
    per_unit = _number(tags.get(_X_RESOLUTION))
    unit = tags.get(_RESOLUTION_UNIT)
    if not per_unit or not isinstance(unit, int) or unit not in _UM_PER_UNIT:
        return None
    return PixelSize(_UM_PER_UNIT[unit] / per_unit, "TIFF resolution")


def _from_density(image: Image.Image) -> PixelSize | None:
    """Pillow gives PNG pHYs, JPEG and BMP density in dots per inch."""
    dpi = image.info.get("dpi")
    per_inch = _number(dpi[0]) if isinstance(dpi, tuple) and dpi else None
    if not per_inch:
        return None
    return PixelSize(25_400.0 / per_inch, f"{image.format} density")


def _pixel_size(text: str, factor: float | None, source: str) -> PixelSize | None:
    value = _number(text)
    return PixelSize(value * factor, source) if value and factor else None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 < number < 1e12 else None
