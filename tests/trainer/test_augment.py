"""What crops are changed by so that one network reads many labs' slides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nucleus_app.imaging.stain import DAB, HAEMATOXYLIN, density_to_rgb, stain_matrix
from trainer.learning.augment import FRINGE_PX, SAME_LAB, Variety, restain

PLAIN = Variety(own_stains=1, gain=0, strong=0, stray=0, fringed=0)
STAINS = torch.from_numpy(stain_matrix(HAEMATOXYLIN, DAB)).float()[None]
COPIES = 60
MIDDLE = 32


def draw_spot(haematoxylin: float, dab: float) -> Tensor:
    """One round nucleus on glass, (1, 3, 65, 65) of 0..255."""
    axis = np.arange(2 * MIDDLE + 1) - MIDDLE
    spot = np.exp(-(axis[:, None] ** 2 + axis**2) / 18)
    rgb = density_to_rgb((spot[..., None] * (haematoxylin * HAEMATOXYLIN + dab * DAB)).astype(np.float32))
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float()


def stain_copies(variety: Variety, haematoxylin: float = 0.0, dab: float = 0.9) -> Tensor:
    """(COPIES, 3, 65, 65) of 0..1."""
    spots, stains = draw_spot(haematoxylin, dab).expand(COPIES, -1, -1, -1), STAINS.expand(COPIES, -1, -1)
    return (restain(spots, stains, np.random.default_rng(5), variety) + 1) / 2


def test_some_labs_stain_positive_nuclei_almost_black() -> None:
    usual = stain_copies(PLAIN)[:, :, MIDDLE, MIDDLE].mean(dim=1)
    strong = stain_copies(replace(PLAIN, strong=1))[:, :, MIDDLE, MIDDLE].mean(dim=1)
    assert usual.min() > 0.15
    assert strong.min() < 0.08
    assert (strong < usual + 0.05).all()


def test_no_lab_stains_negative_nuclei_black_or_brown() -> None:
    """They have a little DAB when stains are unmixed; three times as much of it would be a positive nucleus."""
    usual, strong = (
        stain_copies(variety, haematoxylin=0.5, dab=0.06)[:, :, MIDDLE, MIDDLE]
        for variety in (PLAIN, replace(PLAIN, strong=1))
    )
    assert (strong.mean(dim=1) > 0.8 * usual.mean(dim=1).min()).all()
    assert (strong[:, 2] > strong[:, 0]).all(), "still blue"


def test_stray_light_leaves_glass_alone_and_no_black_black() -> None:
    black = replace(PLAIN, strong=1)
    without, lit = stain_copies(black), stain_copies(replace(black, stray=1))
    gained = (lit - without)[:, :, MIDDLE, MIDDLE]
    assert gained.mean() > 0.08
    assert gained.std(dim=1).mean() > 0.01, "and has a colour"
    assert (lit - without)[:, :, :4, :4].abs().mean() < 0.01


def test_a_lens_moves_red_and_blue_apart_and_green_not_at_all() -> None:
    near = slice(MIDDLE - 11, MIDDLE + 12)
    axis = torch.arange(23) - 11

    def centre_of(light: Tensor) -> Tensor:
        light = light[:, :, near, near]
        mass = (light.amax(dim=(2, 3), keepdim=True) - light - 0.1).clamp(min=0)
        x, y = (mass.sum(dim=2) * axis).sum(dim=2), (mass.sum(dim=3) * axis).sum(dim=2)
        return torch.stack([x, y], dim=2) / mass.sum(dim=(2, 3))[..., None]

    centres = centre_of(stain_copies(replace(PLAIN, fringed=1)))
    apart = (centres[:, 0] - centres[:, 2]).abs()
    assert centres[:, 1].abs().max() < 0.25
    assert 0.3 < apart.mean() < FRINGE_PX
    assert apart.max() < FRINGE_PX + 0.3


def test_a_labs_own_fields_keep_their_light_and_their_lens() -> None:
    assert (SAME_LAB.strong, SAME_LAB.stray, SAME_LAB.fringed) == (0, 0, 0)
