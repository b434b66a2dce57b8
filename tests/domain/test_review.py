from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.edits import (
    Add,
    Brush,
    Class,
    Cut,
    Delete,
    Edit,
    Move,
    Polygon,
    Redo,
    Region,
    RegionLabel,
    SignedEdit,
    Undo,
)
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.domain.review import Review, fold
from nucleus_app.domain.reviewed import Tally
from nucleus_app.errors import InvalidEdit

POSITIVE, NEGATIVE, OTHER = NucleusClass
SIZE = (100, 80)
THRESHOLDS = (0.3, 0.3, 0.4)
CANDIDATES = Nuclei.from_arrays(
    [[10, 10], [20, 10], [30, 10], [40, 10], [50, 10], [60, 10]],
    [POSITIVE, NEGATIVE, OTHER, POSITIVE, NEGATIVE, OTHER],
    [0.9, 0.8, 0.7, 0.29, 0.2, 0.35],  # the last three are under their class's threshold
)
LEFT = Polygon((5, 5, 25, 5, 25, 15, 5, 15))
"""Over candidates 0 and 1."""


def review_of(*edits: Edit, author: str = "ann") -> Review:
    signed = [SignedEdit("c", seq, author, edit) for seq, edit in enumerate(edits, start=1)]
    return fold(CANDIDATES, THRESHOLDS, SIZE, signed)


def ids(review: Review) -> list[int | str]:
    return list(review.nuclei().ids)


def state(review: Review) -> tuple[Any, ...]:
    """All that a review tells, as plain values."""
    found = review.nuclei()
    return (
        found.ids, found.origins, found.nuclei.xy.tolist(), found.nuclei.classes.tolist(), found.left_out.tolist(),
        review.tally, review.cuts, review.regions(),
    )  # fmt: skip


def test_without_edits_the_candidates_over_their_thresholds_are_present() -> None:
    review = review_of()
    assert ids(review) == [0, 1, 2]
    assert review.counts() == (1, 1, 1)
    assert set(review.nuclei().origins) == {"network"}


def test_a_class_changes_and_brings_hidden_candidates_in() -> None:
    review = review_of(Class((1, 4), POSITIVE))
    assert ids(review) == [0, 1, 2, 4]
    assert review.tally == Tally((3, 0, 1), left_out=0, edited=2, placed=0, deleted=0)


def test_a_deleted_candidate_is_gone_until_a_later_class_says_otherwise() -> None:
    assert review_of(Delete((0,))).tally == Tally((0, 1, 1), 0, 0, 0, deleted=1)
    assert review_of(Delete((0,)), Class((0,), NEGATIVE)).tally == Tally((0, 2, 1), 0, 1, 0, 0)


def test_a_moved_candidate_is_present_even_if_it_was_hidden_but_not_if_it_was_deleted() -> None:
    review = review_of(Move(3, 41.25, 12.5))
    assert ids(review) == [0, 1, 2, 3]
    assert review.nuclei().nuclei.xy[3].tolist() == [41.25, 12.5]
    assert ids(review_of(Delete((3,)), Move(3, 41, 12))) == [0, 1, 2]


def test_a_cut_moves_untouched_candidates_of_its_class_only() -> None:
    assert ids(review_of(Cut(POSITIVE, 0.2))) == [0, 1, 2, 3]
    assert ids(review_of(Cut(POSITIVE, 0.95))) == [1, 2]
    review = review_of(Class((0,), POSITIVE), Class((3,), NEGATIVE), Cut(POSITIVE, 0.95), Cut(NEGATIVE, 1.0))
    assert ids(review) == [0, 2, 3]  # what a person decided stays, 1 was untouched
    assert review.cuts == (0.95, 1.0, 0.4)


def test_a_cut_at_exactly_a_score_counts_it_as_the_network_would() -> None:
    # 0.7 in float32 is below 0.7 in float64; both sides are compared in float32.
    assert ids(review_of(Cut(OTHER, 0.7))) == [0, 1, 2]


def test_a_placed_nucleus_is_known_by_its_edit_and_gone_with_it() -> None:
    add = Add(70.5, 60, NEGATIVE)
    review = review_of(add, Class(("c:1",), OTHER), Move("c:1", 71, 61))
    assert ids(review) == [0, 1, 2, "c:1"]
    found = review.nuclei()
    assert (found.origins[3], found.nuclei.classes[3], found.nuclei.scores[3]) == ("placed", OTHER, 1)
    assert found.nuclei.xy[3].tolist() == [71, 61]
    assert review.tally == Tally((1, 1, 2), 0, edited=0, placed=1, deleted=0)
    assert review_of(add, Undo("c:1")).tally == review_of().tally
    assert review_of(add, Delete(("c:1",))).tally == review_of().tally
    assert review_of(add, Delete(("c:1",)), Undo("c:2")).tally.placed == 1


def test_a_class_does_not_bring_a_deleted_placed_nucleus_back() -> None:
    assert ids(review_of(Add(70, 60, NEGATIVE), Delete(("c:1",)), Class(("c:1",), POSITIVE))) == [0, 1, 2]


def test_nuclei_on_excluded_tissue_are_shown_but_not_counted() -> None:
    review = review_of(Region(RegionLabel.EXCLUDE, LEFT))
    assert review.nuclei().left_out.tolist() == [True, True, False]
    assert review.tally == Tally((0, 0, 1), left_out=2, edited=0, placed=0, deleted=0)


def test_the_last_region_decides_where_several_lie() -> None:
    exclude, erase = Region(RegionLabel.EXCLUDE, LEFT), Region(RegionLabel.ERASE, Brush(3, (10, 10)))
    assert review_of(exclude, erase).nuclei().left_out.tolist() == [False, True, False]
    assert review_of(erase, exclude).nuclei().left_out.tolist() == [True, True, False]
    assert review_of(exclude, erase, Undo("c:2")).nuclei().left_out.tolist() == [True, True, False]
    # A redone region stands where it stood: under the one that came after it.
    assert review_of(exclude, erase, Undo("c:1"), Redo("c:1")).nuclei().left_out.tolist() == [False, True, False]


def test_what_was_reviewed_and_what_is_tumour_count_nothing() -> None:
    tumour, reviewed = Region(RegionLabel.TUMOUR, LEFT), Region(RegionLabel.REVIEWED, LEFT)
    assert review_of(Region(RegionLabel.EXCLUDE, LEFT), reviewed).tally.left_out == 2  # another layer
    assert review_of(Region(RegionLabel.EXCLUDE, LEFT), tumour).tally.left_out == 0  # the same layer
    assert review_of(reviewed, tumour).regions() == [reviewed, tumour]


def test_a_nucleus_that_is_moved_out_of_an_excluded_region_counts_again() -> None:
    exclude = Region(RegionLabel.NON_TUMOUR, LEFT)
    assert review_of(exclude, Move(0, 70, 70)).counts() == (1, 0, 1)
    assert review_of(exclude, Move(0, 70, 70), Undo("c:2")).counts() == (0, 0, 1)
    assert review_of(Move(2, 8, 8), exclude).tally.left_out == 3
    assert review_of(exclude, Add(8, 8, POSITIVE)).tally == Tally((0, 0, 1), 3, 0, 1, 0)


def test_undo_takes_the_edit_itself_out_and_leaves_what_came_after() -> None:
    # The class of 1 is undone; the later one of another edit stands.
    review = review_of(Class((0, 1), OTHER), Class((1,), POSITIVE), Undo("c:1"))
    assert review.nuclei().nuclei.classes.tolist() == [POSITIVE, POSITIVE, OTHER]
    assert review.nuclei().origins == ("network", "edited", "network")
    assert review_of(Cut(POSITIVE, 0.2), Cut(POSITIVE, 0.95), Undo("c:2")).cuts == (0.2, 0.3, 0.4)
    assert state(review_of(Delete((0,)), Undo("c:1"), Undo("c:1"), Redo("c:1"))) == state(review_of(Delete((0,))))


def test_what_was_is_told_for_the_history() -> None:
    review = review_of(Delete((1,)))
    signed = [SignedEdit("d", seq, "bob", edit) for seq, edit in enumerate(
        [Class((0, 1, 3), NEGATIVE), Move(0, 5, 6), Cut(OTHER, 0.5), Add(1, 1, OTHER)], start=1
    )]  # fmt: skip
    assert [review.apply(edit) for edit in signed] == [[0, None, None], [10.0, 10.0], 0.4, None]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (Delete((6,)), "no nucleus 6 in this scoring: its candidates are 0 to 5"),
        (Class((0, "x:9"), POSITIVE), "no nucleus 'x:9'"),
        (Move("c:1", 5, 5), "no nucleus 'c:1'"),  # an edit, but not one that placed a nucleus
        (Undo("c:7"), "no edit 'c:7'"),
        (Undo("c:2"), "another reader's"),
        (Redo("c:2"), "another reader's"),
        (Undo("c:3"), "itself an undo"),
    ],
)
def test_an_edit_that_cannot_be_changes_nothing(edit: Edit, reason: str) -> None:
    review = review_of(Class((0,), NEGATIVE), Region(RegionLabel.EXCLUDE, LEFT), Undo("c:1"))
    before = state(review), review.rev
    with pytest.raises(InvalidEdit, match=reason):
        review.apply(SignedEdit("d", 1, "bob", edit))
    assert (state(review), review.rev) == before


def test_the_same_edit_is_not_taken_twice() -> None:
    review = review_of(Delete((0,)))
    with pytest.raises(InvalidEdit, match="in the log already"):
        review.apply(SignedEdit("c", 1, "ann", Delete((1,))))


def test_a_review_without_candidates_can_be_filled_by_hand() -> None:
    review = fold(Nuclei.empty(), THRESHOLDS, SIZE, [SignedEdit("c", 1, "a", Add(1, 2, POSITIVE))])
    review.apply(SignedEdit("c", 2, "a", Undo("c:1")))
    review.apply(SignedEdit("c", 3, "a", Redo("c:1")))
    assert (review.counts(), ids(review)) == ((1, 0, 0), ["c:1"])


# Properties, against a fold that is written as the decision is: slowly, one rule after the other.

places = st.tuples(st.integers(-1, 198).map(lambda n: n / 2), st.integers(-1, 158).map(lambda n: n / 2))
kinds = st.sampled_from(NucleusClass)
labels = st.sampled_from(RegionLabel)
levels = st.sampled_from([0.2, 0.29, 0.35, 0.8, 1.0])
shapes = st.one_of(
    st.builds(lambda r, at: Brush(r, (*at,)), st.integers(1, 40), places),
    st.builds(lambda r, a, b: Brush(r, (*a, *b)), st.integers(1, 20), places, places),
    st.builds(lambda a, b, c: Polygon((*a, *b, *c)), places, places, places),
)


@st.composite
def logs(draw: st.DrawFn) -> list[SignedEdit]:
    """Valid logs of two authors, with placed nuclei, undos of undone edits, and everything else."""
    log: list[SignedEdit] = []
    for seq in range(1, draw(st.integers(1, 16)) + 1):
        author = draw(st.sampled_from("ab"))
        placed = [e.key for e in log if isinstance(e.edit, Add)]
        own = [e.key for e in log if e.author == author and not isinstance(e.edit, Undo | Redo)]
        log.append(SignedEdit(f"c{author}", seq, author, draw_edit(draw, placed, own)))
    return log


def draw_edit(draw: st.DrawFn, placed: list[str], own: list[str]) -> Edit:
    """Draws the parts of the one edit that is taken: building strategies takes long."""
    nucleus = st.sampled_from([*range(len(CANDIDATES)), *placed])
    several = st.lists(nucleus, min_size=1, max_size=4, unique=True).map(tuple)
    match draw(
        st.sampled_from(["class", "delete", "move", "add", "cut", "region", *(["undo", "redo"] if own else [])])
    ):
        case "class":
            return Class(draw(several), draw(kinds))
        case "delete":
            return Delete(draw(several))
        case "move":
            return Move(draw(nucleus), *draw(places))
        case "add":
            return Add(*draw(places), draw(kinds))
        case "cut":
            return Cut(draw(kinds), draw(levels))
        case "region":
            return Region(draw(labels), draw(shapes))
        case "undo":
            return Undo(draw(st.sampled_from(own)))
        case _:
            return Redo(draw(st.sampled_from(own)))


def standing(log: list[SignedEdit]) -> list[SignedEdit]:
    undone = {}
    for e in log:
        if isinstance(e.edit, Undo | Redo):
            undone[e.edit.edit] = isinstance(e.edit, Undo)
    return [e for e in log if not isinstance(e.edit, Undo | Redo) and not undone.get(e.key)]


@given(logs())
def test_undone_edits_leave_no_trace(log: list[SignedEdit]) -> None:
    adds_undone = {e.key for e in log if isinstance(e.edit, Add)} - {e.key for e in standing(log)}
    named = {id_ for e in standing(log) for id_ in getattr(e.edit, "ids", (getattr(e.edit, "id", None),))}
    if not adds_undone & named:  # what names a nucleus whose placing is undone cannot be folded without it
        assert state(fold(CANDIDATES, THRESHOLDS, SIZE, log)) == state(
            fold(CANDIDATES, THRESHOLDS, SIZE, standing(log))
        )


@given(logs())
def test_the_fold_is_what_the_decision_says(log: list[SignedEdit]) -> None:
    left = standing(log)
    cuts = list(THRESHOLDS)
    for e in left:
        if isinstance(e.edit, Cut):
            cuts[e.edit.kind] = e.edit.level
    expected = {}
    placed = [e for e in log if isinstance(e.edit, Add)]
    for id_ in [*range(len(CANDIDATES)), *(e.key for e in placed)]:
        of_it = [e.edit for e in left if id_ in getattr(e.edit, "ids", (getattr(e.edit, "id", e.key),))]
        said = [edit for edit in of_it if isinstance(edit, Class | Delete)]
        if isinstance(id_, int):
            kind, (x, y) = int(CANDIDATES.classes[id_]), CANDIDATES.xy[id_].tolist()
            present = bool(of_it) or CANDIDATES.scores[id_] >= np.float32(cuts[kind])
            present = present if not said else isinstance(said[-1], Class)
        else:
            add = next(e for e in placed if e.key == id_)
            kind, x, y = int(add.edit.kind), add.edit.x, add.edit.y
            present = add in left and not any(isinstance(edit, Delete) for edit in said)
        for edit in of_it:
            kind = int(edit.kind) if isinstance(edit, Class) else kind
            x, y = (edit.x, edit.y) if isinstance(edit, Move) else (x, y)
        if present:
            expected[id_] = (kind, x, y)
    found = fold(CANDIDATES, THRESHOLDS, SIZE, log).nuclei()
    rows = zip(found.ids, found.nuclei.classes.tolist(), found.nuclei.xy.tolist(), strict=True)
    assert {id_: (kind, *xy) for id_, kind, xy in rows} == expected


@given(logs())
def test_counts_kept_on_the_way_are_those_of_the_nuclei(log: list[SignedEdit]) -> None:
    review = Review(CANDIDATES, THRESHOLDS, SIZE)
    for edit in log:
        review.apply(edit)
        found, tally = review.nuclei(), review.tally
        assert found.nuclei.select(~found.left_out).counts() == tally.counts
        assert int(found.left_out.sum()) == tally.left_out
        assert [found.origins.count(o) for o in ("edited", "placed")] == [tally.edited, tally.placed]


@given(logs())
def test_undo_of_everything_is_the_start(log: list[SignedEdit]) -> None:
    review = fold(CANDIDATES, THRESHOLDS, SIZE, log)
    for number, e in enumerate(log):
        if not isinstance(e.edit, Undo | Redo):
            review.apply(SignedEdit("undo", number + 1, e.author, Undo(e.key)))
    assert state(review) == state(Review(CANDIDATES, THRESHOLDS, SIZE))


@given(logs(), st.data())
def test_undo_and_redo_give_back_what_was(log: list[SignedEdit], data: st.DataObject) -> None:
    review = fold(CANDIDATES, THRESHOLDS, SIZE, log)
    before = state(review)
    stand = standing(log)
    if stand:
        e = data.draw(st.sampled_from(stand))
        review.apply(SignedEdit("again", 1, e.author, Undo(e.key)))
        review.apply(SignedEdit("again", 2, e.author, Redo(e.key)))
    assert state(review) == before
