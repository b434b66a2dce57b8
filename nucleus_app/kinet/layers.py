"""The layers every KiNet is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, each with batch norm and ELU, added to the identity (paper, III-A)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ELU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ELU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y


def downsample(below: int, width: int) -> nn.Sequential:
    """Strided 3×3 convolution between two residual blocks."""
    return nn.Sequential(nn.Conv2d(below, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ELU())


def upsample(below: int, width: int, factor: int) -> nn.ConvTranspose2d:
    """Transposed convolution. Its kernel equals its stride, so that no output pixel is written twice."""
    return nn.ConvTranspose2d(below, width, factor, stride=factor)


def ungroup(grouped: nn.Conv2d) -> nn.Conv2d:
    """The same 3×3 convolution with zeros between its groups: OpenVINO is quicker with it where groups are narrow."""
    dense = nn.Conv2d(grouped.in_channels, grouped.out_channels, 3, padding=1)
    blocks = [kernel.flatten(1) for kernel in grouped.weight.detach().chunk(grouped.groups)]
    dense.weight.data = torch.block_diag(*blocks).view_as(dense.weight)  # type: ignore[no-untyped-call]
    dense.bias = grouped.bias
    return dense


def pad_to(x: Tensor, like: Tensor) -> Tensor:
    """Pad with zeros at the right and bottom (or crop there) to the height and width of ``like``."""
    if x.shape[2:] == like.shape[2:]:  # so that a graph made from a window of whole strides pads nothing
        return x
    return F.pad(x, (0, like.shape[3] - x.shape[3], 0, like.shape[2] - x.shape[2]))


def pad_to_whole(x: Tensor, stride: int) -> Tensor:
    """Pad with zeros at the right and bottom to a multiple of ``stride``."""
    below, right = -x.shape[2] % stride, -x.shape[3] % stride
    return F.pad(x, (0, right, 0, below)) if below or right else x
