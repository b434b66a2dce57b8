"""An image that is scored again keeps what was corrected."""

from __future__ import annotations

from datetime import UTC, datetime

from db.engine import session_scope
from db.scorings import VersionUsed, finish_scoring, queue_scoring, start_scoring
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.domain.scale import PixelSize
from nucleus_app.services.carrying import carry_corrections
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.workplace import Workplace
from tests.services.reviewing import EXCLUDE, body

THRESHOLDS = (0.3, 0.3, 0.3)
MPP = 0.5  # 3 µm are 6 px


def score(workplace: Workplace, image_id: int, candidates: Nuclei, oddities: tuple[Oddity, ...] = ()) -> int:
    """A finished scoring of an image with these candidates, as the worker finishes one."""
    now = datetime.now(UTC)
    with session_scope(workplace.engine, write=True) as session:
        scoring_id = queue_scoring(session, image_id, PixelSize(MPP, "a test"), now)
        start_scoring(session, scoring_id, 1, "0" * 64, now, oddities=oddities)
        assert finish_scoring(session, scoring_id, candidates, VersionUsed("v", "0" * 64, THRESHOLDS, "0"), now)
        carry_corrections(session, scoring_id, now)
    return scoring_id


def test_corrections_go_to_the_nearest_new_candidate_or_are_placed_anew(workplace: Workplace, image_id: int) -> None:
    desk = ReviewDesk(workplace)
    first = score(workplace, image_id, Nuclei.from_arrays([[10, 10], [40, 10], [70, 10], [10, 40]], [0, 1, 1, 1]))
    said = [
        {"op": "class", "ids": [0], "c": 2},
        {"op": "delete", "ids": [1]},
        {"op": "class", "ids": [2], "c": 0},
        {"op": "add", "x": 60, "y": 50, "c": 1},
        EXCLUDE,
        {"op": "delete", "ids": [3]},
        {"op": "undo", "edit": "c1:6"},
    ]
    desk.take_edits(first, body(*said))
    # Found anew: the first a little aside, the removed one again, nothing where the third was, one that nobody named.
    second = score(workplace, image_id, Nuclei.from_arrays([[12, 11], [41, 9], [12, 40], [75, 50]], [0, 1, 1, 0]))
    read = desk.read_edits(second, 0)
    ops = [e["op"] for e in read.edits]
    assert {"op": "class", "ids": [0], "c": 2} in ops
    assert {"op": "delete", "ids": [1]} in ops
    assert {"op": "add", "x": 70.0, "y": 10.0, "c": 0} in ops
    assert {"op": "add", "x": 60.0, "y": 50.0, "c": 1} in ops
    assert ops[-1]["op"] == "region"
    assert len(ops) == 5, "what was undone is not carried"
    assert {e["author"] for e in read.edits} == {"ann"}
    assert [e["rev"] for e in read.edits] == [1, 2, 3, 4, 5]
    # Whose they are, they can still take back.
    removed = next(e for e in read.edits if e["op"]["op"] == "delete")
    back = {"op": "undo", "edit": f"{removed['client']}:{removed['seq']}"}
    assert desk.take_edits(second, body(back, client="c9", after=5)).ack == 1


def test_two_readers_corrections_stay_apart(workplace: Workplace, image_id: int) -> None:
    desk = ReviewDesk(workplace)
    candidates = Nuclei.from_arrays([[10, 10], [40, 10]], [0, 1])
    first = score(workplace, image_id, candidates)
    desk.take_edits(first, body({"op": "delete", "ids": [0]}, client="ca", author="ann"))
    desk.take_edits(first, body({"op": "delete", "ids": [1]}, client="cb", author="bob"))
    second = score(workplace, image_id, candidates)
    read = desk.read_edits(second, 0)
    assert sorted((e["author"], e["op"]["ids"]) for e in read.edits) == [("ann", [0]), ("bob", [1])]
    third = score(workplace, image_id, candidates)
    assert desk.read_edits(third, 0).score == read.score, "and once more"


def test_an_image_that_nobody_corrected_has_an_empty_log(workplace: Workplace, image_id: int) -> None:
    candidates = Nuclei.from_arrays([[10, 10]], [0])
    score(workplace, image_id, candidates)
    assert ReviewDesk(workplace).read_edits(score(workplace, image_id, candidates), 0).rev == 0


def test_a_mistyped_pixel_size_in_between_loses_no_correction(workplace: Workplace, image_id: int) -> None:
    desk = ReviewDesk(workplace)
    candidates = Nuclei.from_arrays([[10, 10], [40, 10]], [0, 1])
    first = score(workplace, image_id, candidates)
    desk.take_edits(first, body({"op": "delete", "ids": [0]}, {"op": "add", "x": 60, "y": 50, "c": 0}))
    refused = score(workplace, image_id, Nuclei.empty(), oddities=(Oddity.NUCLEI_TOO_LARGE,))
    assert desk.read_edits(refused, 0).rev == 0
    again = score(workplace, image_id, candidates)
    assert desk.read_edits(again, 0).score["counts"] == {"positive": 1, "negative": 1, "other": 0}
