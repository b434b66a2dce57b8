"""What people type, made one harmless line."""

from __future__ import annotations

import unicodedata


def to_line(text: str, longest: int) -> str:
    """Composed characters, no control or formatting ones (but the joiner that emoji need), single spaces, cut."""
    visible = "".join(
        c if unicodedata.category(c)[0] != "C" or c == "\u200d" else " " for c in unicodedata.normalize("NFC", text)
    )
    return " ".join(visible.split())[:longest].strip()
