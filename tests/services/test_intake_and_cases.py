from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from db.engine import session_scope
from db.scorings import VersionUsed, finish_scoring, put_tile, start_scoring
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.errors import InvalidImage, NotFound, StorageFull, UnknownPixelSize
from nucleus_app.imaging.reader import decode_png
from nucleus_app.services import intake
from nucleus_app.services.intake import clean_label, rename, say_twin, score_at, take_in, take_in_demo
from nucleus_app.services.scored_images import get_record, get_scored_image, list_scored_images, scored_image_to_mapping
from nucleus_app.services.workplace import Workplace

RGB = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    Image.fromarray(RGB).save(tmp_path / "Jane Doe 1950.png")
    return tmp_path / "Jane Doe 1950.png"


def jobs_of(workplace: Workplace) -> list[str]:
    with session_scope(workplace.engine) as session:
        return list(session.scalars(text("SELECT workflow_uuid FROM workflow_status ORDER BY workflow_uuid")))


def test_an_image_without_pixel_size_waits_for_one(workplace: Workplace, upload: Path) -> None:
    image = take_in(workplace, upload, upload.name)
    assert get_scored_image(workplace, image.id).state == "needs pixel size"
    assert jobs_of(workplace) == []
    assert np.array_equal(decode_png(workplace.blobs.get(image.blob)), RGB)
    score_at(workplace, image.id, 0.5)
    case = get_scored_image(workplace, image.id)
    assert (case.state, case.is_busy) == ("queued", True)
    assert case.scoring.pixel_size == (0.5, "stated by the user")
    assert case.image.pixel_size is None
    assert jobs_of(workplace) == [f"scoring-{case.scoring.id}"]


def test_an_image_that_states_its_pixel_size_is_scored_at_once(workplace: Workplace, tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", dpi=(50_800, 50_800))
    image = take_in(workplace, tmp_path / "a.png", "a.png")
    case = get_scored_image(workplace, image.id)
    assert case.state == "queued"
    assert scored_image_to_mapping(case)["mpp_source"] == "PNG density"
    score_at(workplace, image.id, image.pixel_size.mpp)
    assert get_scored_image(workplace, image.id).scoring.pixel_size.source == "PNG density"


def test_overriding_the_files_own_pixel_size_is_told(workplace: Workplace, tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", dpi=(50_800, 50_800))
    image = take_in(workplace, tmp_path / "a.png", "a.png")
    score_at(workplace, image.id, 0.25)
    scoring = get_scored_image(workplace, image.id).scoring
    nuclei = Nuclei.from_arrays(np.zeros((200, 2)), np.ones(200))
    with session_scope(workplace.engine, write=True) as session:
        finish_scoring(session, scoring.id, nuclei, VersionUsed("v", "e" * 64, (0.1,) * 3, "0.1.0"), datetime.now(UTC))
    assert get_scored_image(workplace, image.id).cautions == (
        "The file states 0.5 µm/px (PNG density), but 0.25 was used.",
    )


def test_a_scoring_and_its_job_exist_together_or_not_at_all(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", dpi=(50_800, 50_800))

    def broken(*_: object) -> None:
        raise RuntimeError("queue is down")

    monkeypatch.setattr(type(workplace.jobs), "enqueue_scoring", broken)
    with pytest.raises(RuntimeError):
        take_in(workplace, tmp_path / "a.png", "a.png")
    assert list_scored_images(workplace) == []
    assert [p for p in (workplace.settings.data_dir / "blobs").rglob("*") if p.is_file()] == []


def test_a_full_database_leaves_nothing_and_says_so(workplace: Workplace, upload: Path) -> None:
    with workplace.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    event.listen(workplace.engine, "begin", lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}"))

    def fill() -> None:
        for _ in range(400):  # free room inside the file is used up first
            take_in(workplace, upload, "x" * 120)

    with pytest.raises(StorageFull, match="disk is full"):
        fill()
    assert list_scored_images(workplace)[0].image.label == "x" * 120


def test_errors_in_logs_do_not_hold_labels(workplace: Workplace, upload: Path) -> None:
    image = take_in(workplace, upload, "a.png")
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text("ALTER TABLE image RENAME COLUMN label TO gone"))
    with pytest.raises(OperationalError) as caught:
        rename(workplace, image.id, "Jane Doe 1950")
    assert "Jane" not in str(caught.value)


def test_a_file_that_another_case_holds_already_is_told(workplace: Workplace, upload: Path) -> None:
    first = take_in(workplace, upload, "Liver 1")
    assert say_twin(workplace, first) == ""
    assert say_twin(workplace, take_in(workplace, upload, "again", first.case_id)) == ""  # the case itself warns of it
    said = say_twin(workplace, take_in(workplace, upload, "a.png"))
    assert f"in case {first.case_id} already, as “Liver 1”" in said


def test_pressing_score_twice_is_one_job(workplace: Workplace, upload: Path) -> None:
    image = take_in(workplace, upload, "a.png")
    for mpp in (0.5, 0.5, 0.25):
        score_at(workplace, image.id, mpp)
    assert len(jobs_of(workplace)) == 2


def test_scoring_again_what_was_refused_insists_on_it(workplace: Workplace, upload: Path) -> None:
    image = take_in(workplace, upload, upload.name)
    for mpp, insists in ((0.5, False), (0.5, True), (0.5, True), (0.25, False)):
        score_at(workplace, image.id, mpp)
        scoring = get_scored_image(workplace, image.id).scoring
        assert scoring.confirmed is insists
        with session_scope(workplace.engine, write=True) as session:
            now, version = datetime.now(UTC), VersionUsed("v", "e" * 64, (0.1,) * 3, "0.1.0")
            start_scoring(session, scoring.id, 0, "e" * 64, now, oddities=(Oddity.OTHER_STAIN,))
            finish_scoring(session, scoring.id, Nuclei.empty(), version, now)
        cautions = get_scored_image(workplace, image.id).cautions
        assert "H&E" in cautions[0]
        assert ("press Score again" in cautions[1]) is not insists


def test_a_pixel_size_that_would_make_the_image_huge_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    Image.new("RGB", (3500, 3500)).save(tmp_path / "a.png")
    image = take_in(workplace, tmp_path / "a.png", "a.png")
    with pytest.raises(UnknownPixelSize, match=r"7\.0 × 7\.0 mm, 196 megapixels"):
        score_at(workplace, image.id, 2.0)


def test_refused_files_leave_nothing(workplace: Workplace, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(InvalidImage):
        take_in(workplace, tmp_path / "x.png", "x.png")
    assert list_scored_images(workplace) == []
    assert not (workplace.settings.data_dir / "blobs").exists()


def test_a_full_disk_leaves_no_case(workplace: Workplace, upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: bytes) -> str:
        raise StorageFull("The disk is full")

    monkeypatch.setattr(type(workplace.blobs), "put", lambda self, content: full(content))
    with pytest.raises(StorageFull):
        take_in(workplace, upload, upload.name)
    assert list_scored_images(workplace) == []


@pytest.mark.parametrize("mpp", [0, -1, 99, float("nan")])
def test_an_absurd_pixel_size_is_refused_and_changes_nothing(workplace: Workplace, upload: Path, mpp: float) -> None:
    image = take_in(workplace, upload, upload.name)
    with pytest.raises(UnknownPixelSize, match="give a value from"):
        score_at(workplace, image.id, mpp)
    assert get_scored_image(workplace, image.id).state == "needs pixel size"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\case 7.png", "case 7.png"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("a\x00b\nc\u202e.png", "a b c .png"),
        ("", "Untitled image"),
        ("😀 Fälle 例.png", "😀 Fälle 例.png"),
        ("x" * 300, "x" * 120),
        ("'; DROP TABLE image; --", "'; DROP TABLE image; --"),
    ],
)
def test_hostile_names_become_one_harmless_line(workplace: Workplace, upload: Path, name: str, label: str) -> None:
    assert clean_label(name) == label
    image = take_in(workplace, upload, name)
    assert get_scored_image(workplace, image.id).image.label == label


@given(st.text())
def test_any_text_can_be_a_label(name: str) -> None:
    label = clean_label(name)
    assert 1 <= len(label) <= 120
    assert "\n" not in label
    assert clean_label(label) == label


def test_cases_can_be_renamed(workplace: Workplace, upload: Path) -> None:
    image = take_in(workplace, upload, upload.name)
    assert rename(workplace, image.id, "  P-17\n") == "P-17"
    assert [case.image.label for case in list_scored_images(workplace)] == ["P-17"]


def test_a_typed_label_keeps_its_slash_and_an_empty_one_changes_nothing(workplace: Workplace, upload: Path) -> None:
    image = take_in(workplace, upload, upload.name)
    assert rename(workplace, image.id, "12345/24") == "12345/24"
    assert rename(workplace, image.id, " \n") == "12345/24"
    assert get_scored_image(workplace, image.id).image.label == "12345/24"


def test_pixels_that_a_failed_upload_took_away_meanwhile_are_kept(
    workplace: Workplace, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = take_in(workplace, upload, "first.png")

    def fail_elsewhere(session: object, case_id: int) -> None:
        workplace.blobs.discard(first.blob)

    monkeypatch.setattr(intake, "lock_open_case", fail_elsewhere)
    second = take_in(workplace, upload, "second.png", first.case_id)
    assert workplace.blobs.get(second.blob)


def test_the_demo_field_comes_once_and_only_first(workplace: Workplace) -> None:
    demo = take_in_demo(workplace)
    assert demo is not None
    assert demo.is_synthetic
    assert "synthetic" in demo.label
    assert take_in_demo(workplace) is None
    assert len(list_scored_images(workplace)) == 1


def test_a_running_case_tells_how_long_it_takes(workplace: Workplace, upload: Path) -> None:
    image = take_in(workplace, upload, upload.name)
    score_at(workplace, image.id, 0.5)
    scoring = get_scored_image(workplace, image.id).scoring
    start = datetime.now(UTC)
    with session_scope(workplace.engine, write=True) as session:
        start_scoring(session, scoring.id, 8, "f" * 64, start)
    assert get_scored_image(workplace, image.id).seconds_left is None
    hours = 3 * 3600
    for tile, at_s in enumerate((5, 10, hours + 10, hours + 15)):  # it was off between the second and the third
        with session_scope(workplace.engine, write=True) as session:
            put_tile(session, scoring.id, tile, Nuclei.from_arrays([], []), start + timedelta(seconds=at_s))
    assert get_scored_image(workplace, image.id).seconds_left == pytest.approx(4 * 5)


def test_the_record_holds_the_stored_numbers(workplace: Workplace, upload: Path) -> None:
    image = take_in(workplace, upload, upload.name)
    with pytest.raises(NotFound):
        get_record(workplace, image.id)
    score_at(workplace, image.id, 0.5)
    scoring = get_scored_image(workplace, image.id).scoring
    nuclei = Nuclei.from_arrays([[1, 2], [3, 4], [5, 6]], [0, 1, 2])
    with session_scope(workplace.engine, write=True) as session:
        finish_scoring(
            session, scoring.id, nuclei, VersionUsed("v", "e" * 64, (0.1, 0.2, 0.3), "0.1.0"), datetime.now(UTC)
        )
    record = get_record(workplace, image.id)
    assert record.index.percent == 50
    assert record.image_sha256 == image.sha256
    assert record.thresholds == (0.1, 0.2, 0.3)
    mapping = scored_image_to_mapping(get_scored_image(workplace, image.id))
    assert mapping["counts"] == {"positive": 1, "negative": 1, "other": 1}
    assert mapping["index_percent"] == 50
    assert "Only 2 tumour nuclei" in mapping["warnings"][0]
