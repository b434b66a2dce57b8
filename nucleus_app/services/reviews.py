"""Reviewing a scoring: its log of edits read, added to, and folded. The database is the truth; what is in memory is a
cache that any call brings up to date, so that several processes agree.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db.edits import LoggedEdit, append_edits, find_client, list_edits, put_review
from db.engine import session_scope
from db.images import StoredImage, get_image
from db.scorings import StoredScoring, find_latest_scoring, get_nuclei, get_scoring, lock_scoring
from nucleus_app.domain.cautions import list_count_cautions, list_image_cautions
from nucleus_app.domain.doubt import Swing, find_doubtful, find_swing
from nucleus_app.domain.edits import STORED, Bounds, SignedEdit, edit_to_mapping, parse_edit
from nucleus_app.domain.nuclei import CANDIDATE_SHARE, Nuclei
from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.domain.review import Review
from nucleus_app.errors import InvalidEdit, NotFound, StaleRevision
from nucleus_app.reports.formats import tally_to_mapping
from nucleus_app.services.locks import check_open
from nucleus_app.services.submissions import TAKEN_AT_ONCE, Submission, parse_submission
from nucleus_app.services.workplace import Workplace

KEPT_REVIEWS = 16
TAKEN_FOR_S = 2.0
"""Edits of one body are taken for so long."""

Mapping = dict[str, Any]
Read = TypeVar("Read")


def list_floors(thresholds: tuple[float, ...]) -> tuple[float, ...]:
    """The lowest cut of each class: below it there are no candidates."""
    return tuple(CANDIDATE_SHARE * level for level in thresholds)


@dataclass(slots=True)
class OpenReview:
    """A scoring's candidates and its log, folded up to ``review.rev``."""

    image: StoredImage
    scoring: StoredScoring
    review: Review
    doubtful: NDArray[np.int64]

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.image.width_px, self.image.height_px, list_floors(self.review.thresholds))

    def catch_up(self, session: Session) -> None:
        """Fold what was added to the log meanwhile."""
        for logged in list_edits(session, self.scoring.id, self.review.rev):
            edit = parse_edit(logged.op, STORED)
            self.review.apply(SignedEdit(logged.client, logged.seq, logged.author, edit))

    @property
    def swing(self) -> Swing:
        return find_swing(self.review, self.doubtful)

    @property
    def image_cautions(self) -> tuple[str, ...]:
        return list_image_cautions(
            self.scoring.pixel_size, self.image.pixel_size, self.image.notes,
            oddities=self.scoring.oddities, confirmed=self.scoring.confirmed,
        )  # fmt: skip

    @property
    def cautions(self) -> tuple[str, ...]:
        """Of the whole image."""
        return (*self.image_cautions, *list_count_cautions(None if self.scoring.is_refused else self.review.counts()))


def open_review(session: Session, scoring: StoredScoring) -> OpenReview:
    """A done scoring with its whole log folded. Raises StaleRevision for one that is not done."""
    if scoring.version is None:
        raise StaleRevision(f"Scoring {scoring.id} is {scoring.state.value}: it can be corrected once it is done.")
    image = get_image(session, scoring.image_id)
    candidates: Nuclei = unpack_nuclei(get_nuclei(session, scoring.id))
    version = scoring.version
    review = Review(candidates, version.thresholds, (image.width_px, image.height_px))
    opened = OpenReview(image, scoring, review, find_doubtful(candidates, version.thresholds, version.confidence))
    opened.catch_up(session)
    return opened


@dataclass(frozen=True, slots=True)
class EditsRead:
    """The log after a revision, and what the whole of it comes to, as JSON types."""

    rev: int
    edits: list[Mapping]
    score: Mapping


@dataclass(frozen=True, slots=True)
class EditsTaken:
    """``ack``: the last seq kept of the sender. ``refused``: the first seq that was not, and why."""

    ack: int
    refused: int | None
    reason: str | None
    read: EditsRead


class ReviewDesk:
    """Reads and takes edits. One transaction a call; safe for several threads and several processes."""

    def __init__(self, workplace: Workplace, kept: int = KEPT_REVIEWS) -> None:
        self._workplace = workplace
        self._kept = kept
        self._slots: OrderedDict[int, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def read_edits(self, scoring_id: int, after: int) -> EditsRead:
        """Raises NotFound, and StaleRevision for a scoring that is not done or a revision that there is not."""
        with self._slot(scoring_id) as slot, session_scope(self._workplace.engine) as session:
            opened = slot.get(session, lambda: get_scoring(session, scoring_id))
            return _read(session, opened, after)

    def take_edits(self, scoring_id: int, body: object) -> EditsTaken:
        """Keep a page's edits, in order, up to the first that cannot be. What is kept already is passed over.

        Raises NotFound; InvalidEdit for a body of another form; StaleRevision for a scoring that is not done or not its
        image's latest, or a revision that there is not; SignedOff. Then nothing is kept.
        """
        sent = parse_submission(body)
        with self._slot(scoring_id) as slot:
            with session_scope(self._workplace.engine) as session:  # a long log is folded before anyone must wait
                slot.get(session, lambda: get_scoring(session, scoring_id))
            return self._take_into(slot, scoring_id, sent)

    def _take_into(self, slot: _Slot, scoring_id: int, sent: Submission) -> EditsTaken:
        with session_scope(self._workplace.engine, write=True) as session:
            scoring = lock_scoring(session, scoring_id)
            latest = find_latest_scoring(session, scoring.image_id)
            if latest is not None and latest.id != scoring_id:
                raise StaleRevision("This image was scored again: corrections belong to its latest scoring.")
            try:
                image = get_image(session, scoring.image_id)
            except NotFound as error:
                raise StaleRevision("This image was removed: put it back, then correct it.") from error
            check_open(session, image.case_id)
            if scoring.is_refused:
                raise StaleRevision("Nothing was counted in this image: press Score again, then correct the result.")
            opened = slot.get(session, lambda: scoring)
            return _take(session, opened, sent)

    def look(self, scoring_id: int, read: Callable[[OpenReview], Read]) -> Read:
        """What ``read`` finds in an up-to-date review; it must not change or keep it. Raises as :meth:`read_edits`."""
        with self._slot(scoring_id) as slot, session_scope(self._workplace.engine) as session:
            return read(slot.get(session, lambda: get_scoring(session, scoring_id)))

    def list_doubtful(self, scoring_id: int) -> list[int]:
        """Candidates that the network is least sure of, in the order of :func:`find_doubtful`."""
        doubtful: list[int] = self.look(scoring_id, lambda opened: opened.doubtful.tolist())
        return doubtful

    def _slot(self, scoring_id: int) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(scoring_id, _Slot())
            self._slots.move_to_end(scoring_id)
            while len(self._slots) > self._kept:
                self._slots.popitem(last=False)
        return slot


class _Slot:
    """Room for one review. Entered by one thread at a time; whatever fails inside empties it, since it may then be
    ahead of the database.
    """

    def __init__(self) -> None:
        self._opened: OpenReview | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> _Slot:
        self._lock.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._opened = None
        self._lock.release()

    def get(self, session: Session, get_its_scoring: Callable[[], StoredScoring]) -> OpenReview:
        """The review, up to date."""
        if self._opened is None:
            self._opened = open_review(session, get_its_scoring())
        else:
            self._opened.catch_up(session)
        return self._opened


def _read(session: Session, opened: OpenReview, after: int) -> EditsRead:
    rev = opened.review.rev
    if not 0 <= after <= rev:
        raise StaleRevision(f"The log of this scoring goes to {rev}, not to {after}: load the page again.")
    edits = [e for e in list_edits(session, opened.scoring.id, after) if e.rev <= rev] if after < rev else []
    return EditsRead(rev, [_logged_to_mapping(e) for e in edits], score_to_mapping(opened))


def _take(session: Session, opened: OpenReview, sent: Submission) -> EditsTaken:
    known = find_client(session, opened.scoring.id, sent.client)
    ack = known.seq if known else 0
    if not 0 <= sent.after <= opened.review.rev:
        _read(session, opened, sent.after)  # raises
    if known is not None and known.author != sent.author:
        raise InvalidEdit("This client's edits are another author's: a page keeps its client and author together.")
    now = datetime.now(UTC)
    kept: list[LoggedEdit] = []
    refused, reason = None, None
    until = time.monotonic() + TAKEN_FOR_S
    for each in [e for e in sent.edits if e.seq > ack][:TAKEN_AT_ONCE]:
        if kept and time.monotonic() > until:
            break  # others wait for the database: the sender sends the rest again
        try:
            edit = parse_edit(each.op, opened.bounds)
            was = opened.review.apply(SignedEdit(sent.client, each.seq, sent.author, edit))
        except InvalidEdit as error:
            refused, reason = each.seq, str(error)
            break
        op = edit_to_mapping(edit)
        kept.append(LoggedEdit(opened.review.rev, sent.client, each.seq, sent.author, sent.reader, now, op, was))
    if kept:
        append_edits(session, opened.scoring.id, kept)
        put_review(session, opened.scoring.id, opened.review.rev, opened.review.tally, now)
        ack = kept[-1].seq
    return EditsTaken(ack, refused, reason, _read(session, opened, sent.after))


def _logged_to_mapping(logged: LoggedEdit) -> Mapping:
    return {
        "rev": logged.rev, "client": logged.client, "seq": logged.seq, "author": logged.author,
        "reader": logged.reader, "at": logged.at.isoformat(), "op": logged.op, "was": logged.was,
    }  # fmt: skip


def score_to_mapping(opened: OpenReview) -> Mapping:
    """What a review comes to, as the page shows it."""
    swing = opened.swing
    return tally_to_mapping(opened.review.tally) | {
        "cuts": list(opened.review.cuts),
        "warnings": list(opened.cautions),
        "open": {"n": swing.n, "low_percent": swing.low_percent, "high_percent": swing.high_percent},
    }
