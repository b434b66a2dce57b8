"""What may be made again at any time does not fill the disk."""

from __future__ import annotations

import os
import time
from pathlib import Path

from nucleus_app.caches import UNUSED_DAYS, mark_used, remove_unused

DAY_S = 24 * 3600


def put(path: Path, days_ago: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"made")
    then = time.time() - days_ago * DAY_S
    os.utime(path, (then, then))
    return path


def test_only_what_nobody_used_for_a_season_is_removed_with_the_folders_it_leaves_empty(tmp_path: Path) -> None:
    old = [put(tmp_path / "a" / "old", UNUSED_DAYS + 1), put(tmp_path / "b" / "old", UNUSED_DAYS + 1)]
    new = [put(tmp_path / "b" / "new", UNUSED_DAYS - 1), put(tmp_path / "new", 0)]
    remove_unused(tmp_path)
    assert all(path.is_file() for path in new)
    assert not any(path.exists() for path in old)
    assert not (tmp_path / "a").exists()


def test_a_version_that_is_used_keeps_all_that_was_made_from_it(tmp_path: Path) -> None:
    weights, graph = put(tmp_path / "1234.safetensors", 200), put(tmp_path / "1234-peaks.openvino", 200)
    other = put(tmp_path / "5678.safetensors", 200)
    mark_used(tmp_path.glob("1234*"))
    remove_unused(tmp_path)
    assert weights.is_file()
    assert graph.is_file()
    assert not other.exists()


def test_a_folder_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    remove_unused(tmp_path / "networks")
    mark_used([tmp_path / "networks" / "1234"])
    assert not list(tmp_path.iterdir())
