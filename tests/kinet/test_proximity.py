from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.kinet.config import PAPER, SMALL, Thresholds
from nucleus_app.kinet.graph import decode_maps
from nucleus_app.kinet.proximity import encode_points, keep_apart


def encode(nuclei: Nuclei, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    return encode_points(nuclei.xy, nuclei.classes, shape, SMALL)


def test_the_map_is_equation_1() -> None:
    maps = encode(Nuclei.from_arrays([[40, 30]], [1]))
    d, alpha = SMALL.proximity_radius_px, SMALL.proximity_decay
    for distance in (0, 1, 3, 7, 8, 9):
        inside = (math.exp(alpha * (1 - distance / d)) - 1) / (math.exp(alpha) - 1)
        assert maps[1, 30, 40 + distance] == pytest.approx(inside if distance <= d else 0, abs=1e-6)
    assert maps[0].max() == maps[2].max() == 0


def test_overlapping_nuclei_keep_the_nearer_ones_value() -> None:
    both = encode(Nuclei.from_arrays([[30, 30], [36, 30]], [0, 0]))
    alone = [encode(Nuclei.from_arrays([[x, 30]], [0])) for x in (30, 36)]
    assert np.array_equal(both, np.maximum(*alone))


spots = st.lists(
    st.tuples(st.floats(1, 78, width=32), st.floats(1, 58, width=32), st.integers(0, 2)), max_size=25
)  # fmt: skip


@settings(max_examples=150)
@given(spots)
def test_points_to_maps_to_points_comes_back(listed: list[tuple[float, float, int]]) -> None:
    rows = np.array(listed, np.float32).reshape(-1, 3)
    rows = rows[keep_apart(rows[:, :2], 11.0)]
    nuclei = Nuclei.from_arrays(rows[:, :2], rows[:, 2])
    again = decode_maps(encode(nuclei), Thresholds())
    assert len(again) == len(nuclei)
    for (x, y), kind in zip(nuclei.xy, nuclei.classes, strict=True):
        gap = np.hypot(*(again.xy - (x, y)).T)
        at_the_rim = min(x, y, 79 - x, 59 - y) < 5  # smoothing knows nothing from beyond the image
        assert gap.min() < (1.0 if at_the_rim else 0.5)
        assert again.classes[gap.argmin()] == kind


def test_an_empty_map_gives_no_nuclei() -> None:
    assert len(decode_maps(np.zeros((3, 40, 40), np.float32), Thresholds())) == 0


def test_the_papers_relative_threshold_invents_nuclei_on_an_empty_field_and_ours_does_not() -> None:
    noise = np.random.default_rng(0).random((3, 40, 40)).astype(np.float32) * 0.05
    assert len(decode_maps(noise, Thresholds())) == 0
    assert len(decode_maps(noise, Thresholds(), relative_xi=0.5)) > 0


def test_a_plateau_is_one_nucleus() -> None:
    maps = np.zeros((3, 40, 40), np.float32)
    maps[0, 18:22, 18:22] = 0.9
    assert len(decode_maps(maps, Thresholds())) == 1


def test_a_nucleus_takes_the_class_furthest_above_its_threshold() -> None:
    maps = np.zeros((3, 40, 40), np.float32)
    maps[0, 20, 20], maps[1, 20, 20] = 0.5, 0.6
    assert decode_maps(maps, Thresholds((0.4, 0.4, 0.4), smoothing_px=0)).classes.tolist() == [1]
    assert decode_maps(maps, Thresholds((0.2, 0.4, 0.4), smoothing_px=0)).classes.tolist() == [0]


def test_a_nucleus_between_positive_and_negative_says_so() -> None:
    maps = np.zeros((3, 60, 60), np.float32)
    maps[0, 20, 20], maps[1, 20, 20] = 0.5, 0.4
    maps[1, 40, 20], maps[2, 40, 20] = 0.6, 0.5  # non-tumour is no rival
    maps[2, 20, 40], maps[0, 20, 40] = 0.7, 0.5  # nor has it one
    found = decode_maps(maps, Thresholds((0.3, 0.3, 0.3), smoothing_px=0))
    assert dict(zip(found.classes.tolist(), found.rivals.tolist(), strict=True)) == {0: 204, 1: 0, 2: 0}


def test_a_nucleus_with_two_weak_maxima_is_counted_once() -> None:
    y, x = np.mgrid[:40, :40]
    maps = np.zeros((3, 40, 40), np.float32)
    maps[1] = 0.8 * np.exp(-((x - 20) ** 2 / 30 + (y - 20) ** 2 / 8))
    maps[1, 20, 16] += 0.4
    maps[1, 20, 24] += 0.4
    assert len(decode_maps(maps, Thresholds(smoothing_px=0))) == 2
    assert len(decode_maps(maps, Thresholds())) == 1


def test_two_maxima_without_a_dip_between_them_are_one_large_nucleus() -> None:
    maps = np.zeros((3, 40, 60), np.float32)
    maps[1, 20, 20:31] = 0.8  # a ridge of 10 px
    maps[1, 20, 20], maps[1, 20, 30] = 0.82, 0.81
    assert decode_maps(maps, Thresholds(smoothing_px=0)).xy.round().tolist() == [[20, 20]]
    assert len(decode_maps(maps, Thresholds(smoothing_px=0, least_dip=0))) == 2
    maps[1, 20, 25] = 0.78
    assert len(decode_maps(maps, Thresholds(smoothing_px=0))) == 2
    maps[0, 20, 25] = 0.80  # the dip is the other class's: a nucleus between two classes, not two nuclei
    assert len(decode_maps(maps, Thresholds(smoothing_px=0))) == 1


def test_of_two_maxima_of_one_nucleus_a_weak_third_takes_neither() -> None:
    maps = np.zeros((3, 40, 80), np.float32)
    maps[0, 20, 20:51] = 0.5
    for x, value in ((20, 0.9), (33, 0.51), (46, 0.9)):
        maps[0, 20, x] = value
    assert decode_maps(maps, Thresholds(smoothing_px=0)).xy.round().tolist() == [[20, 20], [46, 20]]


def test_two_maxima_closer_than_the_minimum_distance_become_the_stronger() -> None:
    maps = np.zeros((3, 40, 40), np.float32)
    maps[0, 20, 20], maps[0, 20, 24], maps[0, 20, 32] = 0.8, 0.9, 0.7
    found = decode_maps(maps, Thresholds(min_distance_px=5, smoothing_px=0))
    assert found.xy.tolist() == [[24, 20], [32, 20]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])


def test_the_papers_configuration_is_kept() -> None:
    assert PAPER.contraction_widths == (32, 64, 128, 256, 256)
    assert PAPER.expansion_widths == (512, 256, 128, 64)
    assert (PAPER.dropout, PAPER.proximity_decay) == (0.5, 3.0)
