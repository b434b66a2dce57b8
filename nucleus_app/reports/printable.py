"""What people typed, made printable: PDF/A refuses a text that no embedded font can show, so such signs are replaced first."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import typst

from nucleus_app.domain.line import to_line
from nucleus_app.reports.fonts import FAMILIES, typeset

REPLACEMENT = "\ufffd"
LONGEST_WORD, BREAK_EVERY = 24, 12
ROUNDS = 4
PROBE = """#let data = json("data.json")
#set text(font: data.families)
#for sign in data.texts [#par(sign)]
"""
_REFUSED = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_SHA256 = re.compile("[0-9a-f]{64}")
_ESCAPE = re.compile(r"\\u\{([0-9a-fA-F]+)\}|\\(.)")


def make_printable(texts: Iterable[str]) -> dict[str, str]:
    """Each text → what to print of it: no control characters, � for what no font shows, places to break long words.

    Lines stay lines. Nothing in here raises, whatever the text.
    """
    cleaned = {text: _clean(text) for text in set(texts)}
    exotic = sorted({line for line in cleaned.values() if not _is_plain(line)})
    shown = dict(zip(exotic, _replace_refused(exotic), strict=True))
    return {text: _open_words(shown.get(line, line)) for text, line in cleaned.items()}


def _clean(text: str) -> str:
    return "\n".join(to_line(line, len(line)) for line in text.splitlines()).strip("\n")


def _is_plain(text: str) -> bool:
    """Latin letters and digits as on a keyboard: the first font has them all, so nobody needs to ask it."""
    return all(c.isascii() or "\xa1" <= c <= "\u017f" for c in text)


def _replace_refused(texts: list[str]) -> list[str]:
    """Set the texts alone, and replace what is refused; a cluster of signs is shown by one font or not at all."""
    for _ in range(ROUNDS):
        refused = _find_refused(texts)
        if not refused:
            return texts
        for sign in sorted(refused, key=len, reverse=True):
            texts = [text.replace(sign, REPLACEMENT) for text in texts]
    return ["".join(c if _is_plain(c) or c == "\n" else REPLACEMENT for c in text) for text in texts]


def _find_refused(texts: list[str]) -> set[str]:
    if not texts:
        return set()
    with tempfile.TemporaryDirectory(prefix="nucleus-report-") as folder:
        root = Path(folder)
        (root / "data.json").write_text(json.dumps({"families": FAMILIES, "texts": texts}), "utf-8")
        (root / "probe.typ").write_text(PROBE, "utf-8")
        try:
            typeset(root / "probe.typ", 0)
        except typst.TypstError as error:
            found = {_ESCAPE.sub(_unescape, sign) for sign in _REFUSED.findall(error.diagnostic)}
            # A mark without a letter is refused with the space before it, which is innocent.
            signs = {sign for sign in found if sign}
            return {s for s in signs if not _is_plain(s)} or signs or set("".join(texts)) - {REPLACEMENT, "\n", " "}
    return set()


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}.get(match[2], match[2])


def _open_words(text: str) -> str:
    return re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: _open_word(word[0]), text)


def _open_word(word: str) -> str:
    """A zero-width space every few letters, never within a cluster: a column may be narrower than a word is long. A hash
    has its room, and stays whole: it is copied and looked for.
    """
    if _SHA256.fullmatch(word):
        return word
    parts, since = [], 0
    for before, sign in zip(" " + word, word, strict=False):
        joins = unicodedata.combining(sign) or unicodedata.category(sign)[0] == "M" or "\u200d" in (before, sign)
        if since >= BREAK_EVERY and not joins:
            parts.append("\u200b")
            since = 0
        parts.append(sign)
        since += 1
    return "".join(parts)
