"""A signed case does not change."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db.cases import StoredCase, find_sign_off, lock_case
from db.images import StoredImage, get_image
from nucleus_app.errors import SignedOff, StaleRevision


def is_signed(session: Session, case_id: int) -> bool:
    last = find_sign_off(session, case_id)
    return last is not None and last.is_signed


def check_open(session: Session, case_id: int) -> None:
    """Raises SignedOff while a case is signed."""
    last = find_sign_off(session, case_id)
    if last is not None and last.is_signed:
        raise SignedOff(
            f"This case was signed off by {last.reader} on {last.at:%Y-%m-%d at %H:%M} UTC: reopen it to change it."
        )


def lock_open_case_of(session: Session, image_id: int) -> StoredImage:
    """An image whose case others cannot sign, change or take it out of until this transaction ends.

    Raises NotFound, SignedOff; StaleRevision when the image went to another case this very moment.
    """
    case_id = get_image(session, image_id).case_id
    lock_open_case(session, case_id)
    image = get_image(session, image_id)
    if image.case_id != case_id:
        raise StaleRevision("This image went to another case at this moment: look again, and repeat your change.")
    return image


def lock_open_case(session: Session, case_id: int) -> StoredCase:
    """A case that others cannot sign or change until this transaction ends. Raises NotFound, SignedOff."""
    case = lock_case(session, case_id)
    check_open(session, case_id)
    return case


def lock_case_at(session: Session, case_id: int, rev: int) -> StoredCase:
    """The same of a case that must be at a revision. Raises NotFound, SignedOff, StaleRevision."""
    case = lock_open_case(session, case_id)
    check_rev(case, rev)
    return case


def check_rev(case: StoredCase, rev: int) -> None:
    """Raises StaleRevision for a case at another revision."""
    if case.rev != rev:
        raise StaleRevision("Another window changed this case meanwhile: look at it again, then repeat your change.")
