"""Images that are removed: out of every number at once, put back as they were, and gone for good when their time is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from db.blobs import BlobStore
from db.cases import add_reopening
from db.engine import session_scope
from db.scorings import fail_scoring
from db.slides import CutField, find_cuts_of
from nucleus_app.errors import InvalidCase, NotFound, SignedOff, StaleRevision
from nucleus_app.services.downloads import write_cases
from nucleus_app.services.intake import say_twin, score_at, take_in, take_in_demo
from nucleus_app.services.pixels import PyramidCache
from nucleus_app.services.removal import (
    delete_expired,
    delete_removed,
    list_removed_to_show,
    put_back,
    remove_image,
)
from nucleus_app.services.scored_images import get_scored_image, list_scored_images
from nucleus_app.services.slide_shelf import SlideShelf
from nucleus_app.services.slides import list_slides_to_show, remove_slide, take_in_slide
from nucleus_app.services.workplace import Workplace
from nucleus_app.ui.page import Handlers
from tests.imaging.slide_files import write_slide
from tests.services.casefolder import Folder, whole
from tests.services.reviewing import add_image, add_scoring, body, reclass
from tests.services.test_slides import RGB


@pytest.fixture
def second(workplace: Workplace, case: Folder, tmp_path: Path) -> int:
    """Another image of the case, counted in two rectangles, with a correction."""
    image = take_in(workplace, tmp_path / "a.png", "Doe Jane.png", case.id).id
    scoring = add_scoring(workplace, image)
    case.reviews.take_edits(scoring, body(reclass(0, c=1)))
    boxes = [
        whole(image, box=[0, 0, 40, 60]) | {"id": 7, "name": "edge"},
        whole(image, box=[40, 0, 80, 60]) | {"id": 9},
    ]
    case.change(fields=[*case.state()["sheet"]["fields"][:1], *boxes])
    return image


def remove(case: Folder, image_id: int) -> None:
    remove_image(case.workplace, case.id, case.rev, "Dr. A", image_id)


def age(workplace: Workplace, days: int) -> Workplace:
    """As if images had been removed so many days earlier."""
    earlier = datetime.now(UTC) - timedelta(days=days)
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text("UPDATE image SET removed = :at WHERE removed IS NOT NULL"), {"at": earlier})
    return workplace


def test_what_is_removed_leaves_every_number_and_comes_back_as_it_was(
    workplace: Workplace, case: Folder, second: int
) -> None:
    before = case.state()
    remove(case, second)
    after = case.state()
    assert [image["id"] for image in after["images"]] == [before["images"][0]["id"]]
    assert after["score"]["primary"]["tumour"] < before["score"]["primary"]["tumour"]
    assert len(after["sheet"]["fields"]) == 1
    assert [shown.image.id for shown in list_scored_images(workplace)] == [before["images"][0]["id"]]
    with pytest.raises(NotFound, match="was removed"):
        get_scored_image(workplace, second)
    [removed] = list_removed_to_show(workplace)
    assert (removed["id"], removed["case"], removed["label"]) == (second, case.id, "Doe Jane.png")
    put_back(workplace, case.id, "Dr. A", second)
    again = case.state()
    assert again["sheet"] == before["sheet"]
    assert again["score"] == before["score"]
    assert list_removed_to_show(workplace) == []
    with pytest.raises(NotFound, match="not among those"):
        put_back(workplace, case.id, "Dr. A", second)


def test_a_field_whose_id_is_taken_since_gets_another_and_what_was_not_counted_stays_so(
    workplace: Workplace, case: Folder, image_id: int, second: int
) -> None:
    remove(case, second)
    case.change(fields=[whole(image_id), whole(image_id, box=[0, 0, 9, 9]) | {"id": 7}])
    put_back(workplace, case.id, "", second)
    assert [(field.image, field.name) for field in case.sheet.fields] == [
        (image_id, ""), (image_id, ""), (second, "edge"), (second, ""),
    ]  # fmt: skip
    assert len({field.id for field in case.sheet.fields}) == 4
    case.change(fields=[whole(image_id)])
    remove(case, second)
    put_back(workplace, case.id, "", second)
    assert [field.image for field in case.sheet.fields] == [image_id]


def test_a_signed_case_loses_no_image_and_gets_none_back(workplace: Workplace, case: Folder, second: int) -> None:
    case.sign()
    with pytest.raises(SignedOff):
        remove(case, second)
    with session_scope(workplace.engine, write=True) as session:
        add_reopening(session, case.id, 2, "Dr. A", "why", datetime.now(UTC))
    remove(case, second)
    case.sign()
    with pytest.raises(SignedOff):
        put_back(workplace, case.id, "Dr. A", second)


def test_only_what_the_window_shows_is_removed(workplace: Workplace, case: Folder, second: int, tmp_path: Path) -> None:
    with pytest.raises(StaleRevision):
        remove_image(workplace, case.id, case.rev - 1, "Dr. A", second)
    other = add_image(workplace, tmp_path, size=(90, 60))
    with pytest.raises(InvalidCase, match="not of this case"):
        remove(case, other)
    remove(case, second)
    for act in (
        lambda: put_back(workplace, case.id + 1, "", second),
        lambda: delete_removed(workplace, case.id + 1, second),
    ):
        with pytest.raises((InvalidCase, NotFound)):
            act()
    with pytest.raises(NotFound):
        remove(case, second)


def test_the_only_image_takes_its_case_along_and_the_demo_does_not_return(workplace: Workplace) -> None:
    demo = take_in_demo(workplace)
    assert demo is not None
    case = Folder(workplace, demo.case_id)
    remove(case, demo.id)
    assert list_scored_images(workplace) == []
    assert write_cases(workplace, case.desk).content
    assert take_in_demo(workplace) is None
    put_back(workplace, case.id, "", demo.id)
    assert [shown.image.id for shown in list_scored_images(workplace)] == [demo.id]


def test_pixels_go_when_the_time_is_over_unless_another_image_has_the_same(
    workplace: Workplace, case: Folder, image_id: int, second: int
) -> None:
    blob = get_scored_image(workplace, second).image.blob  # of the first image, too: it is the same file
    pyramids = PyramidCache(workplace)
    pyramids.get(second)
    remove(case, second)
    with pytest.raises(NotFound):
        pyramids.get(second)
    delete_expired(age(workplace, 13))
    assert len(list_removed_to_show(workplace)) == 1
    delete_expired(age(workplace, 14))
    assert list_removed_to_show(workplace) == []
    assert workplace.blobs.holds(blob)
    with pytest.raises(NotFound, match="not among those"):
        put_back(workplace, case.id, "", second)
    remove(case, image_id)
    delete_removed(workplace, case.id, image_id)
    assert not workplace.blobs.holds(blob)
    with session_scope(workplace.engine) as session:
        assert set(session.scalars(text("SELECT label FROM image"))) == {""}
    delete_expired(workplace)


def test_the_same_file_dropped_anew_has_its_pixels_whatever_happens_to_the_removed_one(
    workplace: Workplace, case: Folder, image_id: int, tmp_path: Path
) -> None:
    remove(case, image_id)
    again = take_in(workplace, tmp_path / "a.png", "a.png")
    assert say_twin(workplace, again) == ""
    delete_expired(age(workplace, 99))
    assert PyramidCache(workplace).get(again.id).pixels
    remove(Folder(workplace, again.case_id), again.id)
    delete_expired(age(workplace, 99))
    anew = take_in(workplace, tmp_path / "a.png", "a.png")
    assert PyramidCache(workplace).get(anew.id).pixels


def test_the_days_are_the_administrators(workplace: Workplace, case: Folder, image_id: int) -> None:
    remove(case, image_id)
    longer = replace(workplace, settings=replace(workplace.settings, keep_removed_days=30))
    delete_expired(age(longer, 20))
    assert len(list_removed_to_show(longer)) == 1


def test_what_the_worker_gave_up_meanwhile_is_scored_when_it_is_back(
    workplace: Workplace, case: Folder, image_id: int
) -> None:
    score_at(workplace, image_id, 0.25)
    waiting = get_scored_image(workplace, image_id).scoring
    assert waiting is not None
    remove(case, image_id)
    with session_scope(workplace.engine, write=True) as session:
        fail_scoring(session, waiting.id, "Image 1 was removed", datetime.now(UTC))
    put_back(workplace, case.id, "", image_id)
    latest = get_scored_image(workplace, image_id).scoring
    assert latest is not None
    assert (latest.is_open, latest.id > waiting.id, latest.pixel_size) == (True, True, waiting.pixel_size)


def test_what_lost_its_pixels_to_an_interrupted_deletion_is_not_put_back(
    workplace: Workplace, case: Folder, second: int
) -> None:
    blob = get_scored_image(workplace, second).image.blob
    only = take_in(workplace, _draw(workplace, 3), "c.png", case.id)
    remove(case, only.id)
    assert only.blob != blob
    workplace.blobs.discard(only.blob)  # killed before the commit
    with pytest.raises(NotFound, match="drop its file again"):
        put_back(workplace, case.id, "", only.id)
    delete_expired(age(workplace, 15))
    assert list_removed_to_show(workplace) == []


def test_one_image_that_cannot_be_deleted_keeps_no_other(
    workplace: Workplace, case: Folder, second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [take_in(workplace, _draw(workplace, seed), "c.png", case.id) for seed in (1, 2)]
    for image in others:
        remove(case, image.id)
    discard = BlobStore.discard

    def refuse(self: BlobStore, name: str) -> None:
        if name == others[0].blob:
            raise PermissionError
        discard(self, name)

    monkeypatch.setattr(BlobStore, "discard", refuse)
    delete_expired(age(workplace, 15))
    assert [workplace.blobs.holds(image.blob) for image in others] == [True, False]
    assert [left["id"] for left in list_removed_to_show(workplace)] == [others[0].id]


def _draw(workplace: Workplace, seed: int) -> Path:
    file = workplace.settings.data_dir / f"{seed}.png"
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(file)
    return file


def test_who_corrects_a_removed_image_is_told_once_that_it_was_removed(
    workplace: Workplace, case: Folder, second: int
) -> None:
    scoring = get_scored_image(workplace, second).scoring
    assert scoring is not None
    remove(case, second)
    with pytest.raises(StaleRevision, match="This image was removed: put it back"):
        case.reviews.take_edits(scoring.id, body(reclass(1, c=2), client="other", after=1))


def test_a_removed_image_waits_for_no_pixel_size(workplace: Workplace, case: Folder) -> None:
    waiting = [take_in(workplace, _draw(workplace, seed), "c.png", case.id).id for seed in (1, 2, 3)]
    remove(case, waiting[0])
    handlers = Handlers(workplace)
    value, *_, offered, _ = handlers.score_all(waiting[1], 0.5, waiting)
    assert value["notices"] == []
    assert offered == []
    assert [get_scored_image(workplace, id_).state for id_ in waiting[1:]] == ["queued", "queued"]


def test_after_a_removal_the_slides_next_field_has_the_case_and_a_number_of_its_own(
    workplace: Workplace, tmp_path: Path
) -> None:
    slide = take_in_slide(workplace, write_slide(tmp_path / "s.svs", RGB), "s.svs")
    shelf = SlideShelf(workplace)
    first = shelf.cut(slide.id, (0, 0, 300, 300))
    remove(Folder(workplace, first.case_id), first.id)
    second = shelf.cut(slide.id, (400, 0, 700, 300))
    assert (second.case_id, second.label) == (first.case_id, "s.svs · 2")


def test_the_box_of_a_removed_field_can_be_cut_anew(workplace: Workplace, tmp_path: Path) -> None:
    slide = take_in_slide(workplace, write_slide(tmp_path / "s.svs", RGB), "s.svs")
    shelf = SlideShelf(workplace)
    first = shelf.cut(slide.id, (0, 0, 300, 300))
    remove(Folder(workplace, first.case_id), first.id)
    assert list_slides_to_show(workplace)[0]["fields"] == []
    anew = shelf.cut(slide.id, (0, 0, 300, 300))
    assert anew.id != first.id


def test_the_small_picture_of_a_slide_goes_with_the_last_of_its_fields(workplace: Workplace, tmp_path: Path) -> None:
    slide = take_in_slide(workplace, write_slide(tmp_path / "s.svs", RGB), "s.svs")
    shelf = SlideShelf(workplace)
    images = [shelf.cut(slide.id, (left, 0, left + 300, 300)) for left in (0, 400)]
    overview, same = (find_cut(workplace, image.id).overview for image in images)
    assert overview == same
    case = Folder(workplace, images[0].case_id)
    for image, stays in zip(images, (True, False), strict=True):
        remove(case, image.id)
        assert workplace.blobs.holds(overview), "it can be put back"
        delete_removed(workplace, case.id, image.id)
        assert workplace.blobs.holds(overview) == stays
    remove_slide(workplace, slide.id)


def find_cut(workplace: Workplace, image_id: int) -> CutField:
    with session_scope(workplace.engine) as session:
        return find_cuts_of(session, [image_id])[image_id]
