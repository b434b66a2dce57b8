from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.engine import session_scope
from db.scorings import VersionUsed, finish_scoring, start_scoring
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.domain.sheet import sheet_to_mapping
from nucleus_app.errors import InvalidCase, NotFound, StaleRevision
from nucleus_app.reports.case_report import report_to_json
from nucleus_app.services.case_states import CaseList
from nucleus_app.services.intake import rename, score_at, take_in
from nucleus_app.services.qupath import import_annotations
from nucleus_app.services.scored_images import get_scored_image, list_scored_images
from nucleus_app.services.sheets import move_images, save_sheet, split_image
from nucleus_app.services.workplace import Workplace
from tests.services.casefolder import POINT, Folder, whole
from tests.services.reviewing import EXCLUDE, add_image, add_scoring, body, reclass


def test_an_upload_is_a_case_with_one_field_the_whole_image(case: Folder) -> None:
    state = case.state()
    assert (state["sheet"]["label"], len(state["fields"]), state["signature"]) == (f"Case {case.id}", 1, None)
    assert state["score"]["primary"]["name"] == "Ki67 labelling index"
    assert (state["score"]["primary"]["positive"], state["score"]["primary"]["tumour"]) == (2, 3)
    assert state["fields"][0]["network"] == [2, 1, 1]


def test_a_field_counts_what_lies_in_its_box_corrected_and_not_left_out(
    case: Folder, image_id: int, scoring_id: int
) -> None:
    case.change(
        fields=[whole(image_id, box=[5, 0, 30, 30])]
    )  # holds x = 10 and 20: the right end does not belong to it
    assert case.summary().fields[0].tallies.tumour == 2
    case.change(fields=[whole(image_id, box=[5, 0, 45, 30])])
    before = case.summary().fields[0]
    assert (before.tallies.tumour, before.tallies.other) == (3, 1)
    case.reviews.take_edits(scoring_id, body(reclass(1, c=1), EXCLUDE, {"op": "add", "x": 12, "y": 20, "c": 0}))
    field = case.summary().fields[0]
    assert field.tallies == field.tallies.__class__(positive=2, negative=1, other=1, left_out=1, edited=1, placed=1)
    assert field.network == (2, 1, 1)  # the network's own count is kept beside it
    assert field.area_mm2 < before.area_mm2
    drawn_mm2 = 3.14159 * 3**2 * (field.mpp / 1000) ** 2
    assert before.area_mm2 - field.area_mm2 == pytest.approx(drawn_mm2, rel=0.1)


def test_images_move_between_cases_and_an_empty_case_is_seen_no_more(
    workplace: Workplace, case: Folder, tmp_path: Path
) -> None:
    second = add_image(workplace, tmp_path, size=(90, 60))
    add_scoring(workplace, second)
    other = get_scored_image(workplace, second).image.case_id
    move_images(workplace, case.id, case.rev, "Dr. A", [second])
    state = case.state()
    assert [f["image_id"] for f in state["fields"]] == [state["images"][0]["id"], second]
    assert state["score"]["primary"]["tumour"] == 6
    assert not Folder(workplace, other).desk.view(other).images
    new = split_image(workplace, case.id, case.rev, "Dr. A", second)
    assert [f["image_id"] for f in case.state()["fields"]] == [state["images"][0]["id"]]
    assert Folder(workplace, new).summary().fields[0].image_id == second
    with pytest.raises(InvalidCase, match="the only one"):
        split_image(workplace, new, Folder(workplace, new).rev, "", second)


def test_an_upload_into_a_case_is_one_more_field_of_it(workplace: Workplace, case: Folder, tmp_path: Path) -> None:
    image = take_in(workplace, tmp_path / "a.png", "b.png", case.id)
    assert [field.image for field in case.sheet.fields][-1] == image.id
    warnings = case.summary().warnings
    assert "“Image 1” and “Image 2” are the same image." in warnings
    with pytest.raises(NotFound):
        take_in(workplace, tmp_path / "a.png", "b.png", 999)


def test_a_file_name_never_stands_for_a_patient_and_a_typed_label_names_the_case(case: Folder, image_id: int) -> None:
    report, _ = case.desk.report(case.id)
    assert b"a.png" not in report_to_json(report)
    rename(case.workplace, image_id, "P-017")
    assert case.sheet.label == "P-017"
    case.change(label="P-017 liver")
    rename(case.workplace, image_id, "P-017 a")
    assert case.sheet.label == "P-017 liver"


def test_an_image_that_is_split_off_or_upgraded_is_named_by_a_pseudonym(
    workplace: Workplace, case: Folder, tmp_path: Path
) -> None:
    second = take_in(workplace, tmp_path / "a.png", "Smith_John.png", case.id)
    new = split_image(workplace, case.id, case.rev, "", second.id)
    assert Folder(workplace, new).sheet.label == f"Case {new}"


def test_imported_annotations_are_never_called_the_networks(case: Folder, image_id: int) -> None:
    import_annotations(case.workplace, image_id, POINT, {"Positive": "positive"}, "Dr. B")
    report, _ = case.desk.report(case.id)
    field = report.fields[0]
    assert (field.is_imported, field.network, field.tallies.positive) == (True, None, 1)
    assert [mark.origin for mark in field.nuclei] == ["imported"]


def test_a_full_case_says_so(case: Folder, image_id: int, tmp_path: Path) -> None:
    case.change(fields=[whole(image_id) | {"id": 2**31 - 1 - n} for n in range(500)])
    with pytest.raises(InvalidCase, match="500 fields, the most"):
        take_in(case.workplace, tmp_path / "a.png", "b.png", case.id)
    case.change(fields=[whole(image_id) | {"id": 2**31 - 1}])
    take_in(case.workplace, tmp_path / "a.png", "b.png", case.id)  # ids of fields never run out
    assert [field.id for field in case.sheet.fields] == [2**31 - 1, 1]


def test_many_overlaps_are_counted_instead_of_listed(case: Folder, image_id: int) -> None:
    case.change(fields=[whole(image_id) | {"id": n + 1} for n in range(40)])
    overlaps = [warning for warning in case.summary().warnings if "overlap" in warning]
    assert overlaps[3:] == ["777 more pairs of fields overlap."]


def test_a_window_that_does_not_know_the_latest_sheet_cannot_overwrite_it(case: Folder) -> None:
    seen = case.rev
    case.change(specimen="liver")
    with pytest.raises(StaleRevision, match="Another window"):
        save_sheet(case.workplace, case.id, seen, "", sheet_to_mapping(case.sheet) | {"specimen": "lung"})
    assert case.sheet.specimen == "liver"
    rev = case.rev
    case.change(specimen="liver")
    assert case.rev == rev  # what changes nothing makes no revision


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fields": [{"id": 1, "image": 4242}]}, "not of this case"),
        ({"protocol": "guess"}, "protocol"),
        ({"shares": {"low": 120}}, "shares.low"),
        ({"mitoses_per_2mm2": -1}, "mitoses"),
        ({"unknown": 1}, "unknown"),
        ({"fields": [{"id": 1, "image": 1}] * 501}, "fields"),
        ({"fields": [{"id": 1, "image": 1, "box": [30, 0, 5, 9]}]}, "at least 1 px"),
        ({"fields": [{"id": 1, "image": 1, "box": [5, 0, 5.5, 9]}]}, "at least 1 px"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused_and_nothing_changes(
    case: Folder, changes: dict[str, Any], message: str
) -> None:
    before = case.sheet
    with pytest.raises(InvalidCase, match=message):
        case.change(**changes)
    assert case.sheet == before


def test_overlapping_fields_are_told(case: Folder, image_id: int) -> None:
    case.change(fields=[whole(image_id), whole(image_id, box=[0, 0, 20, 20]) | {"id": 2, "name": "core"}])
    assert "Field 1 and core overlap: nuclei in both count twice." in case.summary().warnings
    fields = [whole(image_id), whole(image_id, box=[0, 0, 20, 20], role="hot spot") | {"id": 2, "name": "core"}]
    case.change(protocol="breast global", fields=fields)  # which counts them apart
    assert not any("overlap" in warning for warning in case.summary().warnings)


def test_what_is_wrong_with_an_image_is_told_of_the_case_it_is_counted_in(
    case: Folder, image_id: int, tmp_path: Path
) -> None:
    score_at(case.workplace, image_id, 0.1)
    with session_scope(case.workplace.engine, write=True) as session:
        scoring = get_scored_image(case.workplace, image_id).scoring
        now, nuclei = datetime.now(UTC), Nuclei.from_arrays(np.zeros((200, 2)), np.ones(200), np.full(200, 0.37))
        start_scoring(session, scoring.id, 1, "e" * 64, now, oddities=(Oddity.BLURRED,))
        version = VersionUsed("v", "e" * 64, (0.3,) * 3, "0.5.8", Confidence(10.0, -3.5))
        finish_scoring(session, scoring.id, nuclei, version, now, oddities=(Oddity.UNSURE,))
    case.change(protocol="net hot spot", label="A", fields=[whole(image_id, box=[-0.5, -0.5, 20, 20])])
    report = case.summary()
    said = [warning for warning in report.warnings if "tumour cells available" not in warning]
    assert [warning.split(" ")[:3] for warning in said] == [
        ["The", "image", "is"], ["The", "network", "was"], ["0.1", "µm/px", "is"],
    ]  # fmt: skip
    assert list(report.fields[0].warnings) == said
    add_image(case.workplace, tmp_path)
    other = list_scored_images(case.workplace)[0].image
    move_images(case.workplace, case.id, case.rev, "Dr. A", [other.id])
    assert sum(warning.startswith("“Image 1”: The image is blurred") for warning in case.summary().warnings) == 1


def test_the_list_counts_boxes_and_images_too_old_to_be_listed_and_reads_a_case_once(
    case: Folder, image_id: int, scoring_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = add_image(case.workplace, tmp_path)
    add_scoring(case.workplace, second)
    move_images(case.workplace, case.id, case.rev, "", [second])
    case.change(fields=[whole(image_id, box=[0, 0, 25, 60]), {"id": 2, "image": second}], protocol="breast global")
    cases = CaseList(case.workplace, case.desk)
    latest = [image for image in list_scored_images(case.workplace) if image.image.id == second]

    def shown(listed: list[Any] | None = None) -> Any:
        (brief,) = cases.list_briefs(listed or list_scored_images(case.workplace))
        return brief["shown"]

    assert shown() == case.state()["score"]["primary"]["shown"]
    assert shown(latest) == case.state()["score"]["primary"]["shown"]
    before = shown()
    case.reviews.take_edits(scoring_id, body(reclass(0, c=1)))
    assert shown() == case.state()["score"]["primary"]["shown"]
    read: list[int] = []
    view = case.desk.view
    monkeypatch.setattr(case.desk, "view", lambda case_id: (read.append(case_id), view(case_id))[1])
    assert shown() == shown()
    assert read == []
    assert before is not None
    case.change(fields=[whole(image_id), {"id": 2, "image": second}])
    assert shown(latest) == shown() == case.state()["score"]["primary"]["shown"]
