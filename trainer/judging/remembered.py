"""Answers of a version that are asked for again and again, kept in a folder: the network runs once an image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from nucleus_app import __version__
from nucleus_app.caches import mark_used
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.packing import pack_nuclei, unpack_nuclei
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.whole_files import writing_whole


class Finder(Protocol):
    """What the gate needs of a predictor."""

    @property
    def version(self) -> Version: ...

    def find(self, rgb: Rgb, mpp: float) -> Nuclei:
        """All nuclei of an image (H, W, 3) uint8 of ``mpp`` µm/px, in its own pixels."""
        ...


class Lazy:
    """A version that is opened when it is first asked: where all answers are remembered, never."""

    def __init__(self, version: Version, open_version: Callable[[Version], Finder]) -> None:
        self._version = version
        self._open = open_version
        self._opened: Finder | None = None

    @property
    def version(self) -> Version:
        return self._version

    def find(self, rgb: Rgb, mpp: float) -> Nuclei:
        if self._opened is None:
            self._opened = self._open(self._version)
        return self._opened.find(rgb, mpp)


class Remembered:
    """A finder with a folder of its answers, by version, image and release of the app. What cannot be kept or read is found
    again.
    """

    def __init__(self, finder: Finder, folder: Path) -> None:
        self._finder = finder
        self._folder = folder / f"{finder.version.sha256[:16]}-{__version__}"

    @property
    def version(self) -> Version:
        return self._finder.version

    def find(self, rgb: Rgb, mpp: float) -> Nuclei:
        digest = hashlib.sha256(f"{rgb.shape} {mpp!r}".encode())
        digest.update(np.ascontiguousarray(rgb).data)
        kept = self._folder / f"{digest.hexdigest()[:32]}.nuclei"
        try:
            answer = unpack_nuclei(kept.read_bytes())
        except (OSError, ValueError):
            found = self._finder.find(rgb, mpp)
        else:
            mark_used([kept])
            return answer
        keep_file(kept, pack_nuclei(found))
        return found


def keep_file(path: Path, content: bytes) -> None:
    """Write a file that others can do without: whole, or not at all."""
    with suppress(OSError), writing_whole(path) as partial:
        partial.write_bytes(content)
