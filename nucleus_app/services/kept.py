"""Pictures in the blob store: kept while a row of the database names them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.engine import session_scope, take_turns
from db.images import is_blob_used
from nucleus_app.services.workplace import Workplace


@dataclass(frozen=True, slots=True)
class KeptPicture:
    blob: str
    _workplace: Workplace
    _png: bytes

    def hold(self) -> None:
        """To be called once a row names it: until then who had the same picture before might have taken it away."""
        if not self._workplace.blobs.holds(self.blob):
            self._workplace.blobs.put(self._png)


@contextmanager
def keep_picture(workplace: Workplace, png: bytes) -> Iterator[KeptPicture]:
    """A picture for a block that writes a row with it. Where the block fails it goes again: pixels that no row names would stay
    unseen for ever. Raises StorageFull.
    """
    blob = workplace.blobs.put(png)
    try:
        yield KeptPicture(blob, workplace, png)
    except BaseException:
        with session_scope(workplace.engine, write=True) as session:
            discard_unused(workplace, session, blob)
        raise


def discard_unused(workplace: Workplace, session: Session, blob: str) -> None:
    """Delete a picture that no row names (any more)."""
    take_turns(session, "image")  # a row that another transaction is just writing is seen, or comes after
    if not is_blob_used(session, blob):
        workplace.blobs.discard(blob)
