"""Nuclei as bytes: one format for the database and for the browser.

``b"NUC1"`` · n (u32) · x, y interleaved (f32 × 2n) · score (f32 × n) · class (u8 × n) · rival (u8 × n); little-endian.
Before 0.5.8 there were no rivals. The browser does not read them.
A nucleus is known by its place in this list.
"""

from __future__ import annotations

import struct

import numpy as np

from nucleus_app.domain.nuclei import Nuclei

MAGIC = b"NUC1"
_HEADER = struct.Struct("<4sI")


def pack_nuclei(nuclei: Nuclei) -> bytes:
    return b"".join(
        (
            _HEADER.pack(MAGIC, len(nuclei)),
            nuclei.xy.astype("<f4").tobytes(),
            nuclei.scores.astype("<f4").tobytes(),
            nuclei.classes.astype("u1").tobytes(),
            nuclei.rivals.astype("u1").tobytes(),
        )
    )


def unpack_nuclei(packed: bytes) -> Nuclei:
    """Inverse of :func:`pack_nuclei`. Raises ValueError when the bytes are not exactly one such list."""
    if len(packed) < _HEADER.size:
        raise ValueError(f"{len(packed)} bytes are no packed nuclei")
    magic, n = _HEADER.unpack_from(packed)
    if magic != MAGIC or len(packed) - _HEADER.size not in (13 * n, 14 * n):
        raise ValueError(f"{len(packed)} bytes with magic {magic!r} are no {n} packed nuclei")
    at = _HEADER.size
    xy = np.frombuffer(packed, "<f4", 2 * n, at).reshape(n, 2)
    scores = np.frombuffer(packed, "<f4", n, at + 8 * n)
    classes = np.frombuffer(packed, "u1", n, at + 12 * n)
    rivals = np.frombuffer(packed, "u1", offset=at + 13 * n)
    return Nuclei(xy.astype(np.float32), classes.astype(np.uint8), scores.astype(np.float32), rivals.astype(np.uint8))
