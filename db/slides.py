"""Store of whole slides and of what was cut out of them. Functions never commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db.images import to_pixel_size
from db.tables import ImageRow, SlideFieldRow, SlideRow
from nucleus_app.domain.scale import PixelSize
from nucleus_app.errors import NotFound


@dataclass(frozen=True, slots=True)
class NewSlide:
    """``file``: its name in the folder of slides. ``maker``: of the scanner, may be empty. ``case_id``: the case it was dropped into."""

    file: str
    maker: str
    label: str
    width_px: int
    height_px: int
    pixel_size: PixelSize | None
    case_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSlide(NewSlide):
    id: int
    taken_in: datetime


@dataclass(frozen=True, slots=True)
class CutField:
    """An image cut out of a slide; ``box``: left, top, right, bottom in pixels of the slide, corners between pixels; ``overview``:
    blob of a small picture of that slide, empty for fields that were cut before there were such.
    """

    slide_id: int
    image_id: int
    case_id: int
    label: str
    box: tuple[int, int, int, int]
    overview: str
    slide_size_px: tuple[int, int]


def add_slide(session: Session, slide: NewSlide, now: datetime) -> StoredSlide:
    row = SlideRow(
        file=slide.file,
        maker=slide.maker,
        label=slide.label,
        width_px=slide.width_px,
        height_px=slide.height_px,
        mpp=slide.pixel_size.mpp if slide.pixel_size else None,
        mpp_source=slide.pixel_size.source if slide.pixel_size else None,
        taken_in=now,
        case_id=slide.case_id,
    )
    session.add(row)
    session.flush()
    return _stored(row)


def get_slide(session: Session, slide_id: int) -> StoredSlide:
    """Raises NotFound, also for one that was removed."""
    return _stored(_get_row(session, slide_id))


def lock_slide(session: Session, slide_id: int) -> StoredSlide:
    """A slide that nobody else cuts or removes until this transaction ends. Raises NotFound."""
    session.execute(select(SlideRow.id).where(SlideRow.id == slide_id).with_for_update())
    return get_slide(session, slide_id)


def list_slides(session: Session) -> list[StoredSlide]:
    """Those that are there, latest first."""
    rows = select(SlideRow).where(SlideRow.removed.is_(None)).order_by(SlideRow.taken_in.desc(), SlideRow.id.desc())
    return [_stored(row) for row in session.scalars(rows)]


def renew_slide(session: Session, slide_id: int, now: datetime) -> StoredSlide:
    """As if it had been taken in now. Raises NotFound."""
    lock_slide(session, slide_id)
    row = _get_row(session, slide_id)
    row.taken_in = now
    return _stored(row)


def note_removal(session: Session, slide_id: int, now: datetime) -> None:
    """Note that its file is gone; what was cut out of it stays. Raises NotFound."""
    _get_row(session, slide_id).removed = now


def add_cut(session: Session, slide_id: int, image_id: int, left_px: int, top_px: int, overview: str) -> None:
    session.add(SlideFieldRow(image_id=image_id, slide_id=slide_id, left_px=left_px, top_px=top_px, overview=overview))
    session.flush()


def find_overview(session: Session, image_id: int) -> str | None:
    """The overview's blob of an image that was cut out of a slide, removed or not."""
    return session.scalar(select(SlideFieldRow.overview).where(SlideFieldRow.image_id == image_id))


def list_cuts(session: Session, slide_ids: list[int], *, with_removed: bool = False) -> list[CutField]:
    """What was cut out of slides and not removed since, in the order in which it was cut."""
    return _list_cuts(session, SlideFieldRow.slide_id.in_(slide_ids), with_removed=with_removed)


def find_case(slide: StoredSlide, cuts: Sequence[CutField]) -> int | None:
    """Where a slide's next field goes: to the last one, which may have been moved since; None for a case of its own."""
    return cuts[-1].case_id if cuts else slide.case_id


def _list_cuts(session: Session, which: ColumnElement[bool], *, with_removed: bool = False) -> list[CutField]:
    rows = (
        select(SlideFieldRow, ImageRow, SlideRow)
        .join(ImageRow, ImageRow.id == SlideFieldRow.image_id)
        .join(SlideRow, SlideRow.id == SlideFieldRow.slide_id)
    )
    shown = rows if with_removed else rows.where(ImageRow.removed.is_(None))
    found = session.execute(shown.where(which).order_by(ImageRow.id))
    return [
        CutField(
            cut.slide_id, image.id, image.case_id, image.label,
            (cut.left_px, cut.top_px, cut.left_px + image.width_px, cut.top_px + image.height_px),
            cut.overview or "", (slide.width_px, slide.height_px),
        )
        for cut, image, slide in found
    ]  # fmt: skip


def find_cuts_of(session: Session, image_ids: list[int]) -> dict[int, CutField]:
    """How each of these images was cut out of a slide; those that were not are left out."""
    return {cut.image_id: cut for cut in _list_cuts(session, SlideFieldRow.image_id.in_(image_ids))}


def _get_row(session: Session, slide_id: int) -> SlideRow:
    row = session.get(SlideRow, slide_id, populate_existing=True)
    if row is None or row.removed is not None:
        raise NotFound(f"There is no slide {slide_id} (any more): drop the file again to choose fields on it.")
    return row


def _stored(row: SlideRow) -> StoredSlide:
    return StoredSlide(
        row.file, row.maker, row.label, row.width_px, row.height_px, to_pixel_size(row), row.case_id,
        id=row.id, taken_in=row.taken_in,
    )  # fmt: skip
