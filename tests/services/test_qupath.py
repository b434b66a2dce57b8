"""A file from QuPath becomes the image's result, and nothing is lost by it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from db.engine import session_scope
from db.scorings import get_scoring
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.errors import InvalidAnnotations, NotFound, StaleRevision, UnknownPixelSize
from nucleus_app.services.intake import score_at
from nucleus_app.services.qupath import THRESHOLDS, import_annotations, list_classes
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.roi import ask_for_roi
from nucleus_app.services.scored_images import get_record, get_scored_image
from nucleus_app.services.workplace import Workplace
from tests.domain.qupath_files import DERIVED, collection, feature, multipoint, polygon, ring
from tests.services.reviewing import CANDIDATES, EXCLUDE, add_scoring, body, reclass
from tests.services.test_carrying import score

FILE = collection(
    feature(multipoint((10.5, 10.5), (40.5, 10.5)), DERIVED),
    feature(multipoint((60.5, 40.5)), "Tumor: Negative"),
    feature(polygon(ring(55, 35, 70, 50)), "Necrosis"),
)
MAPPING = {"Tumor: Positive": "positive", "Tumor: Negative": "negative", "Necrosis": "exclude"}


def counts_of(workplace: Workplace, image_id: int) -> tuple[int, int, int]:
    return tuple(get_scored_image(workplace, image_id).tally.counts)


def test_classes_are_listed_for_an_image_that_there_is(workplace: Workplace, image_id: int) -> None:
    found = list_classes(workplace, image_id, FILE)
    assert [(c.name, c.points, c.areas, c.guess) for c in found.classes] == [
        ("Tumor: Positive", 2, 0, "positive"),
        ("Tumor: Negative", 1, 0, "negative"),
        ("Necrosis", 0, 1, "exclude"),
    ]
    with pytest.raises(NotFound):
        list_classes(workplace, 99, FILE)


def test_a_file_becomes_a_result_that_is_counted_and_reported_like_any_other(
    workplace: Workplace, image_id: int, scoring_id: int
) -> None:
    made = import_annotations(workplace, image_id, FILE, MAPPING, "Dr. A")
    assert made.notes == ()
    case = get_scored_image(workplace, image_id)
    assert case.scoring.id == made.scoring_id > scoring_id
    assert case.state == "done"
    assert counts_of(workplace, image_id) == (2, 0, 0), "the negative one lies on what is excluded"
    record = get_record(workplace, image_id)
    assert (record.version_name, record.version_sha256) == ("QuPath import", hashlib.sha256(FILE).hexdigest())
    assert record.thresholds == THRESHOLDS
    assert record.confidence is None
    assert record.pixel_size.mpp == 0.5
    assert tuple(record.network_counts) == (2, 1, 0)
    assert [region.label for region in record.regions] == ["exclude"]
    assert len(record.nuclei) == 3


def test_imported_nuclei_are_corrected_and_regions_undone_like_any_other(
    workplace: Workplace, image_id: int, scoring_id: int, desk: ReviewDesk
) -> None:
    made = import_annotations(workplace, image_id, FILE, MAPPING, "Dr. A", "ann")
    read = desk.read_edits(made.scoring_id, 0)
    (edit,) = read.edits
    assert (edit["author"], edit["reader"], edit["op"]["label"]) == ("ann", "Dr. A", "exclude")
    assert read.score["open"]["n"] == 0, "no imported nucleus is doubtful"
    undo = {"op": "undo", "edit": f"{edit['client']}:{edit['seq']}"}
    taken = desk.take_edits(made.scoring_id, body(undo, reclass(0, c=1), after=1))
    assert taken.refused is None
    assert counts_of(workplace, image_id) == (1, 2, 0)


def test_the_last_import_wins_and_what_was_before_stays(
    workplace: Workplace, image_id: int, scoring_id: int, desk: ReviewDesk
) -> None:
    desk.take_edits(scoring_id, body(reclass(0, c=1)))
    first = import_annotations(workplace, image_id, FILE, MAPPING, "")
    second = import_annotations(workplace, image_id, FILE, MAPPING | {"Tumor: Positive": "other"}, "")
    assert get_scored_image(workplace, image_id).scoring.id == second.scoring_id
    assert counts_of(workplace, image_id) == (0, 0, 2), "corrections of what was there before are not mixed into a file"
    for earlier, rev in ((scoring_id, 1), (first.scoring_id, 1)):
        assert desk.read_edits(earlier, 0).rev == rev
        with session_scope(workplace.engine) as session:
            assert get_scoring(session, earlier).counts is not None


def test_scoring_again_leads_back_to_the_network_with_all_that_was_corrected(
    workplace: Workplace, image_id: int, desk: ReviewDesk
) -> None:
    network = Nuclei.from_arrays([[10, 10], [30, 10], [70, 50]], [0, 1, 1])
    first = score(workplace, image_id, network)
    desk.take_edits(first, body(reclass(1, c=0), {"op": "add", "x": 40, "y": 10, "c": 1}, EXCLUDE))
    made = import_annotations(workplace, image_id, FILE, MAPPING, "Dr. A")
    # The one that was placed is in the file too; what is said of it last holds, and it is there once.
    desk.take_edits(made.scoring_id, body(reclass(1, c=2), after=1))
    again = score(workplace, image_id, network)
    read = desk.read_edits(again, 0)
    ops = [edit["op"] for edit in read.edits]
    assert {"op": "class", "ids": [1], "c": 0} in ops, "said of the network's result"
    assert [op for op in ops if op["op"] == "add"] == [{"op": "add", "x": 40.0, "y": 10.0, "c": 2}]
    assert [op["label"] for op in ops if op["op"] == "region"] == ["exclude", "exclude"]
    assert get_record(workplace, image_id).version_name == "v"
    third = score(workplace, image_id, network)
    assert desk.read_edits(third, 0).score == read.score, "and once more"


def test_scoring_again_after_an_import_that_nobody_corrected_is_as_if_there_was_none(
    workplace: Workplace, image_id: int, desk: ReviewDesk
) -> None:
    first = score(workplace, image_id, CANDIDATES)
    before = desk.take_edits(first, body(reclass(1, c=1))).read.score
    import_annotations(workplace, image_id, FILE, {"Tumor: Positive": "positive"}, "")
    again = score(workplace, image_id, CANDIDATES)
    assert desk.read_edits(again, 0).score == before


def test_a_networks_map_of_what_was_imported_is_refused_at_once(workplace: Workplace, image_id: int) -> None:
    add_scoring(workplace, image_id)
    made = import_annotations(workplace, image_id, FILE, MAPPING, "")
    with pytest.raises(StaleRevision, match="These nuclei were imported"):
        ask_for_roi(workplace, made.scoring_id)


def test_while_the_image_is_scored_nothing_is_imported(workplace: Workplace, image_id: int, scoring_id: int) -> None:
    score_at(workplace, image_id, 0.25)
    with pytest.raises(StaleRevision, match="import again once that is done"):
        import_annotations(workplace, image_id, FILE, MAPPING, "")


def test_without_a_pixel_size_nothing_is_imported(workplace: Workplace, image_id: int) -> None:
    with pytest.raises(UnknownPixelSize, match="press Score, then import"):
        import_annotations(workplace, image_id, FILE, MAPPING, "")
    assert get_scored_image(workplace, image_id).scoring is None


def test_the_pixel_size_is_that_of_the_last_result_but_not_of_a_refused_one(
    workplace: Workplace, image_id: int
) -> None:
    add_scoring(workplace, image_id)
    refused = score(workplace, image_id, Nuclei.empty(), oddities=(Oddity.OTHER_STAIN,))
    made = import_annotations(workplace, image_id, FILE, MAPPING, "")
    case = get_scored_image(workplace, image_id)
    assert case.scoring.id == made.scoring_id == refused + 1
    assert case.scoring.pixel_size.mpp == 0.5
    assert not case.is_refused, "the reader's own points count in an image that the network does not know"


def test_what_cannot_be_imported_leaves_everything_as_it_was(
    workplace: Workplace, image_id: int, scoring_id: int, tmp_path: Path
) -> None:
    for data, mapping in ((b"no", MAPPING), (FILE, {}), (FILE, {"Stroma": "other"})):
        with pytest.raises(InvalidAnnotations):
            import_annotations(workplace, image_id, data, mapping, "")
    assert get_scored_image(workplace, image_id).scoring.id == scoring_id
