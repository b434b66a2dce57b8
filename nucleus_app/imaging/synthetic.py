"""A synthetic Ki67 field with known nuclei: for the first start, for tests, for trying things without a patient.

Everything is drawn as stain concentration (haematoxylin, DAB) and turned into RGB by Beer-Lambert, like a slide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.imaging.stain import DAB, HAEMATOXYLIN, density_to_rgb, stain_matrix, stains_to_density

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FieldRecipe:
    """What a synthetic field looks like. Lengths in µm, so that it can be drawn at any µm/px."""

    width_px: int = 800
    height_px: int = 800
    mpp: float = 0.5
    positive_share: float = 0.18
    """Probability that a tumour nucleus is immunopositive."""
    tumour_spacing_um: float = 9.5
    stroma_spacing_um: float = 12.0
    stroma_share: float = 0.24
    """Share of the field taken by stroma."""
    haematoxylin: tuple[float, float, float] | None = None
    dab: tuple[float, float, float] | None = None
    """Optical density of each stain in red, green and blue; the usual one where none is given."""
    haematoxylin_strength: float = 1.0
    dab_strength: float = 1.0


def draw_field(recipe: FieldRecipe, rng: np.random.Generator, name: str = "synthetic") -> LabelledImage:
    """Draw a field: tumour nests between bands of stroma, with every nucleus known."""
    shape = (recipe.height_px, recipe.width_px)
    relief = _noise(shape, 38 / recipe.mpp, rng)
    stroma = relief > np.quantile(relief, 1 - recipe.stroma_share) if recipe.stroma_share else np.zeros(shape, bool)
    nest = 1 - gaussian_filter(stroma.astype(np.float32), 2.0 / recipe.mpp)
    haematoxylin, dab = _draw_ground(shape, recipe, nest, rng)
    tumour = _scatter(shape, recipe.tumour_spacing_um / recipe.mpp, rng)
    tumour = tumour[nest[tumour[:, 1].astype(int), tumour[:, 0].astype(int)] > 0.8]
    other = _scatter(shape, recipe.stroma_spacing_um / recipe.mpp, rng)
    other = other[nest[other[:, 1].astype(int), other[:, 0].astype(int)] < 0.15]
    positive = rng.random(len(tumour)) < recipe.positive_share
    for point, is_positive in zip(tumour, positive, strict=True):
        _draw_tumour_nucleus(haematoxylin, dab, point, bool(is_positive), recipe.mpp, rng)
    direction = np.arctan2(*np.gradient(gaussian_filter(relief, 6 / recipe.mpp)))
    for point in other:
        angle = float(direction[int(point[1]), int(point[0])]) + np.pi / 2
        _draw_stroma_nucleus(haematoxylin, point, angle, recipe.mpp, rng)
    classes = np.concatenate(
        [
            np.where(positive, NucleusClass.POSITIVE, NucleusClass.NEGATIVE),
            np.full(len(other), NucleusClass.OTHER),
        ]
    )
    nuclei = Nuclei.from_arrays(np.concatenate([tumour, other]), classes)
    return LabelledImage(name, _develop(haematoxylin, dab, recipe, rng), recipe.mpp, nuclei, None)


def _noise(shape: tuple[int, int], grain_px: float, rng: np.random.Generator) -> Plane:
    """Smooth noise of zero mean and unit deviation."""
    smooth = gaussian_filter(rng.standard_normal(shape).astype(np.float32), grain_px, mode="wrap")
    unit: Plane = ((smooth - smooth.mean()) / max(float(smooth.std()), 1e-9)).astype(np.float32)
    return unit


def _scatter(shape: tuple[int, int], spacing_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Points (N, 2) on a shaken hexagonal lattice: packed like cells, never on top of each other."""
    rows = np.arange(spacing_px / 2, shape[0], spacing_px * 0.866)
    points = []
    for i, y in enumerate(rows):
        xs = np.arange(spacing_px * (0.5 if i % 2 else 1.0), shape[1], spacing_px)
        points.append(np.stack([xs, np.full_like(xs, y)], axis=1))
    lattice = np.concatenate(points)
    lattice += rng.normal(0, 0.13 * spacing_px, lattice.shape)
    kept = rng.random(len(lattice)) < 0.93
    margin = 3.0
    inside = np.all((lattice >= margin) & (lattice <= (shape[1] - 1 - margin, shape[0] - 1 - margin)), axis=1)
    found: NDArray[np.float32] = lattice[kept & inside].astype(np.float32)
    return found


def _draw_ground(
    shape: tuple[int, int], recipe: FieldRecipe, nest: Plane, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    """Cytoplasm in nests, fibres and gaps in stroma, a breath of DAB everywhere."""
    fine, coarse = _noise(shape, 0.7 / recipe.mpp, rng), _noise(shape, 6 / recipe.mpp, rng)
    fibres = gaussian_filter(rng.standard_normal(shape), (0.6 / recipe.mpp, 5 / recipe.mpp))
    fibres = fibres / max(float(fibres.std()), 1e-9)
    cytoplasm = 0.10 + 0.012 * coarse + 0.012 * fine
    matrix = 0.07 + 0.03 * np.clip(fibres, -1.5, 3) + 0.01 * fine
    haematoxylin = np.clip(nest * cytoplasm + (1 - nest) * matrix, 0.005, None).astype(np.float32)
    dab = np.clip(0.035 + 0.012 * _noise(shape, 12 / recipe.mpp, rng) + 0.004 * fine, 0, None).astype(np.float32)
    return haematoxylin, dab


def _stamp(
    point: NDArray[np.float32],
    radius: tuple[float, float],
    angle: float,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[tuple[slice, slice], Plane, Plane]:
    """Where a nucleus lies, how much each pixel is in it (0..1, soft rim), and its distance from the centre (0..1)."""
    reach = int(max(radius) * 1.5) + 2
    x0, y0 = max(0, int(point[0]) - reach), max(0, int(point[1]) - reach)
    x1, y1 = min(shape[1], int(point[0]) + reach + 1), min(shape[0], int(point[1]) + reach + 1)
    dx, dy = np.meshgrid(np.arange(x0, x1) - point[0], np.arange(y0, y1) - point[1])
    along = (dx * np.cos(angle) + dy * np.sin(angle)) / radius[0]
    across = (-dx * np.sin(angle) + dy * np.cos(angle)) / radius[1]
    theta = np.arctan2(across, along)
    outline = 1 + sum(rng.normal(0, 0.05) * np.cos(k * theta + rng.uniform(0, 6.28)) for k in (2, 3, 4))
    distance = np.hypot(along, across) / outline
    soft = 1 / (1 + np.exp((distance - 1) * min(radius) * 2.2))
    return (slice(y0, y1), slice(x0, x1)), soft.astype(np.float32), distance.astype(np.float32)


def _draw_tumour_nucleus(
    haematoxylin: Plane, dab: Plane, point: NDArray[np.float32], is_positive: bool, mpp: float, rng: np.random.Generator
) -> None:
    radius = rng.normal(3.5, 0.35) / mpp
    radii = (radius * rng.uniform(1.0, 1.3), radius * rng.uniform(0.85, 1.0))
    place, soft, distance = _stamp(point, radii, rng.uniform(0, np.pi), haematoxylin.shape, rng)
    chromatin = gaussian_filter(rng.standard_normal(soft.shape), 0.5 / mpp)
    texture = 1 + 0.18 * chromatin / max(float(chromatin.std()), 1e-9) + 0.25 * np.clip(distance - 0.6, 0, 0.4)
    if is_positive:
        strength = rng.choice([0.35, 0.75, 1.2], p=[0.25, 0.35, 0.4]) * rng.uniform(0.85, 1.15)
        np.maximum(dab[place], soft * strength * texture, out=dab[place], casting="same_kind")
        haematoxylin[place] += soft * 0.08
        return
    strength = rng.uniform(0.24, 0.46)
    np.maximum(haematoxylin[place], soft * strength * texture, out=haematoxylin[place], casting="same_kind")


def _draw_stroma_nucleus(
    haematoxylin: Plane, point: NDArray[np.float32], angle: float, mpp: float, rng: np.random.Generator
) -> None:
    """Two in three are spindle-shaped along the fibres, the others small round lymphocytes."""
    if rng.random() < 0.66:
        radii = (rng.uniform(4.2, 6.5) / mpp, rng.uniform(0.9, 1.4) / mpp)
        strength = rng.uniform(0.4, 0.65)
    else:
        round_radius = rng.uniform(1.9, 2.4) / mpp
        radii, strength = (round_radius, round_radius), rng.uniform(0.6, 0.85)
    place, soft, _ = _stamp(point, radii, angle + rng.normal(0, 0.2), haematoxylin.shape, rng)
    np.maximum(haematoxylin[place], soft * strength, out=haematoxylin[place], casting="same_kind")


def _develop(haematoxylin: Plane, dab: Plane, recipe: FieldRecipe, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Stain planes → RGB as a scanner sees them: a little blur, a little noise."""
    blur = 0.25 / recipe.mpp
    blue = recipe.haematoxylin_strength * gaussian_filter(haematoxylin, blur)
    brown = recipe.dab_strength * gaussian_filter(dab, blur)
    stains = np.stack([blue, brown, np.zeros_like(dab)], axis=-1).astype(np.float32)
    matrix = stain_matrix(
        HAEMATOXYLIN if recipe.haematoxylin is None else np.asarray(recipe.haematoxylin),
        DAB if recipe.dab is None else np.asarray(recipe.dab),
    )
    rgb = density_to_rgb(stains_to_density(stains, matrix) + 0.01)
    noisy = rgb + rng.normal(0, 2.0, rgb.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
