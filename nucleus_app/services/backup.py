"""A copy of a data folder that can be used as one, made while the app runs."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import make_url

from db.migrate import copy_database
from nucleus_app.errors import NotFound, NucleusAppError, StorageFull, is_disk_full
from nucleus_app.settings import Settings


class Copied(NamedTuple):
    """``blobs``: images, versions and signed reports in the copy; ``new``: so many of them were not there before."""

    blobs: int
    new: int


def back_up(settings: Settings, folder: Path) -> Copied:
    """Copy database and blobs into a folder, which may hold an earlier copy: then only what is new is copied.

    The database first: what it names was stored before it, so that the copy lacks nothing. Raises NucleusAppError where
    this is not all there is, NotFound without anything to copy, StorageFull.
    """
    url = make_url(settings.sqlalchemy_url)
    if url.get_backend_name() != "sqlite" or settings.blob_url:
        raise NucleusAppError(
            "The database or the blobs are not in the data folder: copy them by their own tools, first the database (pg_dump), "
            "then the blobs."
        )
    database, blobs = Path(url.database or ""), settings.data_dir.resolve() / "blobs"
    if not database.is_file():
        raise NotFound(f"There is no database at {database}: nothing was copied. Check NUCLEUS_DATA_DIR.")
    if folder.resolve() == settings.data_dir.resolve():
        raise NucleusAppError(f"{folder} is the data folder itself: give another one, best on another disk.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copy_database(database, folder / "nucleus.sqlite")
        return _copy_blobs(blobs, folder / "blobs")
    except (OSError, sqlite3.OperationalError) as error:
        if is_disk_full(error):
            raise StorageFull(f"There is no room for the copy in {folder}: free some space and try again.") from error
        raise


def _copy_blobs(source: Path, target: Path) -> Copied:
    count = new = 0
    for path in sorted(source.glob("??/*")):
        kept = target / path.relative_to(source)
        with suppress(FileNotFoundError):  # an upload that failed meanwhile took its pixels away again
            if not (kept.is_file() and kept.stat().st_size == path.stat().st_size):  # a blob never changes
                kept.parent.mkdir(parents=True, exist_ok=True)
                partial = kept.with_name(f"{kept.name}.partial")
                shutil.copyfile(path, partial)
                partial.replace(kept)
                new += 1
            count += 1
    return Copied(count, new)
