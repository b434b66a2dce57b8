from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.errors import InvalidDataset
from nucleus_app.imaging.stain import HAEMATOXYLIN, STAIN_MATRIX, density_to_rgb, density_to_stains, rgb_to_density
from nucleus_app.kinet.config import SMALL
from trainer.base.auxiliary import EOSIN, read_auxiliary, restain_as_ki67
from trainer.base.teaching_set import UnlabelledFile, assemble
from trainer.learning.dataset import NON_TUMOUR, TUMOUR
from trainer.learning.policy import TrainPolicy

EPITHELIAL = [[float(x), float(y)] for y in range(20, 100, 16) for x in range(20, 180, 16)]
FIBROBLAST = [[float(x), 150.0] for x in range(20, 180, 20)]
UNCLASSED = [100.0, 120.0]


def he_field() -> np.ndarray:
    """Pink ground with blue nuclei at all the points."""
    y, x = np.mgrid[:180, :200]
    blue = np.zeros((180, 200))
    for px, py in [*EPITHELIAL, *FIBROBLAST, UNCLASSED]:
        np.maximum(blue, 0.5 * (np.hypot(x - px, y - py) < 6), out=blue)
    return density_to_rgb((blue[..., None] * HAEMATOXYLIN + 0.25 * EOSIN).astype(np.float32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(he_field()).save(tmp_path / "a.png")
    points = {
        "all": [*EPITHELIAL, *FIBROBLAST, UNCLASSED],
        "epithelial": EPITHELIAL,
        "inflammatory": [],
        "fibroblast": FIBROBLAST,
    }
    (tmp_path / "a.json").write_text(json.dumps({"image": "a.png", "mpp_estimate": 0.5, "points": points}))
    return tmp_path


def test_classed_he_nuclei_become_tumour_and_non_tumour(folder: Path) -> None:
    first, second = read_auxiliary(folder, 0.5, 0.5, 2, np.random.default_rng(0))
    counts = first.nuclei.counts()
    assert counts.tumour == len(EPITHELIAL)
    assert counts.other == len(FIBROBLAST)
    assert first.name == "he_a"
    assert not np.array_equal(first.rgb, second.rgb)
    assert first.weight[60, 60] == 128
    assert first.weight[int(UNCLASSED[1]), int(UNCLASSED[0])] == 0  # a nucleus of unknown class is not background
    assert first.region[60, 100] == TUMOUR
    assert first.region[150, 100] == NON_TUMOUR


def test_positive_nuclei_are_brown_negative_ones_blue_and_the_pink_is_gone() -> None:
    rgb = he_field()
    nuclei = Nuclei.from_arrays(EPITHELIAL, np.full(len(EPITHELIAL), NucleusClass.NEGATIVE))
    stained, classes = restain_as_ki67(rgb, nuclei, 0.5, np.random.default_rng(4))
    assert {int(NucleusClass.POSITIVE), int(NucleusClass.NEGATIVE)} == set(classes.tolist())
    at = np.rint(nuclei.xy).astype(int)
    stains = density_to_stains(rgb_to_density(stained[at[:, 1], at[:, 0]]), STAIN_MATRIX)
    brown = classes == NucleusClass.POSITIVE
    assert stains[brown, 1].min() > stains[~brown, 1].max()
    assert stains[~brown, 0].min() > stains[brown, 0].max()
    ground = rgb_to_density(stained[5:10, 5:10].reshape(-1, 3)).mean(axis=0)
    assert np.ptp(ground) < 0.05


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="classed nuclei"):
        list(read_auxiliary(tmp_path, 0.5, 0.5, 1, np.random.default_rng(0)))
    (tmp_path / "b.json").write_text(json.dumps({"image": "b.png", "mpp_estimate": 0.5, "points": [[1, 2, 0]]}))
    with pytest.raises(InvalidDataset, match=r"b\.json"):
        list(read_auxiliary(tmp_path, 0.5, 0.5, 1, np.random.default_rng(0)))
    (tmp_path / "b.json").write_text("no json")
    with pytest.raises(InvalidDataset, match=r"b\.json"):
        list(read_auxiliary(tmp_path, 0.5, 0.5, 1, np.random.default_rng(0)))


@pytest.mark.parametrize("text", ["field.png", "field.png:", "field.png:half", "none.png:0.5", ":0.5", ""])
def test_an_unlabelled_image_is_named_with_its_pixel_size(text: str) -> None:
    with pytest.raises(InvalidDataset, match="FILE:MPP"):
        UnlabelledFile.parse(text)


def test_unlabelled_images_need_a_teacher(folder: Path) -> None:
    image = UnlabelledFile.parse(f"{folder / 'a.png'}:0.5")
    with pytest.raises(InvalidDataset, match="--teacher"):
        assemble([], SMALL, TrainPolicy(), unlabelled=[image])


def test_auxiliary_images_join_the_teaching_set(folder: Path) -> None:
    assert [image.name for image in assemble([], SMALL, TrainPolicy(auxiliary_variants=2), auxiliary=folder)] == [
        "he_a",
        "he_a",
    ]
