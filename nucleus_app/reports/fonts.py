"""The fonts that reports are set in. They come as packages at setup, so that every machine sets the same page."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import typst

PACKAGES = ("fontpkg_source_sans_3", "manimgx_fonts", "manimgx_fonts_cjk")
"""Each is under the SIL Open Font License 1.1: Source Sans 3, and Noto Sans for the other scripts."""

FAMILIES = (
    "Source Sans 3", "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans CJK SC", "Noto Sans Thai",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Gujarati", "Noto Sans Gurmukhi", "Noto Sans Kannada",
    "Noto Sans Malayalam", "Noto Sans Oriya", "Noto Sans Sinhala", "Noto Sans Tamil", "Noto Sans Telugu",
    "Noto Sans Khmer", "Noto Sans Lao", "Noto Sans Myanmar", "Noto Sans Armenian", "Noto Sans Ethiopic",
    "Noto Sans Georgian", "Noto Sans Symbols", "Noto Emoji",
)  # fmt: skip
"""In the order in which a character's font is looked for."""


@cache
def load_fonts() -> typst.Fonts:
    """What is in the font packages, and nothing of the machine's own."""
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=list(_list_folders()))


def _list_folders() -> list[Path]:
    folders = []
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"the fonts of {package} are not installed: run 'make setup'")
        folders.append(Path(spec.submodule_search_locations[0]))
    return folders
