from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.oddities import Oddity
from nucleus_app.imaging.stain import HAEMATOXYLIN, density_to_rgb, density_to_stains, rgb_to_density
from nucleus_app.imaging.traits import judge_windows, measure_traits, spread_windows

Rgb = NDArray[np.uint8]
RNG = np.random.default_rng(0)
EOSIN = np.array([0.07, 0.99, 0.11], np.float32)


def find_odd_traits(rgb: Rgb) -> tuple[Oddity, ...]:
    return judge_windows([measure_traits(window) for window in spread_windows(rgb)])


def eosin_stained(rgb: Rgb) -> Rgb:
    stains = density_to_stains(rgb_to_density(rgb)).clip(0)
    return density_to_rgb(stains[..., :1] * HAEMATOXYLIN + (0.15 + stains[..., 1:2]) * EOSIN)


def blurred(rgb: Rgb) -> Rgb:
    return np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(4)))


def fluorescent(rgb: Rgb) -> Rgb:
    dark = np.zeros_like(rgb)
    dark[..., 2] = (255 - rgb.mean(axis=2)) * 0.7
    return dark


CHANGES: dict[str, tuple[Callable[[Rgb], Rgb], Oddity]] = {
    "inverted": (lambda rgb: 255 - rgb, Oddity.DARK),
    "fluorescence": (fluorescent, Oddity.DARK),
    "black": (np.zeros_like, Oddity.DARK),
    "white": (lambda rgb: np.full_like(rgb, 255), Oddity.BLANK),
    "almost white": (lambda rgb: RNG.integers(250, 255, rgb.shape).astype(np.uint8), Oddity.BLANK),
    "pure noise": (lambda rgb: RNG.integers(0, 256, rgb.shape).astype(np.uint8), Oddity.NOISE),
    "grey noise": (lambda rgb: np.clip(RNG.normal(190, 30, rgb.shape), 0, 255).astype(np.uint8), Oddity.NOISE),
    "H&E": (eosin_stained, Oddity.OTHER_STAIN),
    "blurred": (blurred, Oddity.BLURRED),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_ki67_field_is_recognised(name: str, field: LabelledImage) -> None:
    change, oddity = CHANGES[name]
    assert find_odd_traits(change(field.rgb)) == (oddity,)


def lit(rgb: Rgb, light: tuple[float, float, float]) -> Rgb:
    return np.clip(rgb * np.array(light), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("light", [(1, 1, 1), (0.8, 0.8, 0.8), (1, 0.95, 0.85), (0.9, 0.95, 1), (1.1, 1.1, 1.1)])
def test_a_ki67_field_is_one_in_any_usual_light(light: tuple[float, float, float], field: LabelledImage) -> None:
    assert find_odd_traits(lit(field.rgb, light)) == ()


@pytest.mark.parametrize("size", [1, 5, 40])
def test_tiny_images_are_judged_too(size: int, field: LabelledImage) -> None:
    assert find_odd_traits(np.full((size, size, 3), 255, np.uint8)) == (Oddity.BLANK,)
    assert find_odd_traits(np.zeros((size, size, 3), np.uint8)) == (Oddity.DARK,)


def test_a_hole_in_the_middle_of_the_tissue_does_not_make_a_field_blank(field: LabelledImage) -> None:
    large = np.tile(field.rgb, (5, 5, 1))
    large[600:1400, 600:1400] = 250
    assert find_odd_traits(large) == ()
    large[:] = 250
    large[200:600, 200:600] = field.rgb
    assert find_odd_traits(large) == ()
