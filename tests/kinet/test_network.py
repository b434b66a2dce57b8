"""What every KiNet must do, whatever its contraction and size."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame

from nucleus_app.errors import CheckpointError
from nucleus_app.kinet.config import HALF, LARGE, PAPER, SMALL, KiNetConfig
from nucleus_app.kinet.contraction import load_by_order, pad_for_whole_strides
from nucleus_app.kinet.network import KiNet, roi_probability
from tests.conftest import TINY

OTHER_ENCODER = replace(
    SMALL, contraction="resnet18", expansion_widths=(160, 80, 72, 24), roi_widths=(64, 272, 144, 72, 72, 8)
)
CONFIGS = {
    "residual": TINY,
    "small": SMALL,
    "half": HALF,
    "large": LARGE,
    "resnet18": replace(OTHER_ENCODER, expansion_widths=(144, 80, 72, 24)),
}


@pytest.fixture(params=sorted(CONFIGS))
def network(request: pytest.FixtureRequest) -> KiNet:
    torch.manual_seed(0)
    return KiNet(CONFIGS[request.param]).eval()


@pytest.mark.parametrize("size", [(64, 64), (33, 70), (97, 41), (1, 1), (200, 17)])
@torch.inference_mode()
def test_any_size_in_the_same_size_out(network: KiNet, size: tuple[int, int]) -> None:
    output = network(torch.zeros(1, 3, *size))
    assert output.proximity.shape == (1, 3, *size)
    assert output.roi_logits.shape == (1, 2, *size)


@torch.inference_mode()
def test_a_tile_does_not_depend_on_its_batch_mates(network: KiNet) -> None:
    tile, mate = torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 64) * 5 + 3
    alone = network(tile).proximity
    together = network(torch.cat([tile, mate])).proximity[:1]
    assert torch.allclose(alone, together, atol=1e-5)


@torch.inference_mode()
def test_prediction_leaves_the_network_unchanged(network: KiNet) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@torch.inference_mode()
def test_the_roi_branch_is_optional_and_gives_probabilities(network: KiNet) -> None:
    image = torch.randn(1, 3, 64, 64)
    with_roi, without = network(image), network(image, with_roi=False)
    assert without.roi_logits is None
    assert torch.equal(with_roi.proximity, without.proximity)
    probability = roi_probability(with_roi.roi_logits)
    assert probability.shape == (1, 64, 64)
    assert 0 <= float(probability.min()) <= float(probability.max()) <= 1


def test_the_roi_sibling_shares_the_contraction_and_nothing_above(network: KiNet) -> None:
    network.zero_grad()
    network(torch.randn(1, 3, 64, 64)).roi_logits.sum().backward()
    taught = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert taught == {"contraction", "roi_down", "roi_expansion", "roi_output"}


@pytest.mark.parametrize("config", [TINY, HALF], ids=["single pixels", "sub-pixels"])
def test_classes_have_output_layers_of_their_own(config: KiNetConfig) -> None:
    network = KiNet(config).eval()
    output = network(torch.randn(1, 3, 64, 64)).proximity
    output[:, 0].sum().backward()
    hidden = network.output.hidden[0].weight.grad.reshape(3, config.head_width, -1)
    assert bool((hidden[0] != 0).any())
    assert bool((hidden[1:] == 0).all())


@torch.inference_mode()
def test_an_expansion_that_ends_early_still_gives_every_pixel_a_value_of_its_own() -> None:
    torch.manual_seed(0)
    network = KiNet(HALF).eval()
    assert (KiNet(SMALL).output.stride, network.output.stride) == (1, 2)
    blocks = network(torch.randn(1, 3, 64, 64)).proximity.unfold(2, 2, 2).unfold(3, 2, 2)
    assert bool((blocks.flatten(4).std(dim=4) > 0).all())


@torch.inference_mode()
def test_paddings_for_whole_strides_change_nothing_there() -> None:
    torch.manual_seed(0)
    network = KiNet(SMALL).eval()
    fixed = copy.deepcopy(network)
    pad_for_whole_strides(fixed)
    assert not any(isinstance(layer, Conv2dSame) for layer in fixed.modules())
    image = torch.randn(1, 3, 64, 96)
    assert torch.equal(network(image).proximity, fixed(image).proximity)


def test_the_paper_sized_network_has_the_papers_levels() -> None:
    network = KiNet(PAPER)
    assert network.contraction.widths == (32, 64, 128, 256, 256)
    assert [block.body[0].in_channels for block in network.expansion.blocks] == [512, 256, 128, 64]
    assert len(network.roi_expansion.blocks) == 5
    dropped = [m.p for m in network.contraction.modules() if isinstance(m, torch.nn.Dropout2d)]
    assert dropped == [0.0, 0.0, 0.5, 0.5]


def test_a_config_that_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="32 must exceed"):
        KiNet(replace(TINY, contraction_widths=(4, 6, 8, 40, 12), expansion_widths=(32, 12, 10, 8)))
    with pytest.raises(ValueError, match="longer"):
        KiNet(replace(TINY, expansion_widths=(*TINY.expansion_widths, 8)))
    with pytest.raises(ValueError, match="must name 5 levels"):
        KiNet(KiNetConfig(contraction_widths=(4, 8)))


def test_pretrained_weights_are_copied_in_order_and_checked() -> None:
    donor, taker = torch.nn.Conv2d(3, 4, 3), torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    load_by_order(taker, donor.state_dict() | {"classifier": torch.zeros(1)})
    assert torch.equal(taker[0].weight, donor.weight)
    with pytest.raises(CheckpointError, match=r"\(5, 3, 3, 3\)"):
        load_by_order(torch.nn.Conv2d(3, 5, 3), donor.state_dict())
    with pytest.raises(CheckpointError, match="1 arrays"):
        load_by_order(taker, {"only": torch.zeros(4)})


@pytest.mark.parametrize("name", ["small", "half", "large"])
def test_what_lies_beyond_the_halo_does_not_reach_a_core(name: str) -> None:
    torch.manual_seed(0)
    network = KiNet(CONFIGS[name]).eval()
    halo = network.config.halo_px
    image = torch.rand(1, 3, 32, halo + 96) * 2 - 1
    changed = image.clone()
    changed[..., halo + 32 :] = -1.0
    with torch.no_grad():
        maps = [network(x, with_roi=False).proximity[..., :32] for x in (image, changed)]
    assert torch.allclose(*maps, atol=1e-4)
