from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nucleus_app.__main__ import main
from nucleus_app.errors import NotFound, NucleusAppError, StorageFull
from nucleus_app.services.backup import back_up
from nucleus_app.services.intake import take_in
from nucleus_app.services.scored_images import list_scored_images
from nucleus_app.settings import Settings
from tests.conftest import OpenWorkplace


def write_image(folder: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder / f"{seed}.png"


def test_a_copy_made_under_load_is_a_data_folder_that_lacks_nothing(
    settings: Settings, open_at: OpenWorkplace, tmp_path: Path
) -> None:
    workplace, stop = open_at(settings), threading.Event()
    paths = [write_image(tmp_path, seed) for seed in range(60)]

    def keep_uploading() -> None:
        for path in paths:
            if stop.is_set():
                return
            take_in(workplace, path, path.name)

    take_in(workplace, write_image(tmp_path, 99), "first.png")
    uploads = threading.Thread(target=keep_uploading)
    uploads.start()
    try:
        for n in range(5):
            back_up(settings, tmp_path / "copy")
            copy = open_at(replace(settings, data_dir=tmp_path / "copy"))
            images = list_scored_images(copy)
            assert images, n
            assert all(copy.blobs.get(image.image.blob) for image in images)
            copy.engine.dispose()
    finally:
        stop.set()
        uploads.join()
    before = back_up(settings, tmp_path / "copy")
    assert back_up(settings, tmp_path / "copy") == before._replace(new=0)


def test_a_full_disk_says_so(
    settings: Settings, open_at: OpenWorkplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_at(settings)

    def copy(source: Path, copy: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("nucleus_app.services.backup.copy_database", copy)
    with pytest.raises(StorageFull, match="no room for the copy"):
        back_up(settings, tmp_path / "copy")


def test_what_cannot_be_copied_whole_is_not_copied(
    settings: Settings, open_at: OpenWorkplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with pytest.raises(NotFound, match="nothing was copied"):
        back_up(settings, tmp_path / "copy")
    open_at(settings)
    with pytest.raises(NucleusAppError, match="the data folder itself"):
        back_up(settings, settings.data_dir)
    with pytest.raises(NucleusAppError, match="first the database"):
        back_up(replace(settings, blob_url="memory://x"), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    monkeypatch.setenv("NUCLEUS_DATA_DIR", str(settings.data_dir))
    assert main(["backup", str(tmp_path / "copy")]) == 0
    assert "the database and 0 blobs, 0 of them new" in capsys.readouterr().out
