from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.imaging.look import describe_look, measure_colours
from nucleus_app.imaging.stain import density_to_rgb, rgb_to_density
from nucleus_app.imaging.traits import measure_traits

Rgb = NDArray[np.uint8]


def look_of(rgb: Rgb) -> dict[str, float]:
    return describe_look([rgb], [measure_traits(rgb)])


def test_a_paler_brown_is_told_from_a_darker_one_and_leaves_the_blue_as_it_was(field: LabelledImage) -> None:
    density = rgb_to_density(field.rgb)
    brown = (density[..., 2] > density[..., 0])[..., None]
    paler = density_to_rgb(np.where(brown, 0.6 * density, density))
    before, after = look_of(field.rgb), look_of(paler)
    assert 0.55 < after["brown"] / before["brown"] < 0.8
    assert after["blue"] == pytest.approx(before["blue"], rel=0.05)


def test_colours_are_those_of_the_pixels() -> None:
    white, brown, blue = [[255, 255, 255]], [[127, 102, 63]], [[63, 102, 127]]
    pixels = np.array(white * 200 + brown * 300 + blue * 100, np.uint8)
    colours = measure_colours(pixels)
    # -log10(128 / 256) is 0.301, -log10(103 / 256) 0.395, -log10(64 / 256) 0.602: 1.298 together.
    assert colours.brown == pytest.approx(1.2985, abs=1e-3)
    assert colours.blue == pytest.approx(1.2985, abs=1e-3)
    assert colours.brown_hue == pytest.approx(0.301 / np.sqrt(0.301**2 + 0.395**2 + 0.602**2), abs=1e-3)
    assert colours.blue_hue == pytest.approx(-colours.brown_hue, abs=1e-6)
    assert colours.brown_share == 0.75


def test_an_image_without_tissue_has_no_colours_and_says_nothing_of_them() -> None:
    look = look_of(np.full((300, 300, 3), 250, np.uint8))
    assert look["ground"] == 250
    assert {"brown", "blue", "brown_share", "eosin"} & set(look) == set()
    assert look_of(np.zeros((1, 1, 3), np.uint8))["ground"] == 0


def test_windows_with_tissue_speak_for_the_image(field: LabelledImage) -> None:
    blank = np.full_like(field.rgb, 255)
    windows = [blank, field.rgb, blank]
    assert describe_look(windows, [measure_traits(window) for window in windows]) == look_of(field.rgb)
