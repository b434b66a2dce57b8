"""Changing a case: its sheet, and which images belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from db.cases import StoredCase, add_case, change_sheet
from db.engine import session_scope
from db.images import StoredImage, get_image, list_images_of, move_image
from nucleus_app.domain.line import to_line
from nucleus_app.domain.sheet import CaseSheet, parse_sheet
from nucleus_app.errors import InvalidCase, StaleRevision
from nucleus_app.services.locks import check_rev, lock_case_at, lock_open_case
from nucleus_app.services.submissions import MAX_READER
from nucleus_app.services.workplace import Workplace


def save_sheet(workplace: Workplace, case_id: int, rev: int, reader: str, sheet: object) -> None:
    """Keep a sheet as the revision after ``rev``; one that changes nothing makes none.

    Raises NotFound; InvalidCase for what is no sheet, or fields of images that are not the case's; StaleRevision when the
    case is at another revision; SignedOff.
    """
    wanted = parse_sheet(sheet)
    with session_scope(workplace.engine, write=True) as session:
        case = lock_case_at(session, case_id, rev)
        own = {image.id for image in list_images_of(session, [case_id])}
        foreign = [field.image for field in wanted.fields if field.image not in own]
        if foreign:
            raise InvalidCase(f"Image {foreign[0]} is not of this case: add it to the case first.")
        if wanted != case.sheet:
            _change(session, case, wanted, reader)


def move_images(workplace: Workplace, case_id: int, rev: int, reader: str, image_ids: Sequence[int]) -> None:
    """Take images of other cases into this one, each as one field; cases that they leave empty are seen no more.

    Raises NotFound, StaleRevision, SignedOff (of either case).
    """
    with session_scope(workplace.engine, write=True) as session:
        wanted = list(dict.fromkeys(image_ids))
        from_cases = {get_image(session, image_id).case_id for image_id in wanted}
        # Always in the order of their ids, so that two readers never wait for each other.
        cases = {id_: lock_open_case(session, id_) for id_ in sorted({case_id, *from_cases})}
        check_rev(cases[case_id], rev)
        for image in [get_image(session, image_id) for image_id in wanted]:
            if image.case_id not in cases:
                raise StaleRevision("An image went to another case at this moment: look again, and repeat your change.")
            if image.case_id != case_id:
                cases |= _move(session, image, cases[image.case_id], cases[case_id], reader)


def split_image(workplace: Workplace, case_id: int, rev: int, reader: str, image_id: int) -> int:
    """Give an image a case of its own, with the specimen and the protocol of this one; returns its id.

    Raises NotFound, StaleRevision, SignedOff, InvalidCase for an image of another case, or the only one.
    """
    with session_scope(workplace.engine, write=True) as session:
        case = lock_case_at(session, case_id, rev)
        own = list_images_of(session, [case_id])
        image = next((image for image in own if image.id == image_id), None)
        if image is None:
            raise InvalidCase(f"Image {image_id} is not of this case.")
        if len(own) == 1:
            raise InvalidCase("This image is the only one of its case already.")
        sheet = replace(case.sheet, label="", fields=(), shares=None)
        new = add_case(session, sheet, datetime.now(UTC), _name(reader))
        _move(session, image, case, new, reader)
        return new.id


def _move(
    session: Session, image: StoredImage, source: StoredCase, target: StoredCase, reader: str
) -> dict[int, StoredCase]:
    """Both cases as they are afterwards."""
    move_image(session, image.id, target.id)
    return {
        source.id: _change(session, source, source.sheet.without_image(image.id), reader),
        target.id: _change(session, target, target.sheet.with_whole_image(image.id), reader),
    }


def _change(session: Session, case: StoredCase, sheet: CaseSheet, reader: str) -> StoredCase:
    return change_sheet(session, case.id, sheet, _name(reader), datetime.now(UTC))


def _name(reader: str) -> str:
    return to_line(reader, MAX_READER)
