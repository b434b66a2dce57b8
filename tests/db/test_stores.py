"""The contract of the stores, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from db.engine import session_scope
from db.images import NewImage, add_image, get_image, is_blob_used, list_images, rename_image
from db.scorings import (
    VersionUsed,
    fail_scoring,
    find_latest_scoring,
    finish_scoring,
    get_nuclei,
    get_scoring,
    get_started_version,
    list_latest_scorings,
    put_tile,
    queue_scoring,
    read_tiles,
    start_scoring,
)
from db.tables import ScoringState
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.nuclei import Counts, Nuclei
from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.domain.scale import PixelSize
from nucleus_app.errors import NotFound

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NUCLEI = Nuclei.from_arrays([[1, 2], [3, 4], [5, 6]], [0, 1, 2], [0.9, 0.8, 0.7])
VERSION = VersionUsed("base", "f" * 64, (0.3, 0.3, 0.4), "0.1.0", Confidence(8.0, -3.0))
NEW = NewImage("a" * 64, "b" * 64, "Case 1 – naïve 例", "PNG", 640, 480, PixelSize(0.5, "OME-XML"), ("a note",))


def test_an_image_comes_back_as_it_was_stored(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        stored = add_image(session, NEW, NOW)
    with session_scope(engine) as session:
        again = get_image(session, stored.id)
        assert is_blob_used(session, "b" * 64)
        assert not is_blob_used(session, "c" * 64)
    assert again == stored
    assert again.label == "Case 1 – naïve 例"
    assert again.pixel_size == PixelSize(0.5, "OME-XML")
    assert again.notes == ("a note",)
    assert again.taken_in == NOW


def test_labels_can_change(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        image_id = add_image(session, NEW, NOW).id
        rename_image(session, image_id, "renamed")
    with session_scope(engine) as session:
        assert get_image(session, image_id).label == "renamed"


def test_images_are_listed_latest_first(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        ids = [add_image(session, NEW, NOW).id for _ in range(3)]
    with session_scope(engine) as session:
        assert [image.id for image in list_images(session, 99)] == ids[::-1]
        assert [image.id for image in list_images(session, limit=1)] == ids[-1:]


def test_a_scoring_goes_from_queued_to_done(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        image_id = add_image(session, NEW, NOW).id
        scoring_id = queue_scoring(session, image_id, PixelSize(0.5, "OME-XML"), NOW)
    with session_scope(engine) as session:
        assert get_scoring(session, scoring_id).state is ScoringState.QUEUED
        with pytest.raises(NotFound, match="no result"):
            get_nuclei(session, scoring_id)
    with session_scope(engine, write=True) as session:
        start_scoring(session, scoring_id, 2, "f" * 64, NOW, traits={"ground": 1 / 3})
        put_tile(session, scoring_id, 1, NUCLEI, NOW)
    with session_scope(engine, write=True) as session:
        put_tile(session, scoring_id, 1, NUCLEI, NOW)  # a repeated step replaces itself
        start_scoring(session, scoring_id, 2, "e" * 64, NOW + timedelta(hours=1))  # and a resumed job keeps its start
    with session_scope(engine) as session:
        running = get_scoring(session, scoring_id)
        assert (running.state, running.tiles_done, running.tiles_total) == (ScoringState.RUNNING, 1, 2)
        assert (running.started, running.traits) == (NOW, {"ground": 1 / 3})
        assert get_started_version(session, scoring_id) == "f" * 64
    with session_scope(engine, write=True) as session:
        put_tile(session, scoring_id, 0, NUCLEI.select(NUCLEI.classes == 0), NOW)
        assert [len(tile) for tile in read_tiles(session, scoring_id)] == [1, 3]
        finish_scoring(session, scoring_id, NUCLEI, VERSION, NOW)
        assert read_tiles(session, scoring_id) == []
    with session_scope(engine, write=True) as session:
        finish_scoring(session, scoring_id, Nuclei.empty(), VERSION, NOW)  # again: nothing changes
        done = find_latest_scoring(session, image_id)
        nuclei = unpack_nuclei(get_nuclei(session, scoring_id))
        fail_scoring(session, scoring_id, "too late", NOW)  # what goes wrong afterwards costs nothing
        done = find_latest_scoring(session, image_id)
    assert done is not None
    assert (done.state, done.error, done.counts, done.version) == (ScoringState.DONE, None, Counts(1, 1, 1), VERSION)
    assert nuclei.xy.tolist() == NUCLEI.xy.tolist()


def test_the_latest_scoring_of_each_image_is_found(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        first, second, third = (add_image(session, NEW, NOW).id for _ in range(3))
        queue_scoring(session, first, PixelSize(0.5, "a"), NOW)
        again = queue_scoring(session, first, PixelSize(0.25, "b"), NOW)
        other = queue_scoring(session, second, PixelSize(0.5, "a"), NOW)
        fail_scoring(session, other, "because", NOW)
        latest = list_latest_scorings(session, [first, second, third])
    assert {image: scoring.id for image, scoring in latest.items()} == {first: again, second: other}
    assert (latest[second].state, latest[second].error) == (ScoringState.FAILED, "because")


def test_nothing_is_half_stored_when_a_transaction_fails(engine: Engine) -> None:

    def fail_halfway() -> None:
        with session_scope(engine, write=True) as session:
            add_image(session, NEW, NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    with pytest.raises(IntegrityError), session_scope(engine, write=True) as session:
        queue_scoring(session, 12345, PixelSize(0.5, "a"), NOW)  # no such image
    with session_scope(engine) as session:
        assert list_images(session, 99) == []


def test_missing_rows_are_named(engine: Engine) -> None:
    with session_scope(engine) as session:
        with pytest.raises(NotFound, match="no image 7"):
            get_image(session, 7)
        with pytest.raises(NotFound, match="no scoring 7"):
            get_scoring(session, 7)


def test_writers_at_the_same_time_all_get_through(engine: Engine) -> None:
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(10):
                with session_scope(engine, write=True) as session:
                    list_images(session, 99)
                    add_image(session, NEW, NOW)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert errors == []
    with session_scope(engine) as session:
        assert len(list_images(session, 99)) == 40


def test_ids_are_never_used_again(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        first = add_image(session, NEW, NOW).id
        session.execute(text("DELETE FROM image"))
    with session_scope(engine, write=True) as session:
        assert add_image(session, NEW, NOW).id > first
