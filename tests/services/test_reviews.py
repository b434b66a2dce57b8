"""Corrections from a page's request to the database and back."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.edits import find_review, list_edits
from db.engine import session_scope
from db.scorings import VersionUsed, finish_scoring, start_scoring
from nucleus_app.domain.edits import SignedEdit, edit_to_mapping
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.domain.review import fold
from nucleus_app.errors import InvalidEdit, NotFound, StaleRevision
from nucleus_app.reports.formats import record_to_mapping
from nucleus_app.services import reviews
from nucleus_app.services.intake import score_at
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.scored_images import get_record, get_scored_image, list_scored_images, scored_image_to_mapping
from nucleus_app.services.workplace import Workplace
from nucleus_app.settings import Settings
from tests.conftest import OpenWorkplace
from tests.domain import test_review
from tests.domain.test_review import SIZE, logs
from tests.services.reviewing import EXCLUDE, THRESHOLDS, add_image, add_scoring, body, reclass

ROOT = Path(__file__).parent.parent.parent


def test_edits_are_acknowledged_and_change_the_score(desk: ReviewDesk, scoring_id: int) -> None:
    before = desk.read_edits(scoring_id, 0)
    assert (before.rev, before.edits) == (0, [])
    assert before.score["counts"] == {"positive": 2, "negative": 1, "other": 1}
    # Doubtful within 0.35 ± 0.085 there is none.
    assert before.score["open"] == {
        "n": 0,
        "low_percent": pytest.approx(200 / 3),
        "high_percent": pytest.approx(200 / 3),
    }
    taken = desk.take_edits(scoring_id, body(reclass(0, c=1), {"op": "delete", "ids": [3]}, EXCLUDE))
    assert (taken.ack, taken.refused, taken.read.rev) == (3, None, 3)
    score = taken.read.score
    assert score["counts"] == {"positive": 1, "negative": 1, "other": 0}
    assert (score["tumour"], score["index_percent"], score["sparse"]) == (2, 50, True)
    assert [score[name] for name in ("left_out", "edited", "placed", "deleted")] == [1, 1, 0, 1]
    assert score["cuts"] == [0.3, 0.3, 0.4]
    assert score["warnings"] == ["Only 2 tumour nuclei were counted; fewer than 100 give no reliable index."]
    first = taken.read.edits[0]
    assert first | {"at": ""} == {
        "rev": 1, "client": "c1", "seq": 1, "author": "ann", "reader": "Dr. A", "at": "",
        "op": {"op": "class", "ids": [0], "c": 1}, "was": [0],
    }  # fmt: skip
    assert datetime.fromisoformat(first["at"]).tzinfo is not None
    assert desk.read_edits(scoring_id, 0) == taken.read
    assert [e["rev"] for e in desk.read_edits(scoring_id, 2).edits] == [3]


def test_a_retry_is_harmless(desk: ReviewDesk, scoring_id: int) -> None:
    sent = body(reclass(0, c=1), EXCLUDE)
    first = desk.take_edits(scoring_id, sent)
    again = desk.take_edits(scoring_id, sent)
    assert again == first
    more = desk.take_edits(scoring_id, body(reclass(0, c=1), EXCLUDE, {"op": "undo", "edit": "c1:1"}))
    assert (more.ack, more.read.rev) == (3, 3)
    assert more.read.score["counts"]["positive"] == 2


def test_two_pages_that_interleave_see_the_same(desk: ReviewDesk, scoring_id: int) -> None:
    a = desk.take_edits(scoring_id, body(reclass(0, c=1), client="ca", author="ann"))
    b = desk.take_edits(
        scoring_id, body(reclass(0, c=2), {"op": "add", "x": 5, "y": 5, "c": 0}, client="cb", author="bob")
    )
    a = desk.take_edits(
        scoring_id, body({"op": "delete", "ids": ["cb:2"]}, client="ca", author="ann", first=2, after=1)
    )
    assert [(e["client"], e["seq"]) for e in a.read.edits] == [("cb", 1), ("cb", 2), ("ca", 2)]
    b_again = desk.read_edits(scoring_id, b.read.rev)
    assert b_again.score == a.read.score
    assert a.read.score["counts"] == {"positive": 1, "negative": 1, "other": 2}
    undone = desk.take_edits(scoring_id, body({"op": "undo", "edit": "cb:1"}, client="cb2", author="bob", after=4))
    assert undone.read.score["counts"] == {"positive": 1, "negative": 2, "other": 1}  # ann's class shows again


@pytest.mark.parametrize("sizes", [(7,), (1,) * 7, (3, 1, 3)])
def test_the_score_does_not_depend_on_how_edits_are_batched(
    desk: ReviewDesk, scoring_id: int, sizes: tuple[int, ...]
) -> None:
    ops = [
        reclass(0, 4, c=2), EXCLUDE, {"op": "add", "x": 31, "y": 10, "c": 0}, {"op": "cut", "c": 1, "level": 0.16},
        {"op": "move", "id": 2, "x": 60, "y": 50}, {"op": "undo", "edit": "c1:2"}, {"op": "redo", "edit": "c1:2"},
    ]  # fmt: skip
    start = 0
    for size in sizes:
        taken = desk.take_edits(scoring_id, body(*ops[start : start + size], first=start + 1))
        start += size
    # 0 and 4 are other, 1 positive, 2 negative and moved out of the region, 3 other, the placed one is left out.
    assert taken.read.score["counts"] == {"positive": 1, "negative": 1, "other": 3}
    assert (taken.read.score["left_out"], taken.read.score["placed"], taken.read.rev) == (1, 1, 7)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs(), st.data())
def test_retries_duplicates_and_batches_leave_the_fold_as_it_is(
    workplace: Workplace, tmp_path: Path, log: list[SignedEdit], data: st.DataObject
) -> None:
    image = list_scored_images(workplace)
    image_id = image[0].image.id if image else add_image(workplace, tmp_path, size=SIZE)
    scoring_id = add_scoring(workplace, image_id, test_review.CANDIDATES)
    desks = [ReviewDesk(workplace), ReviewDesk(workplace)]
    acks = dict.fromkeys(("ca", "cb"), 0)
    for at, e in enumerate(log):
        known = [other for other in log[: at + 1] if other.client == e.client and other.seq > acks[e.client]]
        if data.draw(st.booleans()) and at + 1 < len(log) and log[at + 1].client == e.client:
            continue  # it goes with the next one
        repeated = [other for other in log[:at] if other.client == e.client and other.seq <= acks[e.client]]
        repeated = repeated[-data.draw(st.integers(1, 3)) :] if data.draw(st.booleans()) else []
        edits = [{"seq": each.seq, "op": edit_to_mapping(each.edit)} for each in [*repeated, *known]]
        for desk in desks[: data.draw(st.integers(1, 2))]:
            taken = desk.take_edits(scoring_id, body(client=e.client, author=e.author) | {"edits": edits})
            assert (taken.refused, taken.reason) == (None, None)
        acks[e.client] = taken.ack
    expected = fold(test_review.CANDIDATES, THRESHOLDS, SIZE, log)
    for desk in desks:
        read = desk.read_edits(scoring_id, 0)
        assert [(each["client"], each["seq"]) for each in read.edits] == [(e.client, e.seq) for e in log]
        assert read.score["counts"] == expected.counts()._asdict()
    reviewed = get_record(workplace, image_id).reviewed
    assert reviewed.ids == expected.nuclei().ids
    assert np.array_equal(reviewed.nuclei.xy, expected.nuclei().nuclei.xy)


INVALID: list[tuple[Any, str]] = [
    (reclass(5, c=0), "no nucleus 5"),
    (reclass("x:1", c=0), "no nucleus 'x:1'"),
    (reclass(0, c=3), "class c is 3"),
    ({"op": "move", "id": 0, "x": 80, "y": 1}, "x is 80"),
    ({"op": "add", "x": math.nan, "y": 1, "c": 0}, "no finite number"),
    ({"op": "add", "x": math.inf, "y": 1, "c": 0}, "no finite number"),
    ({"op": "cut", "c": 0, "level": 0.1}, "from 0.15 to 1"),
    ({"op": "undo", "edit": "c1:9"}, "no edit 'c1:9'"),
    ({"op": "undo", "edit": "other:1"}, "another reader's"),
    (EXCLUDE | {"pts": [1, 1] * 10_001}, "to 20000 numbers"),
    (EXCLUDE | {"r": 81}, "r is 81"),
    (EXCLUDE | {"r": 0}, "paints nothing"),
    ({"op": "merge"}, "no edit 'merge'"),
    (None, "is an object"),
    ({"op": "delete", "ids": ["\ud800:1"]}, "no nucleus"),
]


@pytest.mark.parametrize(("op", "reason"), INVALID)
def test_an_edit_that_cannot_be_is_refused_and_those_before_it_kept(
    desk: ReviewDesk, workplace: Workplace, scoring_id: int, op: Any, reason: str
) -> None:
    desk.take_edits(scoring_id, body(reclass(1, c=1), client="other", author="bob"))
    before = desk.read_edits(scoring_id, 0)
    alone = desk.take_edits(scoring_id, body(op))
    assert (alone.ack, alone.refused) == (0, 1)
    assert reason in (alone.reason or "")
    assert alone.read == before
    json.dumps(alone.reason, ensure_ascii=False).encode()
    taken = desk.take_edits(scoring_id, body(reclass(0, c=1), op, reclass(0, c=2)))
    assert (taken.ack, taken.refused, taken.read.rev) == (1, 2, 2)
    assert taken.read.score["counts"] == {"positive": 0, "negative": 3, "other": 1}
    fresh = ReviewDesk(workplace).read_edits(scoring_id, 0)
    assert fresh == desk.read_edits(scoring_id, 0) == taken.read
    # The page leaves the refused one out and goes on after it.
    assert desk.take_edits(scoring_id, body(reclass(0, c=2), first=3)).ack == 3


FORMS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda b: [b], "no object"),
    (lambda b: None, "no object"),
    (lambda b: b | {"client": ""}, "client is no name"),
    (lambda b: b | {"client": "x" * 65}, "client is no name"),
    (lambda b: b | {"client": "a:b"}, "client is no name"),
    (lambda b: b | {"client": "c1\n"}, "client is no name"),
    (lambda b: b | {"author": 5}, "author is no name"),
    (lambda b: b | {"author": "ann lee"}, "author is no name"),
    (lambda b: b | {"reader": None}, "reader is no text"),
    (lambda b: b | {"after": -1}, "after is no whole number"),
    (lambda b: b | {"after": 0.0}, "after is no whole number"),
    (lambda b: b | {"edits": {}}, "edits is no list"),
    (lambda b: b | {"edits": [1]}, "An edit is no object"),
    (lambda b: b | {"edits": [{"seq": 0, "op": EXCLUDE}]}, "seq is no whole number from 1"),
    (lambda b: b | {"edits": [{"seq": 2**40, "op": EXCLUDE}]}, "seq is no whole number"),
    (lambda b: b | {"edits": [{"seq": True, "op": EXCLUDE}]}, "seq is no whole number"),
    (lambda b: b | {"edits": [{"op": EXCLUDE}]}, "seq is no whole number"),
    (lambda b: b | {"edits": [{"seq": 2, "op": EXCLUDE}, {"seq": 2, "op": EXCLUDE}]}, "seq 2 comes after 2"),
    (lambda b: b | {"author": "bob"}, "another author's"),
]


@pytest.mark.parametrize(("change", "reason"), FORMS)
def test_a_body_of_another_form_is_refused_as_a_whole(
    desk: ReviewDesk, scoring_id: int, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    before = desk.take_edits(scoring_id, body(reclass(0, c=1))).read
    with pytest.raises(InvalidEdit, match=reason):
        desk.take_edits(scoring_id, change(body(reclass(0, c=2), first=2)))
    assert desk.read_edits(scoring_id, 0) == before


def test_a_readers_name_is_kept_as_one_harmless_line(desk: ReviewDesk, scoring_id: int) -> None:
    taken = desk.take_edits(scoring_id, body(EXCLUDE) | {"reader": " Dr.\u202e \ud800 Nagy\n\t例 " + "x" * 99})
    assert taken.read.edits[0]["reader"] == "Dr. Nagy 例 " + "x" * 49


def test_corrections_belong_to_the_latest_done_scoring(
    desk: ReviewDesk, workplace: Workplace, image_id: int, scoring_id: int
) -> None:
    desk.take_edits(scoring_id, body(reclass(0, c=1)))
    with pytest.raises(StaleRevision, match="goes to 1, not to 2"):
        desk.take_edits(scoring_id, body(EXCLUDE, first=2, after=2))
    with pytest.raises(StaleRevision, match="goes to 1, not to 2"):
        desk.read_edits(scoring_id, 2)
    score_at(workplace, image_id, 0.25)
    queued = get_scored_image(workplace, image_id).scoring.id
    with pytest.raises(StaleRevision, match="is queued"):
        desk.take_edits(queued, body(EXCLUDE))
    with pytest.raises(StaleRevision, match="scored again"):
        desk.take_edits(scoring_id, body(EXCLUDE, first=2))
    assert desk.read_edits(scoring_id, 0).rev == 1  # the old log can be read
    with pytest.raises(NotFound):
        desk.take_edits(99, body(EXCLUDE))
    with pytest.raises(NotFound):
        desk.read_edits(99, 0)
    assert get_scored_image(workplace, image_id).review is None


def test_what_is_no_ki67_field_cannot_be_corrected(desk: ReviewDesk, workplace: Workplace, image_id: int) -> None:
    score_at(workplace, image_id, 0.5)
    scoring_id = get_scored_image(workplace, image_id).scoring.id
    with session_scope(workplace.engine, write=True) as session:
        start_scoring(session, scoring_id, 0, "e" * 64, datetime.now(UTC), oddities=(Oddity.DARK,))
        finish_scoring(
            session, scoring_id, Nuclei.empty(), VersionUsed("v", "e" * 64, THRESHOLDS, "0.3.0"), datetime.now(UTC)
        )
    with pytest.raises(StaleRevision, match="Nothing was counted"):
        desk.take_edits(scoring_id, body({"op": "add", "x": 1, "y": 1, "c": 0}))
    assert record_to_mapping(get_record(workplace, image_id))["counts"] is None
    assert scored_image_to_mapping(get_scored_image(workplace, image_id))["counts"] is None


def test_a_long_list_is_taken_in_parts(desk: ReviewDesk, scoring_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews, "TAKEN_AT_ONCE", 2)
    sent = body(*[reclass(0, c=c) for c in (0, 1, 2, 0, 1)])
    assert [desk.take_edits(scoring_id, sent).ack for _ in range(4)] == [2, 4, 5, 5]
    assert desk.read_edits(scoring_id, 0).rev == 5


def test_a_commit_that_fails_leaves_no_trace_in_memory(
    desk: ReviewDesk, workplace: Workplace, scoring_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = desk.take_edits(scoring_id, body(reclass(0, c=1))).read

    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(reviews, "put_review", fail)
        with pytest.raises(OSError, match="gone"):
            desk.take_edits(scoring_id, body(reclass(1, c=1), first=2))
    assert desk.read_edits(scoring_id, 0) == before
    assert desk.take_edits(scoring_id, body(reclass(1, c=1), first=2)).ack == 2


def test_two_processes_agree(workplace: Workplace, scoring_id: int) -> None:
    here, there = ReviewDesk(workplace), ReviewDesk(workplace, kept=1)
    for seq in range(1, 6):
        desk = (here, there)[seq % 2]
        taken = desk.take_edits(scoring_id, body(reclass(seq % 4, c=seq % 3), client=f"c{seq % 2}", first=seq))
        assert taken.read.rev == seq
    assert here.read_edits(scoring_id, 0) == there.read_edits(scoring_id, 0)


def test_writers_at_the_same_time_lose_and_double_nothing(
    database_url: str, settings: Settings, open_at: OpenWorkplace, tmp_path: Path
) -> None:
    workplace = open_at(settings, database_url=database_url)
    scoring_id = add_scoring(workplace, add_image(workplace, tmp_path))
    desks = [ReviewDesk(workplace), ReviewDesk(workplace)]  # as two processes
    errors: list[BaseException] = []

    def write(writer: int) -> None:
        client = f"w{writer}"
        try:
            for seq in range(1, 16):
                op = {"op": "add", "x": writer, "y": seq, "c": 0}
                for desk in desks:  # each twice, as a retry through another process would
                    assert desk.take_edits(scoring_id, body(op, client=client, first=seq)).ack == seq
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert errors == []
    with session_scope(workplace.engine) as session:
        log = list_edits(session, scoring_id, 0)
        review = find_review(session, scoring_id)
    assert [e.rev for e in log] == list(range(1, 61))
    assert {(e.client, e.seq) for e in log} == {(f"w{w}", s) for w in range(4) for s in range(1, 16)}
    assert (review.rev, review.tally.placed, review.tally.counts.positive) == (60, 60, 62)
    assert all(desk.read_edits(scoring_id, 60).score["placed"] == 60 for desk in desks)


POST_AND_DIE = """
import os, sys
from pathlib import Path
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.workplace import open_workplace
from nucleus_app.settings import Settings
desk = ReviewDesk(open_workplace(Settings(data_dir=Path(sys.argv[1]), demo=False)))
for seq in range(1, 9):
    op = {"op": "add", "x": seq, "y": 1, "c": 0}
    taken = desk.take_edits(int(sys.argv[2]), {
        "client": "c", "author": "a", "after": 0, "edits": [{"seq": seq, "op": op}]
    })
    print(taken.ack, flush=True)
    if seq == 6:
        os._exit(9)
"""


def test_a_process_that_dies_between_two_requests_loses_nothing_acknowledged(
    workplace: Workplace, scoring_id: int, settings: Settings
) -> None:
    command = [sys.executable, "-c", POST_AND_DIE, str(settings.data_dir), str(scoring_id)]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (died.returncode, died.stdout.split()[-1]) == (9, "6")
    desk = ReviewDesk(workplace)
    assert desk.read_edits(scoring_id, 0).score["placed"] == 6
    ops = [{"op": "add", "x": seq, "y": 1, "c": 0} for seq in range(1, 9)]
    taken = desk.take_edits(scoring_id, body(*ops, client="c", author="a"))  # its page sends all it is not sure of
    assert (taken.ack, taken.read.rev, taken.read.score["placed"]) == (8, 8, 8)
