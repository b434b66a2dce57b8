from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nucleus_app.errors import InvalidDataset, NotFound
from nucleus_app.imaging.dataset import list_dataset, read_labelled
from nucleus_app.imaging.pyramid import TILE_PX, Pyramid, deep_zoom_descriptor
from nucleus_app.imaging.stain import density_to_rgb, density_to_stains, rgb_to_density, stains_to_density
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from tests.labelled_folders import write_labelled


def test_a_synthetic_field_is_reproducible_and_has_every_class() -> None:
    recipe = FieldRecipe(width_px=300, height_px=240)
    first, again = (draw_field(recipe, np.random.default_rng(1)) for _ in range(2))
    assert first.rgb.shape == (240, 300, 3)
    assert np.array_equal(first.rgb, again.rgb)
    assert np.array_equal(first.nuclei.xy, again.nuclei.xy)
    assert min(first.nuclei.counts()) > 0
    other = draw_field(recipe, np.random.default_rng(2))
    assert not np.array_equal(first.rgb, other.rgb)


def test_synthetic_nuclei_look_like_their_class() -> None:
    image = draw_field(FieldRecipe(width_px=400, height_px=400), np.random.default_rng(3))
    stains = density_to_stains(rgb_to_density(image.rgb))
    at = np.rint(image.nuclei.xy).astype(int)
    dab = stains[at[:, 1], at[:, 0], 1]
    positive = image.nuclei.classes == 0
    assert np.median(dab[positive]) > 4 * max(np.median(dab[~positive]), 0.02)
    background = np.median(rgb_to_density(image.rgb))
    assert np.median(rgb_to_density(image.rgb)[at[:, 1], at[:, 0]]) > background


def test_stains_and_colours_convert_both_ways() -> None:
    rgb = np.random.default_rng(0).integers(20, 250, (10, 10, 3), dtype=np.uint8)
    there = density_to_stains(rgb_to_density(rgb))
    assert np.abs(density_to_rgb(stains_to_density(there)).astype(int) - rgb).max() <= 1


def test_labelled_images_are_written_and_read_back(tmp_path: Path) -> None:
    image = draw_field(FieldRecipe(width_px=120, height_px=100), np.random.default_rng(1), name="case_1")
    path = write_labelled(tmp_path, image)
    again = read_labelled(path)
    assert np.array_equal(again.rgb, image.rgb)
    assert np.abs(again.nuclei.xy - image.nuclei.xy).max() < 0.01
    assert again.nuclei.counts() == image.nuclei.counts()
    assert list_dataset(tmp_path) == [path]


def test_a_dataset_that_does_not_follow_the_format_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match="is no folder"):
        list_dataset(tmp_path / "none")
    with pytest.raises(InvalidDataset, match="holds no labelled image"):
        list_dataset(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({"image": "gone.png", "points": [], "mpp_estimate": 0.5}))
    with pytest.raises(InvalidDataset, match=r"a\.json"):
        read_labelled(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(InvalidDataset, match=r"b\.json"):
        list_dataset(tmp_path)


def test_the_tiles_of_the_last_level_are_the_image() -> None:
    rgb = np.zeros((700, 1100, 3), np.uint8)
    rgb[:, :, 0] = np.linspace(0, 255, 1100).astype(np.uint8)
    pyramid = Pyramid.of(rgb)
    assert 'Width="1100" Height="700"' in deep_zoom_descriptor(1100, 700)
    last = 11  # 2¹¹ is the first power of two that holds 1100
    for column, row, size in ((0, 0, (512, 512)), (2, 1, (1100 - 2 * TILE_PX, 700 - TILE_PX))):
        tile = Image.open(io.BytesIO(pyramid.tile(last, column, row)))
        assert tile.size == size
        expected = rgb[row * TILE_PX, column * TILE_PX : column * TILE_PX + size[0], 0].astype(int)
        assert np.abs(np.asarray(tile)[0, :, 0].astype(int) - expected).max() < 8
    assert Image.open(io.BytesIO(pyramid.tile(0, 0, 0))).size == (1, 1)
    for outside in ((last, 3, 0), (last, -1, 0), (last + 1, 0, 0), (-1, 0, 0)):
        with pytest.raises(NotFound):
            pyramid.tile(*outside)
