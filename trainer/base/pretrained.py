"""Networks that start from other weights: an ImageNet encoder, or InstanSeg's U-Net (Apache-2.0 both)."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.config import UNET, KiNetConfig
from nucleus_app.kinet.contraction import load_by_order
from nucleus_app.kinet.network import KiNet

DARKEST, BRIGHTEST = 0.1, 0.95
"""What InstanSeg takes for 0 and 1, of a channel's 0..1: about the 0.1 and 99.9 percentiles of a stained image, to which
it stretches every image. Ours are never stretched, so this becomes part of the first layer.
"""


def start_network(config: KiNetConfig, pretrained: Path | None) -> KiNet:
    """An untrained network, with the weights of ``pretrained`` where they belong. Raises CheckpointError."""
    if pretrained is None:
        return KiNet(config)
    if config.contraction != UNET:
        return KiNet(config, pretrained=_read_encoder(pretrained))
    network = KiNet(config)
    state = _read_torchscript(pretrained)
    contraction = {name: value for name, value in state.items() if name.startswith("encoder.")}
    expansion = {name: value for name, value in state.items() if ".decoder." in name}
    load_by_order(network.contraction, contraction)
    load_by_order(network.expansion, expansion)
    for module in network.contraction.stages()[0].modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            _stretch_input(module)
    return network


def _read_encoder(path: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, OSError, EOFError) as error:
        raise CheckpointError(f"{path} holds no weights of an encoder (.pth): {error}") from error
    return weights


def _read_torchscript(path: Path) -> dict[str, Tensor]:
    try:
        opened = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        return dict(opened.fcn.state_dict())
    except (AttributeError, RuntimeError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is no InstanSeg TorchScript file: {error}") from error


@torch.no_grad()
def _stretch_input(layer: nn.Conv2d) -> None:
    """Let a layer that expects (v - DARKEST) / (BRIGHTEST - DARKEST), v in 0..1, take 2·v - 1 instead."""
    gain = 0.5 / (BRIGHTEST - DARKEST)
    shift = (0.5 - DARKEST) / (BRIGHTEST - DARKEST)
    assert layer.bias is not None
    layer.bias += layer.weight.sum(dim=(1, 2, 3)) * shift
    layer.weight *= gain
