"""Looking at slides and cutting fields out of them, which become images."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.orm import Session

from db.engine import session_scope
from db.images import StoredImage, get_image
from db.slides import CutField, StoredSlide, add_cut, find_case, get_slide, list_cuts, lock_slide
from nucleus_app.domain.scale import check_extent
from nucleus_app.errors import InvalidImage, NotFound
from nucleus_app.imaging.brown import BrownMap, find_brown_spots, map_brown
from nucleus_app.imaging.reader import MIN_SIDE_PX, ReadImage, encode_png
from nucleus_app.imaging.slides import Box, Slide
from nucleus_app.services.intake import MAX_LABEL, Place, store_image
from nucleus_app.services.kept import keep_picture
from nucleus_app.services.memory import Memory
from nucleus_app.services.slides import open_slide
from nucleus_app.services.workplace import Workplace

MOST_OPEN = 4
KEPT_MAPS = 8
OVERVIEW_PX = 480
"""Longest side of the small picture of the slide that is kept with each field, for its report."""


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
        self._overviews: Memory[bytes] = Memory(KEPT_MAPS)

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
        with self._turn:
            brown = self._maps.get(slide_id, lambda: self._map(stored))
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
            with open_slide(self._workplace, stored) as slide:
                image = ReadImage(slide.cut(box), "", slide.maker or "TIFF", slide.pixel_size, ())
                overview = self._overviews.get(slide_id, lambda: encode_png(slide.picture(OVERVIEW_PX)))
            with keep_picture(self._workplace, overview) as kept:

                def note(session: Session, image: StoredImage) -> None:
                    add_cut(session, slide_id, image.id, box[0], box[1], kept.blob)
                    kept.hold()

                return store_image(self._workplace, image, lambda session: _find_place(session, slide_id), note)

    def _map(self, stored: StoredSlide) -> BrownMap:
        with open_slide(self._workplace, stored) as slide:
            return map_brown(*slide.overview(), _mpp(stored))

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
                slide = self._open[slide_id] = open_slide(self._workplace, stored)
            self._open.move_to_end(slide_id)
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)  # closed when the last thread that reads of it is done
        try:
            yield slide
        except InvalidImage:
            with self._lock:
                self._open.pop(slide_id, None)
            raise


def _mpp(slide: StoredSlide) -> float | None:
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
    """The next field's label, and its case: that of the last one, which may have been moved since. Fields that were removed have
    their numbers still, and their case where there is no other.
    """
    slide = lock_slide(session, slide_id)
    ever = list_cuts(session, [slide_id], with_removed=True)
    number = f" · {len(ever) + 1}"
    cuts = list_cuts(session, [slide_id]) or ever
    return Place(slide.label[: MAX_LABEL - len(number)] + number, find_case(slide, cuts))
