"""Random crops: rotation, mirror, shift, scale, elastic bending; stain, light, focus and noise of another lab."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nucleus_app.domain.nuclei import N_CLASSES
from nucleus_app.imaging.stain import stain_matrix
from nucleus_app.kinet.config import KiNetConfig
from nucleus_app.kinet.proximity import encode_points
from trainer.learning.dataset import UNKNOWN, TrainingImage

WIDEST_SCALE = (0.75, 1.35)
ELASTIC_PX = 2.0
ELASTIC_KNOTS = 6
BEND_ITERATIONS = 3
HAEMATOXYLIN_SEEN = np.array([[0.90, 0.41, 0.15], [0.61, 0.65, 0.45], [0.70, 0.69, 0.17]])
DAB_SEEN = np.array([[0.28, 0.56, 0.78], [0.54, 0.57, 0.62], [0.46, 0.75, 0.46]])
"""Extremes of the stain vectors over the labelled and the unlabelled images; the last of each are a camera's."""
MOST_RESIDUAL = 0.15
MUCH_STRONGER = math.log(3.0)
"""Some labs stain positive nuclei almost black, never negative ones."""
MUCH_DAB = 0.4
"""Density from which DAB is all of that stronger: the little that is unmixed in negative nuclei stays little."""
DAB_AS_BLACK = torch.tensor([1.2, 0.9, 0.6])
"""What makes much DAB black: density in red, green and blue, at an amount of 1."""
MOST_BLUE = 0.35
"""Haematoxylin lets blue through, however much there is of it: its density there is never more than this."""
FRINGE_PX = 1.5
"""How far red and blue may lie apart."""
_MARGIN = 1.45 / WIDEST_SCALE[0]
"""A window this many crops wide holds every rotated and scaled crop (√2, and a rim for bending)."""


@dataclass(frozen=True, slots=True)
class Variety:
    """How far crops are changed. The defaults are for labs that nobody has seen yet."""

    own_stains: float = 0.2
    """Share of crops that keep about their own stain vectors; the others get those of other labs."""
    gain: float = 0.4
    """Each stain is exp(± this) times as strong."""
    strong: float = 0.5
    """Share of crops where much DAB is much stronger again; and, drawn apart, where it is stronger and black."""
    stray: float = 0.5
    """Share of crops with stray light, in which the darkest is never black, and has a colour of its own."""
    fringed: float = 0.3
    """Share of crops whose colours lie apart by up to a pixel and a half, as through a lens."""
    scale: tuple[float, float] = WIDEST_SCALE


UNKNOWN_LAB = Variety()
SAME_LAB = Variety(own_stains=0.75, gain=0.2, strong=0.0, stray=0.0, fringed=0.0, scale=(0.88, 1.14))
"""For a lab's own images: tomorrow's slides are stained much like today's."""


class Batch(NamedTuple):
    """``image`` (B, 3, S, S) -1..1; ``proximity`` (B, 3, S, S); ``weight`` (B, 1, S, S) 0..1; ``region`` (B, S, S)
    weak ROI codes; ``plain`` as ``image``, with the stain it came with; ``absent`` (B, 1, S, S) proximity of places that are
    known to hold no nucleus.
    """

    image: Tensor
    proximity: Tensor
    weight: Tensor
    region: Tensor
    plain: Tensor
    absent: Tensor


@dataclass(frozen=True, slots=True)
class Warp:
    """Crop pixel p (centred) → window pixel q (centred): q = linear · p + bend(p)."""

    linear: NDArray[np.float64]
    bend: NDArray[np.float32]
    """(S, S, 2) displacement in window pixels."""

    def crop_points(self, centred: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where window points (N, 2), centred, land in the crop, in crop pixels (the bend by fixed-point iteration)."""
        size = self.bend.shape[0]
        inverse = np.linalg.inv(self.linear).T
        middle = (size - 1) / 2
        landed = centred @ inverse + middle
        for _ in range(BEND_ITERATIONS):
            at = np.clip(np.rint(landed).astype(int), 0, size - 1)
            landed = (centred - self.bend[at[:, 1], at[:, 0]]) @ inverse + middle
        found: NDArray[np.float32] = landed.astype(np.float32)
        return found


def random_warp(size: int, rng: np.random.Generator, scale_range: tuple[float, float] = WIDEST_SCALE) -> Warp:
    angle = rng.uniform(0, 2 * math.pi)
    scale = math.exp(rng.uniform(math.log(scale_range[0]), math.log(scale_range[1])))
    mirror = rng.choice([-1.0, 1.0])
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    linear = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    knots = torch.from_numpy(rng.normal(0, ELASTIC_PX, (1, 2, ELASTIC_KNOTS, ELASTIC_KNOTS)).astype(np.float32))
    bend = F.interpolate(knots, size=(size, size), mode="bicubic", align_corners=True)[0].permute(1, 2, 0).numpy()
    return Warp(linear, bend)


def draw_batch(
    images: Sequence[TrainingImage],
    size: int,
    config: KiNetConfig,
    rng: np.random.Generator,
    variety: Variety = UNKNOWN_LAB,
) -> Batch:
    """One random crop of ``size`` pixels from each of the given images."""
    half = math.ceil(size * _MARGIN / 2)
    axis = np.arange(size, dtype=np.float32) - (size - 1) / 2
    lattice = np.stack(np.meshgrid(axis, axis), axis=-1)
    windows, grids, proximities = [], [], []
    for image in images:
        xy, kinds = _places_of(image)
        centre = _draw_centre(image.rgb.shape, xy, kinds, size, rng)
        warp = random_warp(size, rng, variety.scale)
        windows.append(_cut_window(image, centre, half))
        # Pixel q of a window of 2·half pixels lies at (q + 0.5) / half - 1 of grid_sample's scale.
        grids.append((lattice @ warp.linear.T + warp.bend + 0.5) / half)
        near = np.all(np.abs(xy - centre) < half, axis=1)
        landed = warp.crop_points(xy[near] - centre.astype(np.float32))
        proximities.append(encode_points(landed, kinds[near], (size, size), config, N_CLASSES + 1))
    grid = torch.from_numpy(np.stack(grids).astype(np.float32))
    window = torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2).float()
    rgb = F.grid_sample(window[:, :3], grid, mode="bilinear", padding_mode="border", align_corners=False)
    codes = F.grid_sample(window[:, 3:], grid, mode="nearest", padding_mode="zeros", align_corners=False)
    proximity = torch.from_numpy(np.stack(proximities))
    return Batch(
        restain(rgb, torch.from_numpy(np.stack([image.stains for image in images])), rng, variety),
        proximity[:, :N_CLASSES],
        codes[:, :1] / 255,
        codes[:, 1].long(),
        rgb / 127.5 - 1,
        proximity[:, N_CLASSES:],
    )


def _places_of(image: TrainingImage) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """What was said, (N, 2) and (N,): nuclei by class, and what is none as one class more."""
    none = np.full(len(image.absent), N_CLASSES, np.uint8)
    return np.concatenate([image.nuclei.xy, image.absent]), np.concatenate([image.nuclei.classes, none])


def _draw_centre(
    shape: tuple[int, ...], xy: NDArray[np.float32], kinds: NDArray[np.uint8], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Mostly near a nucleus or what is none, so that crops are not mostly glass; a kind is drawn by the root of how many there are."""
    height, width = shape[:2]
    if len(xy) and rng.random() < 0.85:
        shares = np.bincount(kinds)[kinds] ** -0.5
        middle = xy[rng.choice(len(xy), p=shares / shares.sum())] + rng.uniform(-size / 3, size / 3, 2)
    else:
        middle = rng.uniform(0, 1, 2) * (width, height)
    centre: NDArray[np.int64] = np.rint(np.clip(middle, 0, (width - 1, height - 1))).astype(np.int64)
    return centre


def _cut_window(image: TrainingImage, centre: NDArray[np.int64], half: int) -> NDArray[np.uint8]:
    """(2·half, 2·half, 5) uint8 around a centre: RGB, weight, region. Outside the image: white, unlabelled."""
    window = np.empty((2 * half, 2 * half, 5), np.uint8)
    window[..., :3] = 255
    window[..., 3:] = (0, UNKNOWN)
    height, width = image.rgb.shape[:2]
    x, y = int(centre[0]) - half, int(centre[1]) - half
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + 2 * half), min(height, y + 2 * half)
    into = (slice(top - y, bottom - y), slice(left - x, right - x))
    out = (slice(top, bottom), slice(left, right))
    window[(*into, slice(0, 3))] = image.rgb[out]
    window[(*into, 3)] = image.weight[out]
    window[(*into, 4)] = image.region[out]
    return window


def restain(rgb: Tensor, stains: Tensor, rng: np.random.Generator, variety: Variety = UNKNOWN_LAB) -> Tensor:
    """RGB (B, 3, S, S) 0..255 with its own stain vectors (B, 3, 3) → -1..1 as another lab, scanner and day would have
    given it: other vectors, more or less of each stain, another light, lens, focus and noise.
    """
    batch = rgb.shape[0]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (batch, *shape)).astype(np.float32))

    density = -torch.log10((rgb.clamp(0, 255) + 1) / 256)
    gains = torch.exp(uniform(-variety.gain, variety.gain, 3))
    is_strong, is_black = uniform(0, 1, 1) < variety.strong, uniform(0, 1, 1) < variety.strong
    stronger = torch.exp(uniform(0, 1, 1) * MUCH_STRONGER * (is_strong | is_black))[:, :, None, None]
    amounts = torch.einsum("bihw,bij->bjhw", density, torch.linalg.inv(stains))
    # What neither stain explains is often a saturated pixel; other vectors would turn it into a glowing colour.
    amounts = torch.cat([amounts[:, :2].clamp(min=0), amounts[:, 2:].clamp(-MOST_RESIDUAL, MOST_RESIDUAL)], dim=1)
    amounts[:, 1:2] *= 1 + (stronger - 1) * (amounts[:, 1:2] / MUCH_DAB).clamp(max=1)
    amounts = amounts * gains[:, :, None, None]
    drawn = _draw_stains(stains, rng, variety.own_stains)
    density = torch.einsum("bihw,bij->bjhw", amounts, drawn)
    density[:, 2] -= (amounts[:, 0] * drawn[:, 0, 2, None, None] - MOST_BLUE).clamp(min=0)
    # Where there is much DAB, some scanners and cameras see black rather than brown; haematoxylin stays blue.
    black = uniform(0, 1, 1) * is_black * (uniform(-0.3, 0.3, 3) + DAB_AS_BLACK)
    density = density + black[:, :, None, None] * amounts[:, 1:2] ** 2
    gamma = torch.exp(uniform(-0.15, 0.15))[:, None, None, None]
    stray = (uniform(0, 0.18, 1) + uniform(0, 0.12, 3)) * (uniform(0, 1, 1) < variety.stray)
    dimmer = uniform(0, 0.14, 1) * (uniform(0, 1, 1) < 0.6) + uniform(-0.025, 0.025, 3)
    light = 10 ** -(density * gamma)
    light = light + stray[:, :, None, None] * (1 - light)
    light = (light * 10 ** -dimmer[:, :, None, None]).clamp(max=1)
    light = _fringe(light, rng, variety.fringed)
    light = _defocus(light, rng)
    noise = torch.from_numpy(rng.standard_normal(light.shape, np.float32)) * uniform(0, 0.025)[:, None, None, None]
    return ((light + noise).clamp(0, 1) * 2 - 1).contiguous()


def _draw_stains(own: Tensor, rng: np.random.Generator, kept: float) -> Tensor:
    """Stain vectors (B, 3, 3) of other labs: anywhere among the extremes that were measured, a share its own."""
    drawn = []
    for matrix in own.numpy():
        if rng.random() < kept:
            drawn.append(matrix + rng.uniform(-0.03, 0.03, (3, 3)))
            continue
        rows = [
            (rng.dirichlet(np.ones(len(seen))) @ seen + rng.uniform(-0.05, 0.05, 3)).clip(0.02)
            for seen in (HAEMATOXYLIN_SEEN, DAB_SEEN)
        ]
        drawn.append(stain_matrix(*rows))
    return torch.from_numpy(np.stack(drawn).astype(np.float32))


def _fringe(light: Tensor, rng: np.random.Generator, share: float) -> Tensor:
    """In a share of the crops red and blue are moved, each the other way: colour fringes, as of a lens."""
    chosen = np.nonzero(rng.random(light.shape[0]) < share)[0]
    if not len(chosen):
        return light
    apart = rng.uniform(-FRINGE_PX / 2, FRINGE_PX / 2, (len(chosen), 1, 2)) * np.array([1, 0, -1])[:, None]
    height, width = light.shape[-2:]
    moves = torch.zeros(3 * len(chosen), 2, 3)
    moves[:, 0, 0] = moves[:, 1, 1] = 1
    moves[:, :, 2] = torch.from_numpy(apart.reshape(-1, 2).astype(np.float32)) * 2 / torch.tensor([width, height])
    planes = light[chosen].reshape(-1, 1, height, width)
    grid = F.affine_grid(moves, list(planes.shape), align_corners=False)
    out = light.clone()
    moved = F.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
    out[chosen] = moved.reshape(-1, 3, height, width)
    return out


def _defocus(light: Tensor, rng: np.random.Generator) -> Tensor:
    """Some crops lose resolution (a coarser objective, poor focus), some gain a little edge contrast."""
    height, width = light.shape[-2:]
    out = light.clone()
    for i, roll in enumerate(rng.random(light.shape[0])):
        if roll < 0.25:
            share = rng.uniform(0.45, 0.95)
            small = F.interpolate(light[i : i + 1], size=(int(height * share), int(width * share)), mode="area")
            out[i : i + 1] = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
        elif roll < 0.4:
            soft = F.avg_pool2d(light[i : i + 1], 3, stride=1, padding=1, count_include_pad=False)
            out[i : i + 1] = light[i : i + 1] + float(rng.uniform(0.2, 0.8)) * (light[i : i + 1] - soft)
    return out
