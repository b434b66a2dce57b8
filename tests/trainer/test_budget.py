from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from db.engine import session_scope
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.split import Split
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.services.workplace import Workplace
from tests.trainer.lessons import NOW, add_drawn_cases
from tests.trainer.posts import FakeTuning, ask_for_run, events_of, make_bench, run_of, watch_once
from trainer import run as run_module
from trainer.corrections import budget
from trainer.corrections.budget import keep_newest
from trainer.corrections.snapshot import list_signed_images, parse_snapshot
from trainer.corrections.statement import Statement, Window, make_example

NO_POINTS = np.empty((0, 2), np.float32)
SMALL = {Split.TRAIN: 0.6, Split.VALIDATION: 0.3, Split.LOCKED: 0.5}


def part(
    image: int, side: Split = Split.TRAIN, *, width: int = 500, height: int = 400, top: int = 0, case: int | None = None
) -> Statement:
    window = Window(0, top, width, height)
    return Statement(
        image, case or image, side, "b", 0.5, window, Nuclei.from_arrays(NO_POINTS, [], []), np.zeros(0, np.bool_), NO_POINTS,
        NO_POINTS, (), (None,),
    )  # fmt: skip


def signed_in_order(*images: int) -> dict[int, datetime]:
    return {image: NOW + timedelta(hours=n) for n, image in enumerate(images)}


def test_where_everything_fits_nothing_is_left_out() -> None:
    statements = [part(1), part(2), part(3, Split.LOCKED)]
    assert keep_newest(statements, signed_in_order(1, 2, 3), SMALL) == (statements, {})


def test_what_was_signed_last_comes_first_on_each_side_and_all_parts_of_an_image_stay_together() -> None:
    statements = [part(1), part(2), part(2, top=400), part(3), *(part(n, Split.LOCKED) for n in (4, 5, 6))]
    kept, left_out = keep_newest(statements, signed_in_order(3, 1, 2, 5, 6, 4), SMALL)
    assert [s.image for s in kept] == [1, 2, 2, 4, 6]
    assert left_out == {Split.TRAIN: 1, Split.LOCKED: 1}


def test_an_image_that_does_not_fit_leaves_room_for_others_unless_it_is_the_newest() -> None:
    large = part(2, width=5000)
    kept, left_out = keep_newest([part(1), large], signed_in_order(1, 2), SMALL)
    assert ([s.image for s in kept], left_out) == ([2], {Split.TRAIN: 1})  # the newest is kept however large it is
    kept, left_out = keep_newest([part(1), large], signed_in_order(2, 1), SMALL)
    assert ([s.image for s in kept], left_out) == ([1], {Split.TRAIN: 1})


def test_patients_come_in_turn_and_two_locked_ones_always_judge() -> None:
    """A square millimetre at 0.25 µm/px has 16 megapixels: of ten such cases more than one must judge."""
    square = {"width": 4000, "height": 4000}
    ten = [part(n, Split.LOCKED, **square) for n in range(1, 11)]
    kept, left_out = keep_newest(ten, signed_in_order(*range(1, 11)))
    assert ([s.image for s in kept], left_out) == ([7, 8, 9, 10], {Split.LOCKED: 6})
    slides = [part(n, Split.LOCKED, width=9000, height=9000) for n in (1, 2, 3)]
    assert [s.image for s in keep_newest(slides, signed_in_order(1, 2, 3))[0]] == [2, 3]
    one_patient = [part(n, case=9) for n in (2, 3, 4)]
    kept, _ = keep_newest([part(1), *one_patient], signed_in_order(1, 2, 3, 4), SMALL)
    assert [s.image for s in kept] == [1, 3, 4]


def test_an_example_does_not_keep_the_whole_slide_in_memory() -> None:
    slide = np.zeros((900, 500, 3), np.uint8)
    example = make_example(part(1, top=400), slide)  # as wide as the slide: a view would be contiguous
    assert not np.shares_memory(example.rgb, slide)


def test_a_run_says_what_it_left_out(workplace: Workplace, tiny: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(budget.MEGAPIXELS, Split.TRAIN, 0.01)  # one drawn field
    monkeypatch.setattr(run_module, "finetune", FakeTuning())
    add_drawn_cases(workplace, 4)
    ask_for_run(workplace)
    watch_once(make_bench(workplace, tiny))
    run = run_of(workplace)
    assert (run.summary["train"]["fields"], run.summary["left_out"]) == (1, {"train": 1})
    notes = [event["text"] for event in events_of(workplace) if event["event"] == "note"]
    assert any("1 training image (at most 0.01 megapixels)" in text for text in notes)
    _, statements = parse_snapshot(workplace.blobs.get(run.snapshot))
    with session_scope(workplace.engine) as session:
        newest = max(list_signed_images(session))
    assert newest in {statement.image for statement in statements}
