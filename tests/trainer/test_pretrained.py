"""Networks that start from published weights, here from files of the same shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS
from nucleus_app.kinet.config import HALF, LARGE
from nucleus_app.kinet.network import KiNet
from nucleus_app.kinet.unet import UNetContraction, UNetExpansion
from trainer.base.pretrained import BRIGHTEST, DARKEST, start_network


class _Decoder(nn.Module):
    def __init__(self, levels: nn.ModuleList) -> None:
        super().__init__()
        self.decoder = levels
        self.final_block = nn.Conv2d(32, 5, 1)


class _Fcn(nn.Module):
    """A U-Net whose parts are named as InstanSeg's are."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = UNetContraction(LARGE.contraction_widths, 0.0).levels
        self.decoders = nn.ModuleList([_Decoder(UNetExpansion(256, (128, 64, 32), LARGE.expansion_widths).levels)])

    def forward(self, image: Tensor) -> Tensor:
        features = [image]
        for level in self.encoder:
            features.append(level(features[-1]))
        x = features[-1]
        for level, skip in zip(self.decoders[0].decoder, features[-2:0:-1], strict=True):
            x = level(x, skip)
        return self.decoders[0].final_block(x)


class _Published(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fcn = _Fcn()

    def forward(self, image: Tensor) -> Tensor:
        return self.fcn(image)


@pytest.fixture
def published(tmp_path: Path) -> tuple[_Published, Path]:
    torch.manual_seed(3)
    network = _Published().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    path = tmp_path / "instanseg.pt"
    torch.jit.save(torch.jit.trace(network, torch.rand(1, 3, 64, 64)), path)
    return network, path


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@torch.no_grad()
def test_the_large_network_computes_what_the_published_one_does_up_to_the_head(
    published: tuple[_Published, Path],
) -> None:
    theirs, path = published
    ours = start_network(LARGE, path).eval()
    light = torch.rand(1, 3, 96, 64)
    features = ours.contraction(2 * light - 1)
    last = ours.expansion(features[-1], features[-2::-1])[-1]
    stretched = (light - DARKEST) / (BRIGHTEST - DARKEST)
    expected = theirs.fcn(stretched)
    inner = (
        slice(None),
        slice(None),
        slice(24, -24),
        slice(24, -24),
    )  # beyond the image theirs sees black, ours sees grey
    assert torch.allclose(theirs.fcn.decoders[0].final_block(last)[inner], expected[inner], atol=1e-3)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_a_file_that_is_no_such_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(b"no network")
    with pytest.raises(CheckpointError, match=r"other\.pt is no InstanSeg"):
        start_network(LARGE, path)


def test_a_file_without_weights_of_an_encoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"other\.pth holds no weights of an encoder"):
        start_network(HALF, path)
    with pytest.raises(CheckpointError, match="the encoder's"):  # of another network
        start_network(HALF, SHIPPED_WEIGHTS)


def test_without_a_file_it_starts_anew() -> None:
    assert isinstance(start_network(LARGE, None), KiNet)
