from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucleus_app.domain.cautions import list_count_cautions, list_image_cautions
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Counts, Nuclei
from nucleus_app.domain.packing import pack_nuclei, unpack_nuclei
from nucleus_app.domain.scale import PixelSize

nucleus = st.tuples(
    st.floats(0, 1e5, width=32), st.floats(0, 1e5, width=32), st.integers(0, 2), st.floats(0, 2, width=32)
)


@given(st.lists(nucleus, max_size=50))
def test_packed_nuclei_come_back_identical(listed: list[tuple[float, float, int, float]]) -> None:
    rows = np.array(listed, np.float64).reshape(-1, 4)
    rivals = np.arange(len(rows), dtype=np.uint8)
    nuclei = replace(Nuclei.from_arrays(rows[:, :2], rows[:, 2], rows[:, 3]), rivals=rivals)
    packed = pack_nuclei(nuclei)
    again = unpack_nuclei(packed)
    assert np.array_equal(again.rivals, rivals)
    assert not unpack_nuclei(packed[: len(packed) - len(rows)]).rivals.any()  # as they were packed before 0.5.8
    assert np.array_equal(again.xy, nuclei.xy)
    assert np.array_equal(again.classes, nuclei.classes)
    assert np.array_equal(again.scores, nuclei.scores)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"NOPE" + b[4:], lambda b: b[:3]])
def test_damaged_packed_nuclei_are_refused(damage: object) -> None:
    packed = pack_nuclei(Nuclei.from_arrays([[1, 2], [3, 4]], [0, 2]))
    with pytest.raises(ValueError, match="no"):
        unpack_nuclei(damage(packed))  # type: ignore[operator]


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        Nuclei.from_arrays([[1, 2]], [0, 1])
    with pytest.raises(ValueError, match="class 3"):
        Nuclei.from_arrays([[1, 2]], [3])


def test_counting_selecting_and_joining() -> None:
    nuclei = Nuclei.from_arrays([[0, 0], [1, 1], [2, 2], [3, 3]], [0, 1, 1, 2])
    assert nuclei.counts() == Counts(1, 2, 1)
    assert nuclei.select(nuclei.xy[:, 0] > 1).counts() == Counts(0, 1, 1)
    assert Nuclei.concatenate([nuclei, nuclei]).counts() == Counts(2, 4, 2)
    assert len(Nuclei.concatenate([])) == 0


def test_nuclei_outside_the_labelled_area_are_left_out() -> None:
    area = np.zeros((10, 10), bool)
    area[:, :5] = True
    nuclei = Nuclei.from_arrays([[1, 1], [8, 8], [4.4, 3], [4.6, 3], [-3, 20]], [0, 0, 1, 1, 2])
    image = LabelledImage("a", np.zeros((10, 10, 3), np.uint8), 0.5, nuclei, area)
    assert image.inside_labelled_area(nuclei).xy.tolist() == [[1, 1], pytest.approx([4.4, 3]), [-3, 20]]


@pytest.mark.parametrize(
    ("counts", "mpp", "stated", "expected"),
    [
        (Counts(0, 0, 5), 0.5, None, "No tumour nucleus"),
        (Counts(1, 50, 0), 0.5, None, "Only 51 tumour nuclei were"),
        (Counts(0, 1, 0), 0.5, None, "Only 1 tumour nucleus was"),
        (Counts(10, 500, 0), 1.9, None, "outside the usual"),
        (Counts(10, 500, 0), 0.5, PixelSize(0.25, "TIFF resolution"), "The file states 0.25"),
    ],
)
def test_cautions_say_what_is_wrong(counts: Counts, mpp: float, stated: PixelSize | None, expected: str) -> None:
    (caution,) = (*list_image_cautions(PixelSize(mpp, "test"), stated), *list_count_cautions(counts))
    assert expected in caution


def test_a_good_field_has_no_caution() -> None:
    assert list_image_cautions(PixelSize(0.5, "a"), PixelSize(0.51, "b")) == ()
    assert list_count_cautions(Counts(10, 500, 3)) == list_count_cautions(None) == ()
