"""KiNet: one contraction, a proximity expansion with multi-context output, an ROI sibling (Fig. 2 of the paper)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nucleus_app.domain.nuclei import N_CLASSES
from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.config import RESIDUAL, UNET, KiNetConfig
from nucleus_app.kinet.contraction import ResidualContraction, SmpContraction
from nucleus_app.kinet.layers import ResidualBlock, pad_to, pad_to_whole, upsample
from nucleus_app.kinet.unet import UNetContraction, UNetExpansion


class KiNetOutput(NamedTuple):
    """``proximity`` (B, 3, H, W), about 0..1, channels in NucleusClass order; ``roi_logits`` (B, 2, H, W),
    tumour and non-tumour before the softmax, or None when not asked for.
    """

    proximity: Tensor
    roi_logits: Tensor | None


class Expansion(nn.Module):
    """Residual blocks going up, as many levels as there are ``widths``; each takes the upsampled maps concatenated with the
    contraction's of that size.
    """

    def __init__(self, bottom: int, skips: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        self.up = nn.ModuleList()
        self.blocks = nn.ModuleList()
        below = bottom
        for skip, width in zip(skips[: len(widths)], widths, strict=True):
            if width <= skip:
                raise ValueError(f"expansion width {width} must exceed its skip connection of {skip} maps")
            self.up.append(upsample(below, width - skip, 2))
            self.blocks.append(ResidualBlock(width))
            below = width

    def forward(self, bottom: Tensor, skips: list[Tensor]) -> list[Tensor]:
        """Maps of every level, deepest first."""
        levels = []
        x = bottom
        for up, block, skip in zip(self.up, self.blocks, skips[: len(self.up)], strict=True):
            x = block(torch.cat([pad_to(up(x), skip), skip], dim=1))
            levels.append(x)
        return levels


class OutputBlock(nn.Module):
    """Multi-context aggregation, then two 3×3 convolutions per class, in parallel.

    Where the expansion ends at a ``stride`` above 1, they see the image's own pixels too, as maps of that stride, and give
    stride² maps per class, which are the sub-pixels of one.
    """

    def __init__(self, widths: tuple[int, int, int], context: int, head: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        deeper, deep, last = widths
        self.from_deeper = upsample(deeper, context, 4)
        self.from_deep = upsample(deep, context, 2)
        # Three parallel convolutions are one of three times the width; the second is grouped to keep them apart.
        pixels = 4 * stride**2 if stride > 1 else 0  # three would hold them all, but not fill a processor's vectors
        self.from_image = nn.Conv2d(3, pixels, stride, stride=stride, bias=False) if pixels else None
        self.hidden = nn.Sequential(nn.Conv2d(last + 2 * context + pixels, N_CLASSES * head, 3, padding=1), nn.ELU())
        self.maps = nn.Conv2d(N_CLASSES * head, N_CLASSES * stride**2, 3, padding=1, groups=N_CLASSES)

    def forward(self, levels: list[Tensor], image: Tensor) -> Tensor:
        deeper, deep, last = levels[-3:]
        parts = [last, pad_to(self.from_deep(deep), last), pad_to(self.from_deeper(deeper), last)]
        if self.from_image is not None:
            parts.append(self.from_image(pad_to_whole(image, self.stride)))
        return F.pixel_shuffle(self.maps(self.hidden(torch.cat(parts, dim=1))), self.stride)


class KiNet(nn.Module):
    """Image (B, 3, H, W), scaled to -1..1, any H and W → :class:`KiNetOutput` of the same H and W."""

    def __init__(self, config: KiNetConfig, *, pretrained: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.config = config
        self.contraction = _make_contraction(config, pretrained)
        *above, bottom = self.contraction.widths
        skips = tuple(reversed(above))
        expansion = config.expansion_widths
        self.expansion = _make_expansion(config, bottom, skips, expansion)
        self.output = OutputBlock(
            (expansion[-3], expansion[-2], expansion[-1]),
            config.context_width,
            config.head_width,
            stride=2 ** (len(skips) - len(expansion)),
        )
        # The sibling looks wider: one more residual block, one level deeper, with layers of its own all the way up.
        first, *others = config.roi_widths
        self.roi_down = nn.Sequential(
            nn.Conv2d(bottom, first, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ELU(),
            ResidualBlock(first),
        )
        self.roi_expansion = _make_expansion(config, first, (bottom, *skips), tuple(others))
        self.roi_output = nn.Sequential(
            nn.Conv2d(others[-1], others[-1], 3, padding=1), nn.ELU(), nn.Conv2d(others[-1], 2, 3, padding=1)
        )

    def forward(self, image: Tensor, *, with_roi: bool = True) -> KiNetOutput:
        features = self.contraction(image)
        *above, bottom = features
        skips = above[::-1]
        proximity = pad_to(self.output(self.expansion(bottom, skips), image), image)
        if not with_roi:
            return KiNetOutput(proximity, None)
        roi = self.roi_output(self.roi_expansion(self.roi_down(bottom), [bottom, *skips])[-1])
        if roi.shape[2:] != image.shape[2:]:  # a sibling that ends above the last level
            roi = F.interpolate(roi, size=image.shape[2:], mode="bilinear", align_corners=False)
        return KiNetOutput(proximity, roi)


def _make_contraction(
    config: KiNetConfig, pretrained: dict[str, Tensor] | None
) -> ResidualContraction | SmpContraction | UNetContraction:
    if config.contraction == RESIDUAL:
        return ResidualContraction(config.contraction_widths, config.dropout)
    if config.contraction == UNET:
        return UNetContraction(config.contraction_widths, config.dropout)
    return SmpContraction(config.contraction, config.dropout, pretrained)


def _make_expansion(
    config: KiNetConfig, bottom: int, skips: tuple[int, ...], widths: tuple[int, ...]
) -> Expansion | UNetExpansion:
    if config.contraction == UNET:
        return UNetExpansion(bottom, skips, widths)
    return Expansion(bottom, skips, widths)


def restore_network(version: Version) -> KiNet:
    """The network of a version, ready to run. Raises CheckpointError unless every array fits it."""
    network = KiNet(version.config)
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in version.state.items()}, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{version.name} does not fit the network that its header describes: {error}") from error
    return network.eval()


def roi_probability(logits: Tensor) -> Tensor:
    """Probability (B, H, W) that a pixel lies in tumour."""
    return F.softmax(logits, dim=1)[:, 0]
