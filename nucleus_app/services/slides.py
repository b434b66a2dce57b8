"""Whole slides: keeping a file for a while, showing it, and cutting fields out of it, which become images."""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

import db.slides
from db.cases import list_sign_offs
from db.engine import session_scope
from db.images import StoredImage, get_image
from db.slides import CutField, NewSlide, StoredSlide, add_cut, add_slide, get_slide, list_cuts, list_slides, lock_slide
from nucleus_app.domain.scale import check_extent
from nucleus_app.errors import InvalidImage, NotFound, NucleusAppError, StorageFull, is_disk_full
from nucleus_app.imaging.brown import BrownMap, find_brown_spots, map_brown
from nucleus_app.imaging.reader import MIN_SIDE_PX, ReadImage
from nucleus_app.imaging.slides import Box, Slide, find_maker
from nucleus_app.services.intake import MAX_LABEL, Place, clean_label, store_image
from nucleus_app.services.memory import Memory
from nucleus_app.services.workplace import Workplace

logger = logging.getLogger(__name__)
EXPIRY_EVERY_S = 3600.0
_FILE = re.compile("[0-9a-f]{32}")
MOST_OPEN = 4
KEPT_MAPS = 8


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


def remove_slide(workplace: Workplace, slide_id: int) -> None:
    """Delete a slide's file; what was cut out of it stays. Raises NotFound."""
    with session_scope(workplace.engine, write=True) as session:
        slide = lock_slide(session, slide_id)
        db.slides.remove_slide(session, slide_id, datetime.now(UTC))
    _path(workplace, slide.file).unlink(missing_ok=True)


def remove_expired(workplace: Workplace) -> None:
    """Delete slides that were kept long enough, and files that no slide names: a kill fell between row and file."""
    found = [path for path in _path(workplace, "").glob("*") if _FILE.fullmatch(path.name)]
    with session_scope(workplace.engine) as session:
        slides = list_slides(session)
    for slide in slides:
        if datetime.now(UTC) >= _expiry(workplace, slide):
            with suppress(NotFound):  # another process was first
                remove_slide(workplace, slide.id)
    named = {slide.file for slide in slides}
    for path in found:
        if path.name not in named:
            path.unlink(missing_ok=True)


def watch_expiry(workplace: Workplace) -> None:
    """Delete what was kept long enough every hour, also where nobody looks, as long as this process lives."""

    def watch() -> None:
        while True:
            try:
                remove_expired(workplace)
            except Exception:
                logger.exception("slides that were kept long enough could not be deleted")
            time.sleep(EXPIRY_EVERY_S)

    threading.Thread(target=watch, name="slides", daemon=True).start()


class SlideShelf:
    """The slides looked at last, open; those of which a part could not be read are opened anew. What reads much has the slide
    for itself, and one does at a time: a field of 150 megapixels takes a gigabyte while it is cut.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._open: OrderedDict[int, Slide] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._maps: Memory[BrownMap] = Memory(KEPT_MAPS)

    def descriptor(self, slide_id: int, key: str) -> str:
        """For Deep Zoom. ``key``: the file's name, which the address holds. Raises NotFound."""
        with self._get(slide_id, key) as slide:
            return slide.descriptor

    def tile(self, slide_id: int, key: str, level: int, column: int, row: int) -> bytes:
        """One tile as JPEG. Raises NotFound, InvalidImage where the file is damaged."""
        with self._get(slide_id, key) as slide:
            return slide.tile(level, column, row)

    def find_brown(self, slide_id: int, mm2: float) -> dict[str, Any]:
        """Where the slide is brown, and the brownest squares of so many mm², as JSON types. Raises NotFound, InvalidImage."""
        stored, cuts = self._read(slide_id)
        with self._turn, self._load(stored) as slide:
            brown = self._maps.get(slide_id, lambda: map_brown(*slide.overview(), _mpp(slide)))
        return _brown_to_mapping(stored, brown, mm2, [cut.box for cut in cuts])

    def cut(self, slide_id: int, box: Box) -> StoredImage:
        """Cut a field out of a slide: it becomes an image, and is scored if the slide states its pixel size. The same box again is
        the same image: a request whose answer was lost may be repeated.

        Raises InvalidImage for a box that lies outside, is too small or too large, UnknownPixelSize for one that is too
        large at its pixel size, NotFound, SignedOff, StorageFull; then nothing is kept.
        """
        with self._turn:
            stored, cuts = self._read(slide_id)
            self._check_box(stored, box)
            for cut in cuts:
                if cut.box == box:
                    with session_scope(self._workplace.engine) as session:
                        return get_image(session, cut.image_id)
            with self._load(stored) as slide:
                image = ReadImage(slide.cut(box), "", slide.maker or "TIFF", slide.pixel_size, ())
            return store_image(
                self._workplace,
                image,
                lambda session: _find_place(session, slide_id),
                lambda session, image: add_cut(session, slide_id, image.id, box[0], box[1]),
            )

    def _read(self, slide_id: int) -> tuple[StoredSlide, list[CutField]]:
        with session_scope(self._workplace.engine) as session:
            return get_slide(session, slide_id), list_cuts(session, [slide_id])

    def _check_box(self, slide: StoredSlide, box: Box) -> None:
        left, top, right, bottom = box
        if not (0 <= left < right <= slide.width_px and 0 <= top < bottom <= slide.height_px):
            raise InvalidImage(
                f"The field lies outside the slide of {slide.width_px} × {slide.height_px} pixels: place it on the slide."
            )
        width, height, most = right - left, bottom - top, self._workplace.settings.max_megapixels
        if min(width, height) < MIN_SIDE_PX:
            raise InvalidImage(
                f"The field has {width} × {height} pixels; at least {MIN_SIDE_PX} are needed on each side."
            )
        if width * height > most * 1_000_000:
            raise InvalidImage(
                f"The field has {width * height / 1e6:.0f} megapixels; up to {most} are scored at once: take a smaller one."
            )
        if slide.pixel_size is not None:
            check_extent(width, height, slide.pixel_size.mpp, most)

    @contextmanager
    def _get(self, slide_id: int, key: str) -> Iterator[Slide]:
        with session_scope(self._workplace.engine) as session:
            stored = get_slide(session, slide_id)  # another process may have removed it
        if stored.file != key:
            raise NotFound(f"There is no slide {slide_id} of that key: load the page again.")
        with self._lock:
            slide = self._open.get(slide_id)
            if slide is None:
                slide = self._open[slide_id] = self._load(stored)
            self._open.move_to_end(slide_id)
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)  # closed when the last thread that reads of it is done
        try:
            yield slide
        except InvalidImage:
            with self._lock:
                self._open.pop(slide_id, None)
            raise

    def _load(self, slide: StoredSlide) -> Slide:
        path = _path(self._workplace, slide.file)
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


def _mpp(slide: Slide | StoredSlide) -> float | None:
    return slide.pixel_size.mpp if slide.pixel_size else None


def _brown_to_mapping(slide: StoredSlide, brown: BrownMap, mm2: float, taken: Sequence[Box]) -> dict[str, Any]:
    rows, columns = brown.stain.shape
    mpp = _mpp(slide)
    side_px = 1000 * math.sqrt(mm2) / mpp if mpp else None
    spots = find_brown_spots(brown, slide.width_px, slide.height_px, side_px, taken)
    return {
        "size_px": brown.size_px, "columns": columns, "rows": rows,
        "brown": [None if math.isnan(share) else round(share, 3) for share in brown.share.ravel().tolist()],
        "spots": [{"box": spot.box, "brown": round(spot.share, 3)} for spot in spots],
    }  # fmt: skip


def _find_place(session: Session, slide_id: int) -> Place:
    """The next field's label, and its case: that of the last one, which may have been moved since."""
    slide = lock_slide(session, slide_id)
    cuts = list_cuts(session, [slide_id])
    number = f" · {len(cuts) + 1}"
    return Place(slide.label[: MAX_LABEL - len(number)] + number, cuts[-1].case_id if cuts else slide.case_id)


def _to_mapping(workplace: Workplace, slide: StoredSlide, cuts: Sequence[CutField], signed: set[int]) -> dict[str, Any]:
    case_id = cuts[-1].case_id if cuts else slide.case_id
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


def _path(workplace: Workplace, file: str) -> Path:
    return workplace.settings.slides_dir / file
