"""The contract of the log of corrections, on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from db.edits import (
    KnownClient,
    LoggedEdit,
    StoredReview,
    append_edits,
    find_client,
    find_review,
    list_edits,
    list_reviews,
    put_review,
)
from db.engine import session_scope
from db.images import NewImage, add_image
from db.roi_maps import ask_for_roi_map, fail_roi_map, find_roi_map, finish_roi_map
from db.scorings import VersionUsed, finish_scoring, get_nuclei, get_scoring, lock_scoring, queue_scoring
from nucleus_app.domain.nuclei import Counts, Nuclei
from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.domain.reviewed import Tally
from nucleus_app.domain.scale import PixelSize
from nucleus_app.errors import NotFound

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
OP = {"op": "region", "label": "exclude", "shape": "brush", "r": 0.1, "pts": [1 / 3, 2.05]}
FIRST = LoggedEdit(1, "c-1", 1, "ann", "Dr. Nagy 例", NOW, OP, [None, 2])
SECOND = replace(FIRST, rev=2, seq=3, was=None)
TALLY = Tally(Counts(1, 2, 3), left_out=4, edited=5, placed=6, deleted=7)


@pytest.fixture
def scoring_id(engine: Engine) -> int:
    with session_scope(engine, write=True) as session:
        image = add_image(session, NewImage("a", "b", "c", "PNG", 40, 40, None, ()), NOW)
        return queue_scoring(session, image.id, PixelSize(0.5, "x"), NOW)


def test_edits_come_back_as_they_were_added_to_the_last_digit(engine: Engine, scoring_id: int) -> None:
    with session_scope(engine, write=True) as session:
        append_edits(session, scoring_id, [FIRST, SECOND])
    with session_scope(engine) as session:
        assert list_edits(session, scoring_id, 0) == [FIRST, SECOND]
        assert list_edits(session, scoring_id, 1) == [SECOND]
        assert list_edits(session, scoring_id + 1, 0) == []
        assert find_client(session, scoring_id, "c-1") == KnownClient(3, "ann")
        assert find_client(session, scoring_id, "c-2") is None


@pytest.mark.parametrize("change", [{"client": "c-2"}, {"rev": 3, "seq": 1}])
def test_neither_a_revision_nor_a_clients_number_is_given_twice(
    engine: Engine, scoring_id: int, change: dict[str, object]
) -> None:
    with session_scope(engine, write=True) as session:
        append_edits(session, scoring_id, [FIRST, SECOND])
    with pytest.raises(IntegrityError), session_scope(engine, write=True) as session:
        append_edits(session, scoring_id, [replace(SECOND, **change)])  # type: ignore[arg-type]
    with session_scope(engine) as session:
        assert len(list_edits(session, scoring_id, 0)) == 2


def test_an_edit_needs_its_scoring(engine: Engine) -> None:
    with pytest.raises(IntegrityError), session_scope(engine, write=True) as session:
        append_edits(session, 99, [FIRST])


def test_a_review_replaces_itself(engine: Engine, scoring_id: int) -> None:
    later = NOW + timedelta(seconds=5)
    with session_scope(engine, write=True) as session:
        assert find_review(session, scoring_id) is None
        put_review(session, scoring_id, 1, Tally.untouched(Counts(9, 9, 9)), NOW)
    with session_scope(engine, write=True) as session:
        put_review(session, scoring_id, 2, TALLY, later)
    with session_scope(engine) as session:
        assert find_review(session, scoring_id) == StoredReview(2, TALLY, later)
        assert list_reviews(session, [scoring_id, 99]) == {scoring_id: StoredReview(2, TALLY, later)}


def test_candidates_are_stored_and_only_those_over_the_thresholds_counted(engine: Engine, scoring_id: int) -> None:
    candidates = Nuclei.from_arrays([[1, 1], [2, 2], [3, 3], [4, 4]], [0, 0, 1, 2], [0.3, 0.29, 0.5, 0.2])
    with session_scope(engine, write=True) as session:
        finish_scoring(session, scoring_id, candidates, VersionUsed("v", "f" * 64, (0.3, 0.3, 0.4), "0.3.0"), NOW)
    with session_scope(engine) as session:
        assert get_scoring(session, scoring_id).counts == Counts(1, 1, 0)
        assert unpack_nuclei(get_nuclei(session, scoring_id)).xy.tolist() == candidates.xy.tolist()


def test_only_what_exists_can_be_locked(engine: Engine, scoring_id: int) -> None:
    with session_scope(engine, write=True) as session:
        assert lock_scoring(session, scoring_id).id == scoring_id
        with pytest.raises(NotFound, match="no scoring 99"):
            lock_scoring(session, 99)


def test_a_map_is_made_once_and_again_only_after_a_failure(engine: Engine, scoring_id: int) -> None:
    with session_scope(engine, write=True) as session:
        assert find_roi_map(session, scoring_id) is None
        assert ask_for_roi_map(session, scoring_id, NOW) == 1
    with session_scope(engine, write=True) as session:
        assert ask_for_roi_map(session, scoring_id, NOW) is None  # on its way
        fail_roi_map(session, scoring_id, "because")
        assert ask_for_roi_map(session, scoring_id, NOW) == 2
        fail_roi_map(session, scoring_id, "the first attempt is found lost", attempt=1)
        assert find_roi_map(session, scoring_id).is_open
        finish_roi_map(session, scoring_id, {"runs": [3, 4]})
        fail_roi_map(session, scoring_id, "too late")
    with session_scope(engine, write=True) as session:
        done = find_roi_map(session, scoring_id)
        assert (done.cells, done.error, done.attempt) == ({"runs": [3, 4]}, None, 2)
        assert ask_for_roi_map(session, scoring_id, NOW) is None
