"""Contraction paths: the paper's residual one, and the encoders of segmentation-models-pytorch behind the same face.

Both give five feature maps at strides 1, 2, 4, 8, 16 and tell their ``widths``.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from segmentation_models_pytorch.encoders import get_encoder
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.layers import ResidualBlock, downsample

DEPTH = 4
"""Number of halvings down to the deepest map that both tasks share."""


class ResidualContraction(nn.Module):
    """Four residual blocks, a strided convolution before each, dropout after the last two."""

    def __init__(self, widths: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        if len(widths) != DEPTH + 1:
            raise ValueError(f"contraction_widths {widths} must name {DEPTH + 1} levels, strides 1 to {2**DEPTH}")
        self.widths = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ELU()
        )
        self.levels = nn.ModuleList(
            nn.Sequential(
                downsample(below, width),
                ResidualBlock(width),
                nn.Dropout2d(dropout if level > DEPTH - 2 else 0.0),
            )
            for level, (below, width) in enumerate(pairwise(widths), start=1)
        )

    def stages(self) -> list[nn.Module]:
        """Its parts from the image down: what fine-tuning can leave as it is."""
        return [self.stem, *self.levels]

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.stem(image)]
        for level in self.levels:
            features.append(level(features[-1]))
        return features


class SmpContraction(nn.Module):
    """An encoder of segmentation-models-pytorch; the image itself is the map at stride 1."""

    def __init__(self, name: str, dropout: float, pretrained: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.encoder = get_encoder(name, in_channels=3, depth=DEPTH, weights=None)
        if pretrained is not None:
            load_by_order(self.encoder, pretrained)
        _drop_unused_stages(self.encoder)
        self.widths = tuple(int(w) for w in self.encoder.out_channels)
        self.dropout = nn.Dropout2d(dropout)

    def stages(self) -> list[nn.Module]:
        """Its parts from the image down: what fine-tuning can leave as it is."""
        blocks = _find_blocks(self.encoder)
        if blocks is None:
            return [self.encoder]
        inside = set(blocks.modules())
        stem = [m for m in self.encoder.modules() if m not in inside and not list(m.children())]
        return [nn.ModuleList(stem), *blocks]

    def forward(self, image: Tensor) -> list[Tensor]:
        features = list(self.encoder(image))
        features[-2:] = [self.dropout(f) for f in features[-2:]]
        return features


def _drop_unused_stages(encoder: nn.Module) -> None:
    """Remove the timm stages behind the deepest feature; they would be computed and shipped for nothing."""
    stages = _find_blocks(encoder)
    if stages is None:
        return
    encoder.eval()
    with torch.no_grad():
        wanted = [f.shape for f in encoder(torch.zeros(1, 3, 64, 64))]
        while len(stages) > 1:
            last = stages[-1]
            del stages[-1]
            try:
                same = [f.shape for f in encoder(torch.zeros(1, 3, 64, 64))] == wanted
            except (IndexError, KeyError, RuntimeError):
                same = False
            if not same:
                stages.append(last)
                break
    encoder.train()


def _find_blocks(encoder: nn.Module) -> nn.Sequential | None:
    """The stages of an encoder that comes from timm."""
    blocks = getattr(getattr(encoder, "model", None), "blocks", None)
    return blocks if isinstance(blocks, nn.Sequential) else None


def pad_for_whole_strides(network: nn.Module) -> None:
    """Give strided convolutions that reckon their padding from the size of every input the one of sizes that are whole
    strides, as part of the layer: as a step of its own it costs as much as some convolutions.
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Conv2dSame):
                setattr(parent, name, nn.Sequential(_padding_of(layer), _without_padding(layer)))


def _padding_of(layer: nn.Conv2d) -> nn.ZeroPad2d:
    height, width = (
        max(0, dilation * (kernel - 1) + 1 - stride)
        for kernel, stride, dilation in zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    )
    return nn.ZeroPad2d((width // 2, width - width // 2, height // 2, height - height // 2))


def _without_padding(layer: nn.Conv2d) -> nn.Conv2d:
    plain = nn.Conv2d(
        layer.in_channels, layer.out_channels, (layer.kernel_size[0], layer.kernel_size[1]),
        stride=(layer.stride[0], layer.stride[1]), dilation=(layer.dilation[0], layer.dilation[1]), groups=layer.groups,
    )  # fmt: skip
    plain.weight, plain.bias = layer.weight, layer.bias
    return plain


def load_by_order(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy ``state`` into ``network`` entry by entry in order, checking every shape; a classifier may be left over.

    Published encoder weights often differ from ours in the names alone.
    """
    own = network.state_dict()
    if len(state) < len(own):
        raise CheckpointError(f"pretrained weights hold {len(state)} arrays, the encoder needs {len(own)}")
    renamed: dict[str, Tensor] = {}
    for (name, mine), (theirs, value) in zip(own.items(), state.items(), strict=False):
        if mine.shape != value.shape:
            raise CheckpointError(
                f"pretrained {theirs} is {tuple(value.shape)}, the encoder's {name} is {tuple(mine.shape)}"
            )
        renamed[name] = value
    network.load_state_dict(renamed)
