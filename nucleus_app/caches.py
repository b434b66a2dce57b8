"""Files that can be made again at any time: what nobody used for a season is removed, so that a disk does not fill."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

UNUSED_DAYS = 90


def mark_used(paths: Iterable[Path]) -> None:
    """These files are in use today. One that cannot be marked is made again one day."""
    for path in paths:
        with suppress(OSError):
            path.touch()


def remove_unused(folder: Path) -> None:
    """Remove the files of a folder, and of those in it, that were not used for UNUSED_DAYS; then the folders that are empty."""
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for root, _, names in os.walk(folder, topdown=False):  # which passes over folders that vanish meanwhile
        for path in (Path(root) / name for name in names):
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
        if Path(root) != folder:
            with suppress(OSError):
                Path(root).rmdir()  # fails unless it is empty
