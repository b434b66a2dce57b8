"""Store of images: functions that take a Session and never commit. One that was removed is there for nobody who does not ask for
removed ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.cases import add_case, change_sheet, lock_case
from db.tables import ImageRow, SlideFieldRow, SlideRow
from nucleus_app.domain.scale import PixelSize
from nucleus_app.domain.sheet import CaseSheet
from nucleus_app.errors import NotFound

_IS_THERE = ImageRow.removed.is_(None)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as the rest of the app sees it. ``sha256`` is of the file that came, ``blob`` names its pixels."""

    id: int
    sha256: str
    blob: str
    label: str
    format: str
    width_px: int
    height_px: int
    pixel_size: PixelSize | None
    notes: tuple[str, ...]
    is_synthetic: bool
    taken_in: datetime
    case_id: int
    removed: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewImage:
    """``case_id`` None: it gets a case of its own."""

    sha256: str
    blob: str
    label: str
    format: str
    width_px: int
    height_px: int
    pixel_size: PixelSize | None
    notes: tuple[str, ...]
    is_synthetic: bool = False
    case_id: int | None = None


def add_image(session: Session, image: NewImage, now: datetime) -> StoredImage:
    """An image and its place in a case: one field more, all of the image. Raises NotFound for a case that is not there."""
    case = lock_case(session, image.case_id) if image.case_id else add_case(session, CaseSheet(), now)
    row = ImageRow(
        sha256=image.sha256,
        blob=image.blob,
        label=image.label,
        format=image.format,
        width_px=image.width_px,
        height_px=image.height_px,
        mpp=image.pixel_size.mpp if image.pixel_size else None,
        mpp_source=image.pixel_size.source if image.pixel_size else None,
        notes=list(image.notes),
        is_synthetic=image.is_synthetic,
        taken_in=now,
        case_id=case.id,
    )
    session.add(row)
    session.flush()
    change_sheet(session, case.id, case.sheet.with_whole_image(row.id), "", now)
    return _stored(row)


def get_image(session: Session, image_id: int) -> StoredImage:
    """Raises NotFound, also for one that was removed."""
    return _stored(_get_row(session, image_id))


def has_images(session: Session) -> bool:
    """Whether there ever was one."""
    return session.scalar(select(ImageRow.id).limit(1)) is not None


def is_blob_used(session: Session, blob: str) -> bool:
    """True while an image has these pixels or this overview of its slide, or had them when it was removed and they are not
    deleted yet.
    """
    kept = select(ImageRow.id).where(ImageRow.deleted.is_(None))
    overviews = kept.join(SlideFieldRow, SlideFieldRow.image_id == ImageRow.id).where(SlideFieldRow.overview == blob)
    return any(session.scalar(used.limit(1)) for used in (kept.where(ImageRow.blob == blob), overviews))


def find_same_file(session: Session, image: StoredImage) -> StoredImage | None:
    """The first image of another case that was taken in from the same file before this one."""
    same = select(ImageRow).where(
        ImageRow.sha256 == image.sha256, ImageRow.id < image.id, ImageRow.case_id != image.case_id, _IS_THERE
    )
    row = session.scalars(same.order_by(ImageRow.id).limit(1)).first()
    return _stored(row) if row else None


def list_images(session: Session, limit: int) -> list[StoredImage]:
    """Latest first."""
    latest = select(ImageRow).where(_IS_THERE).order_by(ImageRow.id.desc()).limit(limit)
    return [_stored(row) for row in session.scalars(latest)]


def list_case_ids(session: Session) -> list[int]:
    """Cases that have an image, those with the latest images first."""
    of_cases = select(ImageRow.case_id).where(_IS_THERE).group_by(ImageRow.case_id)
    return list(session.scalars(of_cases.order_by(func.max(ImageRow.id).desc())))


def list_images_of(session: Session, case_ids: list[int], *, with_removed: bool = False) -> list[StoredImage]:
    """The images of cases, in the order in which they came."""
    rows = select(ImageRow).where(ImageRow.case_id.in_(case_ids)).order_by(ImageRow.id)
    return [_stored(row) for row in session.scalars(rows if with_removed else rows.where(_IS_THERE))]


def move_image(session: Session, image_id: int, case_id: int) -> None:
    _get_row(session, image_id).case_id = case_id


def rename_image(session: Session, image_id: int, label: str) -> None:
    _get_row(session, image_id).label = label


def note_image_removal(session: Session, image_id: int, now: datetime) -> None:
    """Note that an image is no case's any more; its pixels stay for now. Raises NotFound."""
    _get_row(session, image_id).removed = now


def list_removed_images(session: Session, limit: int | None = None) -> list[StoredImage]:
    """Those that can be put back, removed last first."""
    rows = select(ImageRow).where(ImageRow.removed.is_not(None), ImageRow.deleted.is_(None))
    latest = rows.order_by(ImageRow.removed.desc(), ImageRow.id.desc()).limit(limit)
    return [_stored(row) for row in session.scalars(latest)]


def get_removed_image(session: Session, image_id: int) -> StoredImage:
    """Raises NotFound for one that was not removed, or whose pixels are gone."""
    return _stored(_get_removed_row(session, image_id))


def put_back_image(session: Session, image_id: int) -> None:
    """Undo the removal of an image. Raises NotFound."""
    _get_removed_row(session, image_id).removed = None


def note_image_deletion(session: Session, image_id: int, now: datetime) -> None:
    """Note that the pixels of a removed image are gone, and forget its label, which may be a name. Raises NotFound."""
    row = _get_removed_row(session, image_id)
    row.deleted, row.label = now, ""
    session.flush()


def _get_row(session: Session, image_id: int) -> ImageRow:
    session.flush()
    row = session.get(ImageRow, image_id, populate_existing=True)  # others may have moved it
    if row is None:
        raise NotFound(f"There is no image {image_id}: choose one from the list.")
    if row.removed is not None:
        raise NotFound(f"Image {image_id} was removed: choose another one from the list.")
    return row


def _get_removed_row(session: Session, image_id: int) -> ImageRow:
    session.flush()
    row = session.get(ImageRow, image_id, populate_existing=True)
    if row is None or row.removed is None or row.deleted is not None:
        raise NotFound(f"Image {image_id} is not among those that were removed and can be put back (any more).")
    return row


def to_pixel_size(row: ImageRow | SlideRow) -> PixelSize | None:
    """As the file stated it."""
    return PixelSize(row.mpp, row.mpp_source or "") if row.mpp is not None else None


def _stored(row: ImageRow) -> StoredImage:
    return StoredImage(
        row.id, row.sha256, row.blob, row.label, row.format, row.width_px, row.height_px, to_pixel_size(row),
        tuple(row.notes), row.is_synthetic, row.taken_in, row.case_id, row.removed,
    )  # fmt: skip
