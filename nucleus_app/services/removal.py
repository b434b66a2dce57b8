"""Taking images out of the app. For a while each can be put back as it was; then its pixels are deleted."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.cases import change_sheet, find_sheet_before
from db.engine import session_scope, take_turns
from db.images import (
    StoredImage,
    get_image,
    get_removed_image,
    list_removed_images,
    note_image_deletion,
    note_image_removal,
    put_back_image,
)
from db.scorings import find_latest_scoring, queue_scoring
from db.slides import find_overview
from nucleus_app.domain.line import to_line
from nucleus_app.domain.sheet import FieldPlan
from nucleus_app.errors import InvalidCase, NotFound
from nucleus_app.services.kept import discard_unused
from nucleus_app.services.locks import lock_case_at, lock_open_case
from nucleus_app.services.submissions import MAX_READER
from nucleus_app.services.workplace import Workplace

logger = logging.getLogger(__name__)
LISTED = 500


def remove_image(workplace: Workplace, case_id: int, rev: int, reader: str, image_id: int) -> None:
    """Take an image and its fields out of its case, and out of sight. A case without any other is seen no more.

    Raises NotFound, StaleRevision, SignedOff, InvalidCase for an image of another case.
    """
    now = datetime.now(UTC)
    with session_scope(workplace.engine, write=True) as session:
        case = lock_case_at(session, case_id, rev)
        _check_case(get_image(session, image_id), case_id)
        note_image_removal(session, image_id, now)
        change_sheet(session, case_id, case.sheet.without_image(image_id), to_line(reader, MAX_READER), now)


def put_back(workplace: Workplace, case_id: int, reader: str, image_id: int) -> None:
    """Give an image back to the case that it was taken out of, with the fields that it had and its corrections. What the worker
    gave up meanwhile is queued again.

    Raises NotFound, also once its pixels are gone; SignedOff; InvalidCase for an image of another case, or a case that is full.
    """
    now = datetime.now(UTC)
    with session_scope(workplace.engine, write=True) as session:
        case = lock_open_case(session, case_id)
        take_turns(session, "image")  # whoever deletes it is done, or comes after
        image = get_removed_image(session, image_id)
        _check_case(image, case_id)
        if not workplace.blobs.holds(image.blob):  # a deletion was interrupted: it is taken up again within the hour
            raise NotFound("The pixels of this image are deleted already: drop its file again.")
        put_back_image(session, image_id)
        sheet = case.sheet.with_fields(_list_fields(session, image))
        change_sheet(session, case.id, sheet, to_line(reader, MAX_READER), now)
        latest = find_latest_scoring(session, image_id)
        if latest is not None and not latest.is_open and latest.version is None:
            again = queue_scoring(session, image_id, latest.pixel_size, now, confirmed=latest.confirmed)
            workplace.jobs.enqueue_scoring(session, again)


def _check_case(image: StoredImage, case_id: int) -> None:
    if image.case_id != case_id:
        raise InvalidCase(f"Image {image.id} is not of this case.")


def _list_fields(session: Session, image: StoredImage) -> list[FieldPlan]:
    """The fields that a removed image had; none where the reader had taken them off before."""
    sheet = find_sheet_before(session, image.case_id, image.removed) if image.removed else None
    return [field for field in sheet.fields if field.image == image.id] if sheet else []


def list_removed_to_show(workplace: Workplace) -> list[dict[str, Any]]:
    """What can be put back, removed last first, as JSON types."""
    with session_scope(workplace.engine) as session:
        removed = list_removed_images(session, LISTED)
    return [
        {
            "id": image.id,
            "case": image.case_id,
            "label": image.label,
            "deleted_after": _expiry(workplace, image).isoformat(),
        }
        for image in removed
    ]


def delete_removed(workplace: Workplace, case_id: int, image_id: int) -> None:
    """Delete the pixels of an image that was removed at once, unless another image has the same; nobody can put it back then.

    Raises NotFound, InvalidCase for an image of another case.
    """
    with session_scope(workplace.engine) as session:
        image = get_removed_image(session, image_id)
    _check_case(image, case_id)
    _delete(workplace, image)


def delete_expired(workplace: Workplace) -> None:
    """Delete the pixels of images that were removed long enough ago, unless another image has the same."""
    now = datetime.now(UTC)
    with session_scope(workplace.engine) as session:
        due = [image for image in list_removed_images(session) if now >= _expiry(workplace, image)]
    for image in due:
        try:
            _delete(workplace, image)
        except NotFound:  # put back, or deleted by another process
            pass
        except Exception:  # the others must not wait for it
            logger.exception("image %d was removed long enough ago, but its pixels could not be deleted", image.id)


def _delete(workplace: Workplace, image: StoredImage) -> None:
    """Raises NotFound for an image that was put back meanwhile."""
    with session_scope(workplace.engine, write=True) as session:
        take_turns(session, "image")  # an upload of the same pixels comes before or after
        if get_removed_image(session, image.id) != image:
            raise NotFound("This image was put back meanwhile: look again, and repeat your change.")
        note_image_deletion(session, image.id, datetime.now(UTC))
        for blob in (image.blob, find_overview(session, image.id)):
            if blob:
                discard_unused(workplace, session, blob)


def _expiry(workplace: Workplace, image: StoredImage) -> datetime:
    """Of a removed image."""
    assert image.removed is not None
    return image.removed + timedelta(days=workplace.settings.keep_removed_days)
