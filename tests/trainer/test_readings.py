"""What a person read in an image corrects what a teacher made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.errors import InvalidDataset
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import Scaling
from trainer.base.readings import Reading, read_readings
from trainer.base.teacher import Teacher
from trainer.base.teaching_set import UnlabelledFile, assemble
from trainer.learning.dataset import NON_TUMOUR, TUMOUR, UNKNOWN, TrainingImage
from trainer.learning.policy import TrainPolicy

READINGS = Path("trainer/base/readings.json")
TAUGHT = round(0.75 * 255)
WHOLE = Scaling(1.0, 1.0)


def made_by_a_teacher(*xy: tuple[int, int]) -> TrainingImage:
    nuclei = Nuclei.from_arrays(xy, [NucleusClass.NEGATIVE] * len(xy))
    weight = np.full((200, 300), TAUGHT, np.uint8)
    weight[100:] = 0
    region = np.full((200, 300), TUMOUR, np.uint8)
    return TrainingImage("u-1", np.zeros((200, 300, 3), np.uint8), nuclei, weight, region, np.zeros((3, 3), np.float32))


def told(image: TrainingImage) -> set[tuple[int, int, int]]:
    return {
        (round(float(x)), round(float(y)), int(k))
        for (x, y), k in zip(image.nuclei.xy, image.nuclei.classes, strict=True)
    }


def test_a_nucleus_that_was_read_takes_the_place_of_the_teachers() -> None:
    image = made_by_a_teacher((50, 50), (80, 50))
    read = Reading.parse({"other": [[53, 50], [50, 150]], "positive": [[120, 50]]}).correct(image, WHOLE, 0.5, 0.75)
    other, positive, negative = NucleusClass.OTHER, NucleusClass.POSITIVE, NucleusClass.NEGATIVE
    assert told(read) == {(53, 50, other), (50, 150, other), (120, 50, positive), (80, 50, negative)}
    assert read.weight[150, 50] == TAUGHT
    assert read.weight[180, 50] == 0
    assert [read.region[y, x] for y, x in ((50, 53), (150, 50), (50, 120))] == [NON_TUMOUR, NON_TUMOUR, TUMOUR]


def test_boxes_hold_exactly_what_was_read_or_teach_nothing() -> None:
    image = made_by_a_teacher((50, 50), (150, 50), (220, 50))
    reading = Reading.parse(
        {"negative": [[40, 120]], "unsure": [[60, 120]], "exact": [[20, 20, 80, 140]], "left_out": [[0, 0, 200, 200]]}
    )
    read = reading.correct(image, WHOLE, 0.5, 0.75)
    assert told(read) == {(40, 120, NucleusClass.NEGATIVE), (220, 50, NucleusClass.NEGATIVE)}
    assert read.weight[50, 50] == read.weight[130, 30] == TAUGHT
    assert read.weight[120, 62] == read.weight[50, 150] == read.weight[10, 10] == 0
    assert read.region[50, 50] == read.region[50, 150] == UNKNOWN
    assert image.weight[50, 150] == TAUGHT  # the teacher's own is as it was


def test_a_reading_is_in_pixels_of_its_image() -> None:
    image = made_by_a_teacher((50, 50))
    read = Reading.parse({"other": [[100, 100]], "left_out": [[400, 0, 600, 100]]}).correct(
        image, Scaling(0.5, 0.5), 0.5, 0.75
    )
    assert told(read) == {(50, 50, NucleusClass.OTHER)}
    assert read.weight[25, 250] == 0
    assert read.weight[25, 190] == TAUGHT


def test_what_is_no_nucleus_is_taught_to_be_none() -> None:
    image = made_by_a_teacher((50, 50), (80, 50))
    read = Reading.parse({"absent": [[52, 50], [50, 150]]}).correct(image, WHOLE, 0.5, 0.75)
    assert told(read) == {(80, 50, NucleusClass.NEGATIVE)}
    assert read.absent.tolist() == [[52, 50], [50, 150]]
    assert read.weight[50, 52] == read.weight[150, 50] == TAUGHT
    assert read.region[50, 52] == UNKNOWN


def test_a_network_is_compared_with_what_was_read() -> None:
    reading = Reading.parse({"positive": [[10, 10], [50, 10]], "other": [[90, 10]], "absent": [[10, 90], [50, 90]]})
    found = Nuclei.from_arrays([[13, 10], [50, 12], [50, 92]], [NucleusClass.POSITIVE, NucleusClass.OTHER, 1])
    said = reading.compare(found, 0.5)
    assert said["positive"] == {"read": 2, "positive": 1, "negative": 0, "other": 1, "missed": 0}
    assert said["other"] == {"read": 1, "positive": 0, "negative": 0, "other": 0, "missed": 1}
    assert said["absent"] == {"read": 2, "marked": 1}


def test_what_is_shipped_can_be_read() -> None:
    readings = read_readings(READINGS)
    assert sum(len(reading.nuclei.of_class(NucleusClass.OTHER)) for reading in readings.values()) > 600


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"other": [[1]]}}', '{"a": {"exact": [[1, 2]]}}'])
def test_a_file_that_holds_no_readings_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "readings.json"
    file.write_text(text)
    with pytest.raises(InvalidDataset, match=r"readings\.json holds no readings"):
        read_readings(file)


def test_an_unlabelled_image_is_taught_as_it_was_read(tmp_path: Path, shipped: Predictor) -> None:
    file = tmp_path / "u.png"
    Image.new("RGB", (300, 200), "white").save(file)
    reading = Reading.parse({"other": [[100, 100]]})
    unlabelled = UnlabelledFile.parse(f"{file}:0.25")
    (taught,) = assemble(
        [],
        shipped.version.config,
        TrainPolicy(),
        teacher=Teacher(shipped),
        unlabelled=[unlabelled],
        readings={"u": reading},
    )
    assert told(taught) == {(50, 50, NucleusClass.OTHER)}
