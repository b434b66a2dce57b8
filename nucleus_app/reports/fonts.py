"""How a report is set: with which fonts, to which standard. Fonts come as packages at setup, so that every machine sets the same page."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

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

PDF_STANDARD: Final = "a-2u"
"""PDF/A-2, every character with its Unicode value: archives take it, and text can be searched and copied."""


def typeset(template: Path, seconds: int) -> bytes:
    """A typst file as PDF, dated so many seconds after 1970. It sees the files of its own folder and nothing else.

    Raises typst.TypstError, also for a text that no font shows.
    """
    return typst.compile(
        input=template, root=template.parent, font_paths=load_fonts(), ignore_system_fonts=True, format="pdf",
        pdf_standards=PDF_STANDARD, timestamp=seconds,
    )  # fmt: skip


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
