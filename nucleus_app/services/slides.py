"""Files of whole slides: kept for a while to choose fields on (decision 0011)."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from filecmp import cmp
from pathlib import Path
from typing import Any

from db.cases import list_sign_offs
from db.engine import session_scope
from db.slides import (
    CutField,
    NewSlide,
    StoredSlide,
    add_slide,
    find_case,
    list_cuts,
    list_slides,
    lock_slide,
    note_removal,
    renew_slide,
)
from nucleus_app.errors import InvalidImage, NotFound, NucleusAppError, StorageFull, is_disk_full
from nucleus_app.imaging.slides import Slide, find_maker
from nucleus_app.services.intake import clean_label
from nucleus_app.services.workplace import Workplace

_FILE = re.compile("[0-9a-f]{32}")


def take_in_slide(workplace: Workplace, path: Path, name: str, case_id: int | None = None) -> StoredSlide:
    """Keep the file of a slide to choose fields on: it is moved, not copied. Its fields go into the case, or into one of
    their own.

    Raises InvalidImage when it is damaged or cannot be browsed, StorageFull; then nothing is kept.
    """
    remove_expired(workplace)
    maker = find_maker(path)
    if maker is None:
        raise InvalidImage("The file is no slide that this app can read: export fields of it.")
    with Slide(path, maker) as slide:
        slide.check_can_be_browsed()
        slide.tile(0, 0, 0)  # so that what is damaged is told now
        new = NewSlide(
            uuid.uuid4().hex, maker, clean_label(name), slide.width_px, slide.height_px, slide.pixel_size, case_id
        )
    with session_scope(workplace.engine, write=True) as session:  # a file without a row is a stray
        stored = add_slide(session, new, datetime.now(UTC))
    kept = _path(workplace, new.file)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, kept)
    except OSError as error:
        remove_slide(workplace, stored.id)
        if is_disk_full(error):
            raise StorageFull from error
        # Its own words hold the file's name, which may be a patient's.
        raise NucleusAppError(f"The slide could not be kept ({os.strerror(error.errno or 0)}): try again.") from None
    return stored


def reopen_slide(workplace: Workplace, path: Path, case_id: int | None = None) -> StoredSlide | None:
    """The kept slide that is this very file, whatever it is called now, kept from now on for as long as a new one. None where
    there is none, or its next field would go into a signed case, or not into the one that is named: then the file is a slide
    of its own. It stays where it is.
    """
    for slide in list_slides_to_show(workplace):
        fits = not slide["signed"] and case_id in (None, slide["case"])
        if fits and _are_same(path, _path(workplace, slide["key"])):
            with suppress(NotFound), session_scope(workplace.engine, write=True) as session:  # removed meanwhile
                return renew_slide(session, slide["id"], datetime.now(UTC))
    return None


def _are_same(path: Path, kept: Path) -> bool:
    try:
        return path.stat().st_size == kept.stat().st_size and cmp(path, kept, shallow=False)
    except OSError:  # deleted meanwhile
        return False


def remove_slide(workplace: Workplace, slide_id: int, *, expired_only: bool = False) -> None:
    """Delete a slide's file; what was cut out of it stays. Raises NotFound."""
    with session_scope(workplace.engine, write=True) as session:
        slide = lock_slide(session, slide_id)
        if expired_only and not _is_expired(workplace, slide):  # it was dropped again meanwhile
            return
        note_removal(session, slide_id, datetime.now(UTC))
    _path(workplace, slide.file).unlink(missing_ok=True)


def remove_expired(workplace: Workplace) -> None:
    """Delete slides that were kept long enough, and files that no slide names: a kill fell between row and file."""
    found = [path for path in _path(workplace, "").glob("*") if _FILE.fullmatch(path.name)]
    with session_scope(workplace.engine) as session:
        slides = list_slides(session)
    for slide in slides:
        if _is_expired(workplace, slide):
            with suppress(NotFound):  # another process was first
                remove_slide(workplace, slide.id, expired_only=True)
    named = {slide.file for slide in slides}
    for path in found:
        if path.name not in named:
            path.unlink(missing_ok=True)


def open_slide(workplace: Workplace, slide: StoredSlide) -> Slide:
    """A slide's file, to be closed. Raises NotFound, InvalidImage where it is damaged."""
    path = _path(workplace, slide.file)
    if not path.is_file():  # a restored copy of the data folder has none
        raise NotFound("The slide's file is not on this machine (any more): drop it again to choose fields on it.")
    return Slide(path, slide.maker)


def list_slides_to_show(workplace: Workplace) -> list[dict[str, Any]]:
    """The slides that fields can be chosen on, latest first, as JSON types. Those of another machine are not."""
    with session_scope(workplace.engine) as session:
        slides = [slide for slide in list_slides(session) if _path(workplace, slide.file).is_file()]
        cuts = list_cuts(session, [slide.id for slide in slides])
        signed = {
            case_id
            for case_id, last in list_sign_offs(
                session, sorted({*(cut.case_id for cut in cuts), *(s.case_id for s in slides if s.case_id)})
            ).items()
            if last.is_signed
        }
    return [
        _to_mapping(workplace, slide, [cut for cut in cuts if cut.slide_id == slide.id], signed) for slide in slides
    ]


def _to_mapping(workplace: Workplace, slide: StoredSlide, cuts: Sequence[CutField], signed: set[int]) -> dict[str, Any]:
    case_id = find_case(slide, cuts)
    return {
        "id": slide.id, "key": slide.file, "label": slide.label, "width_px": slide.width_px, "height_px": slide.height_px,
        "mpp": slide.pixel_size.mpp if slide.pixel_size else None,
        "mpp_source": slide.pixel_size.source if slide.pixel_size else None,
        "case": case_id, "signed": case_id in signed,
        "taken_in": slide.taken_in.isoformat(), "removed_after": _expiry(workplace, slide).isoformat(),
        "fields": [{"image": cut.image_id, "label": cut.label, "box": cut.box} for cut in cuts],
    }  # fmt: skip


def _expiry(workplace: Workplace, slide: StoredSlide) -> datetime:
    return slide.taken_in + timedelta(days=workplace.settings.keep_slides_days)


def _is_expired(workplace: Workplace, slide: StoredSlide) -> bool:
    return datetime.now(UTC) >= _expiry(workplace, slide)


def _path(workplace: Workplace, file: str) -> Path:
    return workplace.settings.slides_dir / file
