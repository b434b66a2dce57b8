"""The contract of the store of slides, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from db.engine import session_scope
from db.images import NewImage, add_image, move_image
from db.slides import NewSlide, add_cut, add_slide, get_slide, list_cuts, list_slides, lock_slide, note_removal
from nucleus_app.domain.scale import PixelSize
from nucleus_app.errors import NotFound

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NEW = NewSlide("ab" * 16, "Aperio", "S26-1 例", 90_000, 70_000, PixelSize(0.25, "Aperio metadata"))
IMAGE = NewImage("a" * 64, "b" * 64, "S26-1 · 1", "Aperio", 4000, 3000, PixelSize(0.25, "x"), ())


def test_a_slide_comes_back_as_it_was_kept_until_it_is_removed(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        first = add_slide(session, NEW, NOW)
        second = add_slide(session, NewSlide("cd" * 16, "", "b", 10, 20, None), NOW)
    with session_scope(engine) as session:
        assert list_slides(session) == [second, first]
        assert get_slide(session, first.id) == first
    assert (first.file, first.label, first.pixel_size, first.taken_in) == (NEW.file, NEW.label, NEW.pixel_size, NOW)
    with session_scope(engine, write=True) as session:
        note_removal(session, first.id, NOW)
    with session_scope(engine) as session:
        assert list_slides(session) == [second]
        for act in (get_slide, lock_slide):
            with pytest.raises(NotFound, match="drop the file again"):
                act(session, first.id)


def test_what_was_cut_is_listed_with_its_place_and_its_case_of_now(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        slide = add_slide(session, NEW, NOW)
        images = [add_image(session, IMAGE, NOW) for _ in range(2)]
        for n, image in enumerate(images):
            add_cut(session, slide.id, image.id, 100 * n, 7, "c" * 64)
        move_image(session, images[1].id, images[0].case_id)
    with session_scope(engine) as session:
        cuts = list_cuts(session, [slide.id])
        assert list_cuts(session, []) == []
    assert {(cut.overview, cut.slide_size_px) for cut in cuts} == {("c" * 64, (90_000, 70_000))}
    assert [(cut.image_id, cut.case_id, cut.box) for cut in cuts] == [
        (images[0].id, images[0].case_id, (0, 7, 4000, 3007)),
        (images[1].id, images[0].case_id, (100, 7, 4100, 3007)),
    ]


def test_whoever_locks_a_slide_second_sees_what_the_first_cut(engine: Engine) -> None:
    with session_scope(engine, write=True) as session:
        slide = add_slide(session, NEW, NOW)
    seen: list[int] = []

    def cut() -> None:
        with session_scope(engine, write=True) as session:
            lock_slide(session, slide.id)
            seen.append(len(list_cuts(session, [slide.id])))
            add_cut(session, slide.id, add_image(session, IMAGE, NOW).id, 0, 0, "")

    threads = [threading.Thread(target=cut) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [0, 1, 2, 3]
