from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.edits import StoredReview
from db.engine import session_scope
from db.learning_cases import list_splits
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.reviewed import Tally
from nucleus_app.domain.sheet import CaseSheet, sheet_to_mapping
from nucleus_app.domain.split import Split, assign_split
from nucleus_app.errors import InvalidCase, NotFound, SignedOff, StaleRevision
from nucleus_app.reports.case_report import CaseReport, report_to_json
from nucleus_app.services.case_states import CaseList, state_to_mapping
from nucleus_app.services.casework import CaseDesk
from nucleus_app.services.downloads import write_geojson
from nucleus_app.services.intake import rename, score_at, take_in
from nucleus_app.services.qupath import import_annotations, list_classes
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.scored_images import get_scored_image, list_scored_images
from nucleus_app.services.sheets import move_images, save_sheet, split_image
from nucleus_app.services.signing import reopen, sign_off
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from tests.conftest import OpenWorkplace
from tests.services.reviewing import EXCLUDE, add_image, add_scoring, body, reclass

POINT = b"""{"type": "Feature", "geometry": {"type": "Point", "coordinates": [9, 9]},
  "properties": {"objectType": "annotation", "classification": {"name": "Positive", "color": [250, 62, 62]}}}"""
NONE = StoredReview(0, Tally.untouched(Counts(0, 0, 0)), datetime(2026, 1, 1, tzinfo=UTC))


class Folder:
    """A case as its reader meets it."""

    def __init__(self, workplace: Workplace, case_id: int) -> None:
        self.workplace, self.id = workplace, case_id
        self.reviews = ReviewDesk(workplace)
        self.desk = CaseDesk(workplace, self.reviews)

    @property
    def rev(self) -> int:
        return self.desk.view(self.id).case.rev

    @property
    def sheet(self) -> CaseSheet:
        return self.desk.view(self.id).case.sheet

    def summary(self) -> CaseReport:
        return self.desk.summarise(self.desk.view(self.id))

    def state(self) -> dict[str, Any]:
        view = self.desk.view(self.id)
        return state_to_mapping(view, self.desk.summarise(view))

    def change(self, **changes: Any) -> None:
        save_sheet(self.workplace, self.id, self.rev, "Dr. A", sheet_to_mapping(self.sheet) | changes)

    def sign(self, reader: str = "Dr. A") -> str:
        return sign_off(self.workplace, self.id, self.desk.view(self.id).digest, reader)


@pytest.fixture
def case(workplace: Workplace, image_id: int, scoring_id: int) -> Folder:
    return Folder(workplace, get_scored_image(workplace, image_id).image.case_id)


def whole(image_id: int, **given: Any) -> dict[str, Any]:
    return {"id": 1, "image": image_id, **given}


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


def test_a_signed_case_is_frozen_under_one_hash(case: Folder, image_id: int, scoring_id: int) -> None:
    case.change(specimen="pancreas")
    sha256 = case.sign("Dr. Å  Ω")
    report, signed = case.desk.report(case.id)
    assert signed == sha256 == hashlib.sha256(case.desk.freeze(case.id)).hexdigest()
    assert (report.signature.reader, report.revision, report.sheet.specimen) == ("Dr. Å Ω", 1, "pancreas")
    assert len(report.fields[0].nuclei) == 4
    for change in (
        lambda: case.reviews.take_edits(scoring_id, body(reclass(0, c=1))),
        lambda: score_at(case.workplace, image_id, 0.5),
        lambda: case.change(specimen="liver"),
        lambda: move_images(case.workplace, case.id, case.rev, "", [image_id]),
        lambda: case.sign("Dr. B"),
        lambda: import_annotations(case.workplace, image_id, POINT, {"Positive": "positive"}, "Dr. B"),
    ):
        with pytest.raises(SignedOff, match=r"signed off by Dr\. Å Ω"):
            change()
    assert case.desk.report(case.id) == (report, sha256)
    assert case.state()["signature"]["sha256"] == sha256


def test_a_reopened_case_is_the_next_revision_and_says_why(case: Folder, scoring_id: int) -> None:
    first = case.sign()
    with pytest.raises(InvalidCase, match="needs a name"):
        reopen(case.workplace, case.id, " ", "why")
    with pytest.raises(InvalidCase, match="needs a reason"):
        reopen(case.workplace, case.id, "Dr. B", "  ")
    reopen(case.workplace, case.id, "Dr. B", "lymphocytes were counted")
    assert case.state()["signature"] is None
    case.reviews.take_edits(scoring_id, body(reclass(0, c=1)))
    second = case.sign("Dr. B")
    report, _ = case.desk.report(case.id)
    assert (report.revision, report.reopened.reader, report.reopened.reason) == (2, "Dr. B", "lymphocytes were counted")
    assert second != first
    assert case.workplace.blobs.get(first)  # what was signed first is kept
    with pytest.raises(StaleRevision, match="not signed"):
        Folder(case.workplace, case.id) and reopen_twice(case)


def test_a_case_teaches_from_its_first_signature_on_and_stays_on_its_side(case: Folder, scoring_id: int) -> None:
    def sides() -> dict[int, Split]:
        with session_scope(case.workplace.engine) as session:
            return list_splits(session, [case.id])

    with pytest.raises(StaleRevision):
        sign_off(case.workplace, case.id, "another digest", "Dr. A")
    assert sides() == {}
    case.sign()
    first = sides()
    assert first == {case.id: assign_split(0)}
    reopen(case.workplace, case.id, "Dr. B", "a recount")
    case.reviews.take_edits(scoring_id, body(reclass(0, c=1)))
    case.sign()
    assert sides() == first


def test_a_case_of_nothing_but_fields_that_the_app_drew_takes_no_side(case: Folder) -> None:
    with session_scope(case.workplace.engine, write=True) as session:
        session.execute(text("UPDATE image SET is_synthetic = true"))
    case.sign()
    with session_scope(case.workplace.engine) as session:
        assert list_splits(session) == {}


def reopen_twice(case: Folder) -> None:
    reopen(case.workplace, case.id, "Dr. B", "a")
    reopen(case.workplace, case.id, "Dr. B", "b")


def test_what_is_signed_is_what_was_seen(case: Folder, scoring_id: int) -> None:
    seen = case.desk.view(case.id).digest
    case.reviews.take_edits(scoring_id, body(reclass(0, c=1)))
    with pytest.raises(StaleRevision, match="has changed"):
        sign_off(case.workplace, case.id, seen, "Dr. A")
    with pytest.raises(InvalidCase, match="name"):
        sign_off(case.workplace, case.id, case.desk.view(case.id).digest, " ")
    assert case.state()["signature"] is None


def test_a_case_that_is_being_scored_or_has_no_score_cannot_be_signed(
    workplace: Workplace, case: Folder, image_id: int
) -> None:
    case.change(fields=[])
    with pytest.raises(InvalidCase, match="no field yet"):
        case.sign()
    score_at(workplace, image_id, 0.4)
    with pytest.raises(StaleRevision, match="still being scored"):
        case.sign()


def test_of_two_readers_who_sign_while_a_third_corrects_one_signs_and_all_is_in_it_or_refused(
    database_url: str, settings: Settings, open_at: OpenWorkplace, tmp_path: Path
) -> None:
    workplace = open_at(settings, database_url=database_url)
    image_id = add_image(workplace, tmp_path)
    scoring_id = add_scoring(workplace, image_id)
    case = Folder(workplace, get_scored_image(workplace, image_id).image.case_id)
    outcomes: list[str] = []

    def try_to(do: Callable[[], object], name: str) -> None:
        try:
            do()
            outcomes.append(name)
        except (SignedOff, StaleRevision) as error:
            outcomes.append(type(error).__name__)

    def correct() -> None:
        for n in range(20):
            op = reclass(0, c=n % 2)
            try_to(lambda op=op, n=n: ReviewDesk(workplace).take_edits(scoring_id, body(op, first=n + 1)), "corrected")

    def sign(reader: str) -> None:
        while "SignedOff" not in outcomes:  # until somebody has signed
            digest = case.desk.view(case.id).digest
            try_to(lambda digest=digest: sign_off(workplace, case.id, digest, reader), f"signed by {reader}")

    threads = [threading.Thread(target=correct), *(threading.Thread(target=sign, args=(r,)) for r in ("A", "B"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    signed = [outcome for outcome in outcomes if outcome.startswith("signed")]
    report, _ = case.desk.report(case.id)
    assert signed == [f"signed by {report.signature.reader}"]
    assert report.edits == outcomes.count("corrected") == case.desk.view(case.id).reviews.get(scoring_id, NONE).rev
    workplace.engine.dispose()


@pytest.mark.parametrize("multipoint", [False, True])
def test_what_is_exported_for_qupath_comes_back_as_the_same_nuclei(
    case: Folder, image_id: int, scoring_id: int, multipoint: bool
) -> None:
    case.reviews.take_edits(scoring_id, body(reclass(1, c=1), {"op": "add", "x": 12.25, "y": 20.5, "c": 0}))
    before = case.desk.report(case.id)[0].fields[0]
    exported = write_geojson(case.desk, case.id, image_id, multipoint=multipoint).content
    found = list_classes(case.workplace, image_id, exported)
    guesses = {each.name: each.guess for each in found.classes}
    assert {name: guesses[name] for name in ("Tumor: Positive", "Tumor: Negative")} == {
        "Tumor: Positive": "positive",
        "Tumor: Negative": "negative",
    }
    mapping = {name: "other" if name == "Other" else guess for name, guess in guesses.items()}
    import_annotations(case.workplace, image_id, exported, mapping, "Dr. B")
    after = case.desk.report(case.id)[0].fields[0]
    assert after.tallies.tumour == before.tallies.tumour
    assert (after.percent, after.low_percent, after.high_percent) == (
        before.percent,
        before.low_percent,
        before.high_percent,
    )
    assert sorted((m.kind, m.x_px, m.y_px) for m in after.nuclei) == sorted(
        (m.kind, m.x_px, m.y_px) for m in before.nuclei
    )


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
