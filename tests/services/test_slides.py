"""Slides: kept for a while, cut into fields, gone without a trace of the file."""

from __future__ import annotations

import errno
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import session_scope
from db.slides import StoredSlide, renew_slide
from nucleus_app.domain.sheet import sheet_to_mapping
from nucleus_app.errors import (
    InvalidImage,
    NotFound,
    NucleusAppError,
    SignedOff,
    StorageFull,
    UnknownPixelSize,
)
from nucleus_app.imaging.reader import decode_png
from nucleus_app.reports.case_report import SlidePlace
from nucleus_app.reports.printed import say_slide
from nucleus_app.reports.tables import report_to_fields_csv
from nucleus_app.services import slide_shelf, slides
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.sheets import save_sheet
from nucleus_app.services.slide_shelf import SlideShelf
from nucleus_app.services.slides import list_slides_to_show, remove_expired, remove_slide, reopen_slide, take_in_slide
from nucleus_app.services.workplace import Workplace
from tests.imaging.slide_files import write_slide
from tests.services.casefolder import Folder
from tests.services.reviewing import add_image, add_scoring

RGB = np.random.default_rng(0).integers(0, 255, (900, 1300, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "slide.svs", RGB)


@pytest.fixture
def workplace(workplace: Workplace) -> Workplace:
    return replace(workplace, settings=replace(workplace.settings, max_megapixels=1))


@pytest.fixture
def upload(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(original, tmp_path / "Doe Jane.svs"))


@pytest.fixture
def shelf(workplace: Workplace) -> SlideShelf:
    return SlideShelf(workplace)


def files(workplace: Workplace) -> list[Path]:
    return sorted(workplace.settings.slides_dir.glob("*"))


def test_a_field_is_cut_pixel_by_pixel_and_scored_at_the_slides_pixel_size(
    workplace: Workplace, upload: Path, shelf: SlideShelf
) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    assert not upload.exists()  # moved, not copied
    assert [path.name for path in files(workplace)] == [slide.file]
    assert "Doe" not in slide.file
    image = shelf.cut(slide.id, (200, 100, 700, 500))
    assert np.array_equal(decode_png(workplace.blobs.get(image.blob)), RGB[100:500, 200:700])
    shown = get_scored_image(workplace, image.id)
    assert shown.state == "queued"
    assert shown.scoring is not None
    assert shown.scoring.pixel_size == (0.25, "Aperio metadata")
    assert (image.label, image.sha256) == ("Doe Jane.svs · 1", image.blob)


def test_fields_of_a_slide_share_a_case_also_after_it_was_moved(
    workplace: Workplace, upload: Path, shelf: SlideShelf, tmp_path: Path
) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    first, second = (shelf.cut(slide.id, (0, 0, side, side)) for side in (100, 120))
    assert first.case_id == second.case_id
    assert second.label == "Doe Jane.svs · 2"
    other = get_scored_image(workplace, add_image(workplace, tmp_path)).image.case_id
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text(f"UPDATE image SET case_id = {other} WHERE id = {second.id}"))
    assert shelf.cut(slide.id, (0, 0, 140, 140)).case_id == other
    [listed] = list_slides_to_show(workplace)
    assert [field["box"] for field in listed["fields"]] == [(0, 0, 100, 100), (0, 0, 120, 120), (0, 0, 140, 140)]
    assert listed["case"] == other


def test_a_slide_dropped_into_a_case_puts_its_fields_there(
    workplace: Workplace, upload: Path, shelf: SlideShelf, tmp_path: Path
) -> None:
    case_id = get_scored_image(workplace, add_image(workplace, tmp_path)).image.case_id
    slide = take_in_slide(workplace, upload, upload.name, case_id)
    assert shelf.cut(slide.id, (0, 0, 100, 100)).case_id == case_id


def test_a_slide_dropped_again_is_the_one_that_is_kept_and_is_kept_for_longer(
    workplace: Workplace, upload: Path, original: Path, tmp_path: Path
) -> None:
    assert reopen_slide(workplace, upload) is None
    slide = take_in_slide(workplace, upload, upload.name)
    again = Path(shutil.copyfile(original, tmp_path / "renamed.svs"))
    found = reopen_slide(workplace, again)
    assert found is not None
    assert (found.id, found.label) == (slide.id, slide.label)
    assert found.taken_in > slide.taken_in
    assert len(files(workplace)) == len(list_slides_to_show(workplace)) == 1
    changed = bytearray(again.read_bytes())
    changed[-1] ^= 1
    again.write_bytes(changed)
    assert reopen_slide(workplace, again) is None  # as large, but another one
    remove_slide(workplace, slide.id)
    assert reopen_slide(workplace, Path(shutil.copyfile(original, again))) is None


def test_a_slide_dropped_again_for_another_case_or_after_its_own_was_signed_is_a_slide_of_its_own(
    workplace: Workplace, upload: Path, original: Path, shelf: SlideShelf, tmp_path: Path
) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    again = Path(shutil.copyfile(original, tmp_path / "again.svs"))
    other = get_scored_image(workplace, add_image(workplace, tmp_path)).image.case_id
    assert reopen_slide(workplace, again, other) is None
    image = shelf.cut(slide.id, (0, 0, 100, 100))
    assert reopen_slide(workplace, again, other) is None
    assert reopen_slide(workplace, again, image.case_id).id == slide.id
    add_scoring(workplace, image.id)
    Folder(workplace, image.case_id).sign()
    assert reopen_slide(workplace, again) is None


def test_a_slide_that_is_dropped_again_while_it_expires_stays(
    workplace: Workplace, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text("UPDATE slide SET taken_in = '2020-01-01 00:00:00'"))

    def lock(session: Session, slide_id: int) -> StoredSlide:  # the drop comes between looking and deleting
        return renew_slide(session, slide_id, datetime.now(UTC))

    monkeypatch.setattr(slides, "lock_slide", lock)
    remove_expired(workplace)
    assert [listed["id"] for listed in list_slides_to_show(workplace)] == [slide.id]
    assert len(files(workplace)) == 1


def test_a_signed_case_takes_no_more_fields_and_keeps_no_pixels_of_them(
    workplace: Workplace, upload: Path, shelf: SlideShelf
) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    image = shelf.cut(slide.id, (0, 0, 400, 400))
    add_scoring(workplace, image.id)
    case = Folder(workplace, image.case_id)
    assert not list_slides_to_show(workplace)[0]["signed"]
    case.sign()
    kept = sorted((workplace.settings.data_dir / "blobs").rglob("*"))
    with pytest.raises(SignedOff, match="reopen"):
        shelf.cut(slide.id, (400, 0, 800, 400))
    assert list_slides_to_show(workplace)[0]["signed"]
    assert [path for path in sorted((workplace.settings.data_dir / "blobs").rglob("*")) if path.is_file()] == [
        path for path in kept if path.is_file()
    ]


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((1200, 0, 1301, 200), "outside the slide of 1300 × 900"),
        ((300, 0, 200, 200), "outside"),
        ((0, 0, 31, 200), "at least 32"),
        ((0, 0, 1300, 900), "1 megapixels; up to 1 are scored at once"),
    ],
)
def test_a_box_that_cannot_be_cut_says_why(
    workplace: Workplace, upload: Path, shelf: SlideShelf, box: tuple[int, int, int, int], words: str
) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    with pytest.raises(InvalidImage, match=words):
        shelf.cut(slide.id, box)
    assert list_slides_to_show(workplace)[0]["fields"] == []


def test_a_field_too_large_at_a_coarse_pixel_size_says_so(
    workplace: Workplace, tmp_path: Path, shelf: SlideShelf
) -> None:
    slide = take_in_slide(workplace, write_slide(tmp_path / "coarse.svs", RGB, mpp=1.9), "coarse.svs")
    with pytest.raises(UnknownPixelSize):
        shelf.cut(slide.id, (0, 0, 900, 900))


def test_without_a_pixel_size_the_field_waits_for_one(workplace: Workplace, tmp_path: Path, shelf: SlideShelf) -> None:
    slide = take_in_slide(workplace, write_slide(tmp_path / "a.svs", RGB, mpp=None), "a.svs")
    image = shelf.cut(slide.id, (0, 0, 100, 100))
    assert get_scored_image(workplace, image.id).state == "needs pixel size"
    assert list_slides_to_show(workplace)[0]["mpp"] is None


def test_a_removed_slide_leaves_its_fields_and_no_file(workplace: Workplace, upload: Path, shelf: SlideShelf) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    image = shelf.cut(slide.id, (0, 0, 100, 100))
    remove_slide(workplace, slide.id)
    assert files(workplace) == []
    assert list_slides_to_show(workplace) == []
    assert get_scored_image(workplace, image.id).image == image
    with pytest.raises(NotFound):
        shelf.cut(slide.id, (0, 0, 200, 200))
    with pytest.raises(NotFound):
        remove_slide(workplace, slide.id)


def test_slides_are_kept_for_two_weeks_and_strays_not_at_all(workplace: Workplace, upload: Path) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    stray, foreign = (workplace.settings.slides_dir / name for name in ("ab" * 16, "lost+found"))
    stray.write_bytes(b"left by a kill")
    foreign.mkdir()  # a volume may be mounted here
    remove_expired(workplace)
    assert files(workplace) == sorted([workplace.settings.slides_dir / slide.file, foreign])
    with session_scope(workplace.engine, write=True) as session:
        past = datetime.now(UTC) - timedelta(days=14, minutes=1)
        session.execute(text("UPDATE slide SET taken_in = :past"), {"past": past.replace(tzinfo=None)})
    with ThreadPoolExecutor(4) as pool:  # several processes may look at once
        list(pool.map(remove_expired, [workplace] * 4))
    assert list_slides_to_show(workplace) == []
    assert files(workplace) == [foreign]


def test_a_restored_data_folder_without_the_file_says_so(workplace: Workplace, upload: Path, shelf: SlideShelf) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    files(workplace)[0].unlink()
    assert list_slides_to_show(workplace) == []
    with pytest.raises(NotFound, match="drop it again"):
        shelf.tile(slide.id, slide.file, 0, 0, 0)


def test_the_same_box_again_is_the_same_image(workplace: Workplace, upload: Path, shelf: SlideShelf) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    with ThreadPoolExecutor(4) as pool:  # the answer was lost, and Enter pressed again
        made = list(pool.map(lambda _: shelf.cut(slide.id, (0, 0, 100, 100)).id, range(4)))
    assert len(set(made)) == 1
    assert len(list_slides_to_show(workplace)[0]["fields"]) == 1


def test_a_slide_that_cannot_be_moved_is_not_kept_and_its_name_is_in_no_message(
    workplace: Workplace, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(source))

    monkeypatch.setattr(slides.shutil, "move", refuse)
    with pytest.raises(NucleusAppError, match="could not be kept") as refused:
        take_in_slide(workplace, upload, upload.name)
    assert "Doe" not in str(refused.value)
    assert refused.value.__suppress_context__
    assert list_slides_to_show(workplace) == []


@pytest.mark.parametrize("damage", ["cut short", "an image", "no small copies"])
def test_what_cannot_be_browsed_is_refused_and_not_kept(
    workplace: Workplace, upload: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if damage == "cut short":
        upload.write_bytes(upload.read_bytes()[:100_000])
    elif damage == "an image":
        Image.fromarray(RGB).save(upload, "PNG")
    else:
        monkeypatch.setattr("nucleus_app.imaging.slides.MOST_SMALLEST_PX", 1000)
    with pytest.raises(InvalidImage):
        take_in_slide(workplace, upload, upload.name)
    assert files(workplace) == []
    assert list_slides_to_show(workplace) == []


def test_a_full_disk_keeps_nothing_and_says_so(
    workplace: Workplace, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(source: Path, target: Path) -> None:
        target.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(slides.shutil, "move", fill)
    with pytest.raises(StorageFull):
        take_in_slide(workplace, upload, upload.name)
    assert files(workplace) == []


def test_a_part_that_cannot_be_read_does_not_close_the_slide_for_good(
    workplace: Workplace, upload: Path, shelf: SlideShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nucleus_app.imaging.slides.MOST_OVERVIEW_PX", 100_000)  # its small copy is whole
    monkeypatch.setattr("nucleus_app.imaging.slides.SMALL_PX", 300)
    content = bytearray(upload.read_bytes())
    content[2000:200_000] = bytes(198_000)
    upload.write_bytes(content)
    slide = take_in_slide(workplace, upload, upload.name)
    with pytest.raises(InvalidImage, match="damaged"):
        shelf.cut(slide.id, (0, 0, 100, 100))
    with pytest.raises(InvalidImage, match="damaged"):
        shelf.tile(slide.id, slide.file, 11, 0, 0)
    assert shelf.tile(slide.id, slide.file, 11, 2, 1)
    whole = shelf.cut(slide.id, (1100, 700, 1250, 850))
    assert np.array_equal(decode_png(workplace.blobs.get(whole.blob)), RGB[700:850, 1100:1250])


def test_the_map_of_brown_is_made_once(
    workplace: Workplace, upload: Path, shelf: SlideShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    first = shelf.find_brown(slide.id, 1)
    assert len(first["brown"]) == first["rows"] * first["columns"]
    assert first["size_px"] == 400
    monkeypatch.setattr(slide_shelf, "map_brown", None)
    assert shelf.find_brown(slide.id, 1) == first
    remove_slide(workplace, slide.id)
    with pytest.raises(NotFound):
        shelf.find_brown(slide.id, 1)


def test_the_report_says_where_on_the_slide_a_field_lies(
    workplace: Workplace, upload: Path, shelf: SlideShelf, tmp_path: Path
) -> None:
    slide = take_in_slide(workplace, upload, upload.name)
    image = shelf.cut(slide.id, (100, 200, 500, 600))
    add_scoring(workplace, image.id)  # at 0.5 µm/px
    case = Folder(workplace, image.case_id)
    save_sheet(workplace, case.id, case.desk.view(case.id).case.rev, "", _with_box(case, [5.5, 5.5, 110.5, 120.5]))
    report = case.desk.report(case.id)[0]
    ((place, name),) = [(field.slide, field.slide.overview) for field in report.fields if field.slide]
    assert place == SlidePlace(slide.id, 106, 206, 1300, 900, name)
    overview = decode_png(workplace.blobs.get(name))
    assert overview.shape == (332, 480, 3)
    seen, whole = (
        float(Image.fromarray(part).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))[0])
        for part in (overview, RGB)
    )
    assert seen == pytest.approx(whole, abs=3)
    assert say_slide(report.fields[0]) == f"slide {slide.id}, x 106, y 206 px (0.05, 0.10 mm)"
    written = report_to_fields_csv(report)
    header, row = (line.split(",") for line in written.splitlines()[-2:])
    assert dict(zip(header, row, strict=False))["slide_left_px"] == "106.0"
    case.sign()
    assert case.desk.report(case.id)[0].fields == report.fields  # as it was frozen
    plain = get_scored_image(workplace, add_image(workplace, tmp_path)).image.case_id
    assert Folder(workplace, plain).desk.report(plain)[0].fields[0].slide is None


def _with_box(case: Folder, box: list[float]) -> dict[str, object]:
    sheet = sheet_to_mapping(case.desk.view(case.id).case.sheet)
    sheet["fields"][0]["box"] = box
    return sheet
