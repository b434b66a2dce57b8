"""Losses of Xing et al. 2019, Eqs. 2 to 5, as means over supervised pixels so that crop size does not matter."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nucleus_app.kinet.network import KiNetOutput
from trainer.learning.augment import Batch
from trainer.learning.dataset import NON_TUMOUR, TUMOUR, UNKNOWN
from trainer.learning.policy import TrainPolicy


class LossTerms(NamedTuple):
    """Named parts of the joint loss, each a scalar tensor; ``total`` is what is minimised."""

    nucleus: Tensor
    correlation: Tensor
    roi: Tensor
    total: Tensor


def nucleus_loss(
    predicted: Tensor, truth: Tensor, absent: Tensor, weight: Tensor, lambda_: float, background: float
) -> Tensor:
    """½ (max(y, a) + λ ȳ + background) (ŷ - y)² (Eq. 2), averaged over supervised pixels.

    ``predicted``, ``truth`` (B, 3, H, W); ``absent`` a (B, 1, H, W): where it is known that there is no nucleus that weighs as
    much as one; ``weight`` (B, 1, H, W), 0 where nuclei are unlabelled. An image without labelled nuclei (y = ∅ in Eq. 5) has
    weight 0 everywhere and adds nothing. ȳ is the mean of a class over the batch, not over each image as in the paper: else what is
    in doubt is a nucleus in sparse tissue and none in dense one.
    """
    mean = (truth * weight).sum(dim=(0, 2, 3), keepdim=True) / weight.sum().clamp(min=1)
    emphasis = torch.maximum(truth, absent) + lambda_ * mean + background
    error = 0.5 * emphasis * (predicted - truth) ** 2 * weight
    return error.sum() / weight.sum().clamp(min=1)


def correlation_penalty(predicted: Tensor, weight: Tensor) -> Tensor:
    """Mean over supervised pixels of Σ_{s<t} ŷ_s ŷ_t (Eq. 3, last layer): one pixel, one class."""
    held = predicted * weight
    product = held[:, 0] * held[:, 1] + held[:, 0] * held[:, 2] + held[:, 1] * held[:, 2]
    return product.sum() / weight.sum().clamp(min=1)


def roi_loss(logits: Tensor, region: Tensor) -> Tensor:
    """Cross-entropy over annotated pixels only (Eq. 4). ``logits`` (B, 2, H, W), ``region`` (B, H, W) codes."""
    annotated = (region == TUMOUR) | (region == NON_TUMOUR)
    if not bool(annotated.any()):
        return logits.sum() * 0.0
    return F.cross_entropy(logits, torch.where(annotated, region, UNKNOWN) - 1, ignore_index=UNKNOWN - 1)


def joint_loss(output: KiNetOutput, batch: Batch, policy: TrainPolicy, *, with_correlation: bool) -> LossTerms:
    """γ · (nucleus + η · correlation) + ROI (Eq. 5)."""
    nucleus = nucleus_loss(
        output.proximity, batch.proximity, batch.absent, batch.weight, policy.lambda_, policy.background_weight
    )
    correlation = correlation_penalty(output.proximity, batch.weight)
    roi = nucleus.new_zeros(()) if output.roi_logits is None else roi_loss(output.roi_logits, batch.region)
    eta = policy.eta if with_correlation else 0.0
    return LossTerms(nucleus, correlation, roi, policy.gamma * (nucleus + eta * correlation) + roi)


def is_finite(terms: LossTerms) -> bool:
    return bool(torch.isfinite(terms.total))
