"""How one fine-tuning is done, and what of it follows from how much there is to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nucleus_app.errors import NucleusAppError
from trainer.learning.policy import TrainPolicy
from trainer.learning.replay import Replay

STEPS_A_FIELD, FEWEST_STEPS, MOST_STEPS = 40, 120, 400
MOST_KEPT, LESS_A_CASE, LEAST_KEPT = 0.75, 0.075, 0.15
"""Few cases say little of a lab, and a network that follows them forgets more (measured in docs/learning.md)."""


@dataclass(frozen=True, slots=True)
class TunePolicy:
    """How a fine-tuning is done; stored with the run and with the version. The defaults are those of four fields of four patients."""

    steps: int = 160
    batch: int = 8
    crop_px: int = 128
    learning_rate: float = 6e-4
    gamma: float = 2.0
    """γ of MicroNet: the lab's crops weigh so many times what a replayed one does."""
    replay: tuple[str, ...] = (Replay.SYNTHETIC, Replay.DISTILLED, Replay.FOLDER)
    replay_share: float = 0.4
    """Share of crops that are replayed."""
    replay_dir: str = ""
    frozen_stages: int = 99
    """Stages of the contraction, from the image down, that stay as they are; 99: all."""
    open_weight: float = 0.15
    """Weight of the network's own average where nobody labelled."""
    weak_roi: bool = True
    roi_every: int = 4
    ema_decay: float = 0.99
    kept_share: float = 0.45
    """Share of the start's weights in the result (Wortsman et al. 2022)."""
    seed: int = 20190701

    def as_train_policy(self) -> TrainPolicy:
        return TrainPolicy(
            steps=self.steps, batch=self.batch, crop_px=self.crop_px, learning_rate=self.learning_rate,
            roi_every=self.roi_every, ema_decay=self.ema_decay, seed=self.seed,
        )  # fmt: skip


def policy_for(n_fields: int, n_cases: int, given: Mapping[str, Any]) -> TunePolicy:
    """The policy of a lesson of so many images of so many patients; what is ``given`` stays so. Raises NucleusAppError for
    unknown names.
    """
    steps = min(max(FEWEST_STEPS, STEPS_A_FIELD * n_fields), MOST_STEPS)
    kept = round(max(LEAST_KEPT, MOST_KEPT - LESS_A_CASE * n_cases), 3)
    return parse_policy({"steps": steps, "kept_share": kept} | dict(given))


def parse_policy(mapping: Mapping[str, Any]) -> TunePolicy:
    """The inverse of ``asdict``, after JSON; what is not given has its default. Raises NucleusAppError for unknown names."""
    known = {field.name for field in fields(TunePolicy)}
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise NucleusAppError(f"The training policy has {', '.join(unknown)}; known are {', '.join(sorted(known))}.")
    values: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in mapping.items()}
    return TunePolicy(**values)


def hide_paths(policy: Mapping[str, Any]) -> dict[str, Any]:
    """A policy as it may travel with the weights: a folder's path can hold a name."""
    return {name: value for name, value in policy.items() if name != "replay_dir"}
