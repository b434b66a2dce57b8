"""A version whose answers another network learns (Hinton et al. 2015), at every place: also where nobody labelled."""

from __future__ import annotations

import torch
from torch import Tensor

from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.network import KiNet, restore_network
from trainer.learning.augment import Batch
from trainer.learning.precision import in_bfloat16


def ask(network: KiNet, image: Tensor) -> Tensor:
    """What a network says of crops (B, 3, S, S): proximities (B, 3, S, S), 0..1, on the CPU."""
    device = next(network.parameters()).device
    on_device = image.to(device).contiguous(memory_format=torch.channels_last)
    maps: Tensor = network(on_device, with_roi=False).proximity.float().clamp(0, 1).cpu()
    return maps


class Mentor:
    """Looks at every crop before it is stained anew, so that the learning network sees through the stain.

    ``share``: how much of the target is the mentor's answer where there are labels. ``open_weight``: what the answer
    weighs where there are none.
    """

    def __init__(self, version: Version, device: str, *, share: float, open_weight: float) -> None:
        self.sha256 = version.sha256
        self._network = restore_network(version).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = torch.device(device)
        self._share, self._open_weight = share, open_weight

    @torch.no_grad()
    def complete(self, batch: Batch) -> Batch:
        """The batch with the mentor's answer in its ``proximity`` and ``weight``."""
        with in_bfloat16(self._device):
            answer = ask(self._network, batch.plain)
        is_open = batch.weight == 0
        share = torch.where(is_open, 1.0, self._share)
        return batch._replace(
            proximity=torch.lerp(batch.proximity, answer, share),
            weight=torch.where(is_open, self._open_weight, batch.weight),
        )
