"""Hot spots of an image as it stands after corrections."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from db.engine import session_scope
from db.scorings import VersionUsed, finish_scoring, start_scoring
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.errors import NotFound, StaleRevision
from nucleus_app.services.hotspots import find_hotspots
from nucleus_app.services.intake import score_at
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.workplace import Workplace
from tests.services.reviewing import add_image, add_scoring, body, reclass

MPP = 0.5


@pytest.fixture
def field_id(workplace: Workplace, tmp_path: Path) -> int:
    return add_image(workplace, tmp_path, size=(400, 300))


def test_what_counts_is_what_was_corrected_and_not_left_out(
    workplace: Workplace, field_id: int, desk: ReviewDesk
) -> None:
    xy = [[50, 50], [52, 50], [54, 50], [56, 50], [300, 200]]
    scoring_id = add_scoring(workplace, field_id, Nuclei.from_arrays(xy, [1, 1, 0, 2, 0], [0.9] * 5))
    exclude = {"op": "region", "label": "exclude", "shape": "brush", "r": 5, "pts": [300, 200]}
    desk.take_edits(scoring_id, body(reclass(0, c=0), reclass(3, c=1), {"op": "delete", "ids": [1]}, exclude))
    found = find_hotspots(workplace, field_id, area_mm2=0.01, nuclei=None)
    (spot,) = found["spots"]
    assert (spot["positive"], spot["tumour"], spot["percent"]) == (2, 3, pytest.approx(200 / 3))
    assert spot["area_mm2"] == pytest.approx(0.01)
    assert not found["enough"]
    assert "No window holds 100 tumour nuclei" in found["note"]
    assert sum(found["heat"]["tumour"]) == 3
    counts = get_scored_image(workplace, field_id).tally.counts
    assert counts.tumour == 3, "the same as the list shows"


def test_squares_hold_what_was_asked_for_or_it_is_said(workplace: Workplace, field_id: int) -> None:
    xy = np.random.default_rng(0).uniform(0, (399, 299), (300, 2))
    add_scoring(workplace, field_id, Nuclei.from_arrays(xy, np.arange(300) % 2))
    found = find_hotspots(workplace, field_id, area_mm2=None, nuclei=60)
    assert found["enough"]
    assert found["note"] is None
    assert all(spot["tumour"] >= 60 for spot in found["spots"])
    assert (found["heat"]["columns"], found["heat"]["rows"]) == (4, 3)
    assert len(found["heat"]["percent"]) == len(found["heat"]["tumour"]) == 12
    few = find_hotspots(workplace, field_id, area_mm2=None, nuclei=500)
    assert few["note"] == "The image holds 300 tumour nuclei, fewer than 500: this is the whole of it."
    assert few["spots"][0]["box"] == [-0.5, -0.5, 399.5, 299.5]


def test_without_tumour_nuclei_there_are_none_and_it_is_said(workplace: Workplace, field_id: int) -> None:
    add_scoring(workplace, field_id, Nuclei.from_arrays([[5, 5]], [2]))
    for found in (
        find_hotspots(workplace, field_id, area_mm2=0.2, nuclei=None),
        find_hotspots(workplace, field_id, area_mm2=None, nuclei=500),
    ):
        assert found["spots"] == []
        assert "no hot spot" in found["note"]


def test_an_image_without_a_result_has_none_yet(workplace: Workplace, field_id: int) -> None:
    with pytest.raises(NotFound):
        find_hotspots(workplace, 99, area_mm2=0.2, nuclei=None)
    with pytest.raises(StaleRevision, match="when you give its pixel size"):
        find_hotspots(workplace, field_id, area_mm2=0.2, nuclei=None)
    score_at(workplace, field_id, MPP)
    with pytest.raises(StaleRevision, match="queued: hot spots are found once it is done"):
        find_hotspots(workplace, field_id, area_mm2=0.2, nuclei=None)


def test_where_nothing_was_counted_there_is_nothing_to_find(workplace: Workplace, field_id: int) -> None:
    score_at(workplace, field_id, MPP)
    scoring_id, now = get_scored_image(workplace, field_id).scoring.id, datetime.now(UTC)
    with session_scope(workplace.engine, write=True) as session:
        start_scoring(session, scoring_id, 0, "0" * 64, now, oddities=(Oddity.OTHER_STAIN,))
        finish_scoring(session, scoring_id, Nuclei.empty(), VersionUsed("v", "0" * 64, (0.3,) * 3, "0"), now)
    with pytest.raises(StaleRevision, match="Nothing was counted"):
        find_hotspots(workplace, field_id, area_mm2=0.2, nuclei=None)
