"""What a smaller network is taught by a larger one."""

from __future__ import annotations

import torch

from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.network import restore_network
from trainer.learning.augment import Batch
from trainer.learning.mentor import Mentor


def make_batch() -> Batch:
    torch.manual_seed(0)
    plain, stained = torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(2, 3, 64, 64) * 2 - 1
    weight = torch.zeros(2, 1, 64, 64)
    weight[:, :, :, :32] = 1.0
    return Batch(
        stained,
        torch.rand(2, 3, 64, 64),
        weight,
        torch.zeros(2, 64, 64, dtype=torch.long),
        plain,
        torch.zeros(2, 1, 64, 64),
    )


def test_where_nobody_labelled_the_target_is_its_answer_to_the_crop_before_restaining(tiny: Version) -> None:
    batch = make_batch()
    done = Mentor(tiny, "cpu", share=0.25, open_weight=0.5).complete(batch)
    with torch.no_grad():
        answer = restore_network(tiny)(batch.plain, with_roi=False).proximity.clamp(0, 1)
    assert torch.allclose(done.proximity[..., 32:], answer[..., 32:], atol=0.02)  # half precision
    assert bool((done.weight[..., 32:] == 0.5).all())
    expected = 0.75 * batch.proximity + 0.25 * answer
    assert torch.allclose(done.proximity[..., :32], expected[..., :32], atol=0.02)
    assert torch.equal(done.weight[..., :32], batch.weight[..., :32])
    assert torch.equal(done.image, batch.image)


def test_with_no_share_labels_stay_as_they_are(tiny: Version) -> None:
    batch = make_batch()
    done = Mentor(tiny, "cpu", share=0.0, open_weight=0.5).complete(batch)
    assert torch.allclose(done.proximity[..., :32], batch.proximity[..., :32])
