"""The U-Net of InstanSeg (Goldsborough et al. 2024) as a KiNet's contraction and expansion: the large network's start
knows nuclei of many tissues and stains already (decision 0007).

Levels at strides 1, 2, 4, 8. Every block adds a 1×1 projection of its input to two 3×3 convolutions, then two more.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


def unit(below: int, width: int, kernel: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(below, width, kernel, padding=kernel // 2), nn.BatchNorm2d(width), nn.ReLU())


class DownBlock(nn.Module):
    """Halves its input (but for the first level) and widens it."""

    def __init__(self, below: int, width: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.projection = unit(below, width, 1)
        self.inner = nn.Sequential(unit(below, width, 3), unit(width, width, 3))
        self.outer = nn.Sequential(unit(width, width, 3), unit(width, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(x, 2, ceil_mode=True) if self.halves else x
        y = self.projection(x) + self.inner(x)
        maps: Tensor = y + self.outer(y)
        return maps


class UpBlock(nn.Module):
    """Doubles its input, adds the contraction's maps of that size, and narrows it."""

    def __init__(self, below: int, skip: int, width: int) -> None:
        super().__init__()
        self.projection = unit(below, width, 1)
        self.skip = unit(skip, width, 1)
        self.first = unit(below, width, 3)
        self.second = unit(width, width, 3)
        self.outer = nn.Sequential(unit(width, width, 3), unit(width, width, 3))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")[:, :, : skip.shape[2], : skip.shape[3]]
        y = self.projection(x) + self.second(self.first(x) + self.skip(skip))
        maps: Tensor = y + self.outer(y)
        return maps


class UNetContraction(nn.Module):
    """Image (B, 3, H, W) in -1..1 → maps at strides 1, 2, 4, 8."""

    def __init__(self, widths: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.widths = widths
        self.levels = nn.ModuleList(
            DownBlock(below, width, halves=level > 0) for level, (below, width) in enumerate(pairwise((3, *widths)))
        )
        self.dropout = nn.Dropout2d(dropout)

    def stages(self) -> list[nn.Module]:
        """Its parts from the image down: what fine-tuning can leave as it is."""
        return list(self.levels)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.levels[0](image)]
        for level in self.levels[1:]:
            features.append(level(features[-1]))
        features[-1] = self.dropout(features[-1])
        return features


class UNetExpansion(nn.Module):
    """The way back up, as many levels as there are ``widths``."""

    def __init__(self, bottom: int, skips: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            UpBlock(below, skip, width)
            for (below, width), skip in zip(pairwise((bottom, *widths)), skips, strict=False)
        )

    def forward(self, bottom: Tensor, skips: list[Tensor]) -> list[Tensor]:
        """Maps of every level, deepest first."""
        maps = []
        x = bottom
        for level, skip in zip(self.levels, skips, strict=False):
            x = level(x, skip)
            maps.append(x)
        return maps
