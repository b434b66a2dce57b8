"""The list of cases, the page and the report tell the reviewed numbers, and the same ones."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.reports.formats import record_to_csv, record_to_mapping
from nucleus_app.services.reviews import EditsTaken, ReviewDesk
from nucleus_app.services.scored_images import get_record, get_scored_image, list_scored_images, scored_image_to_mapping
from nucleus_app.services.workplace import Workplace
from tests.services.reviewing import EXCLUDE, add_scoring, body, reclass


def finish_a_review(desk: ReviewDesk, scoring_id: int) -> EditsTaken:
    return desk.take_edits(
        scoring_id,
        body(
            reclass(0, c=1), {"op": "delete", "ids": [1]}, {"op": "add", "x": 70.5, "y": 50.25, "c": 0}, EXCLUDE,
            {"op": "region", "label": "reviewed", "shape": "polygon", "pts": [0, 0, 79, 0, 79, 59]},
        ),
    )  # fmt: skip


def test_the_list_the_page_and_the_report_tell_the_same_numbers(
    desk: ReviewDesk, workplace: Workplace, image_id: int, scoring_id: int
) -> None:
    score = finish_a_review(desk, scoring_id).read.score
    assert score["counts"] == {"positive": 1, "negative": 1, "other": 1}  # placed, 0, 3; 2 is left out
    case = scored_image_to_mapping(get_scored_image(workplace, image_id))
    assert scored_image_to_mapping(list_scored_images(workplace)[0]) == case
    report = record_to_mapping(get_record(workplace, image_id))
    same = (
        "counts", "tumour", "index_percent", "ci95_percent", "sparse", "left_out", "edited", "placed", "deleted",
        "warnings",
    )  # fmt: skip
    for name in same:
        assert case[name] == report[name] == score[name], name
    assert case["network_counts"] == report["network_counts"] == {"positive": 2, "negative": 1, "other": 1}
    assert (case["rev"], case["thresholds"], case["floors"]) == (5, [0.3, 0.3, 0.4], [0.15, 0.15, 0.2])


def test_the_report_says_of_every_nucleus_where_it_is_from_and_whether_it_counts(
    desk: ReviewDesk, workplace: Workplace, image_id: int, scoring_id: int
) -> None:
    finish_a_review(desk, scoring_id)
    record = get_record(workplace, image_id)
    report = record_to_mapping(record)
    network = round(float(1 / (1 + np.exp(-(10 * 0.7 - 3.5)))), 4)
    assert report["nuclei"] == [
        [10, 10, 1, 0.9, None, "edited", False],
        [30, 10, 1, 0.7, pytest.approx(network), "network", True],
        [40, 10, 2, 0.6, None, "network", False],
        [70.5, 50.25, 0, 1, None, "placed", False],
    ]
    assert [region["label"] for region in report["regions"]] == ["exclude", "reviewed"]
    assert report["regions"][0] == {"label": "exclude", "shape": "brush", "r": 3, "pts": [30, 10]}
    rows = list(csv.DictReader(io.StringIO(record_to_csv(record))))
    assert [(row["nucleus"], row["origin"], row["left_out"]) for row in rows] == [
        ("0", "edited", "0"), ("2", "network", "1"), ("3", "network", "0"), ("c1:3", "placed", "0"),
    ]  # fmt: skip


def test_doubtful_candidates_are_listed_least_sure_first(desk: ReviewDesk, workplace: Workplace, image_id: int) -> None:
    candidates = Nuclei.from_arrays([[i, i] for i in range(4)], [0, 1, 1, 0], [0.9, 0.4, 0.36, 0.28])
    scoring_id = add_scoring(workplace, image_id, candidates)
    assert desk.list_doubtful(scoring_id) == [2, 1, 3]
    # Positive: 0; negative: 1, 2; hidden: 3. Low 1 of 4, high 4 of 4.
    assert desk.read_edits(scoring_id, 0).score["open"] == {"n": 3, "low_percent": 25, "high_percent": 100}
