"""Words in a line: what people type made harmless, and how many of a thing."""

from __future__ import annotations

import unicodedata


def count_of(n: int, what: str) -> str:
    """``1 field``, ``2 fields``."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def to_line(text: str, longest: int) -> str:
    """Composed characters, no control or formatting ones (but the joiner that emoji need), single spaces, cut."""
    visible = "".join(
        c if unicodedata.category(c)[0] != "C" or c == "\u200d" else " " for c in unicodedata.normalize("NFC", text)
    )
    return " ".join(visible.split())[:longest].strip()
