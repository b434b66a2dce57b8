"""Words in a line: what people type made harmless, and how many of a thing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

SPELT_OUT = 3


def count_of(n: int, what: str) -> str:
    """``1 field``, ``2 fields``."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def shorten(sentences: Sequence[str], more: str) -> Iterator[str]:
    """The first of many sentences of one kind, and how many more there are: ``12 more fields have …``."""
    yield from sentences[:SPELT_OUT]
    if len(sentences) > SPELT_OUT:
        yield f"{len(sentences) - SPELT_OUT} more {more}."


def to_line(text: str, longest: int) -> str:
    """Composed characters, no control or formatting ones (but the joiner that emoji need), single spaces, cut."""
    visible = "".join(
        c if unicodedata.category(c)[0] != "C" or c == "\u200d" else " " for c in unicodedata.normalize("NFC", text)
    )
    return " ".join(visible.split())[:longest].strip()
