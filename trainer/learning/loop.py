"""One training run: draw, step, average, evaluate, keep the best, stop early, resume."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import MATCH_UM
from nucleus_app.errors import TrainingDiverged
from nucleus_app.kinet.backends import wrap_network
from nucleus_app.kinet.checkpoint import Version, load_version, save_version
from nucleus_app.kinet.config import KiNetConfig, Provenance, Thresholds
from nucleus_app.kinet.evaluation import Evaluation, evaluate, radius_in_um
from nucleus_app.kinet.network import KiNet
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.whole_files import writing_whole
from trainer.learning.augment import Batch, draw_batch
from trainer.learning.calibrate import calibrate_thresholds
from trainer.learning.dataset import TrainingImage
from trainer.learning.losses import is_finite, joint_loss
from trainer.learning.mentor import Mentor
from trainer.learning.policy import TrainPolicy
from trainer.learning.precision import in_bfloat16
from trainer.learning.team import Team

SET_POWER = 0.35
Report = Callable[[dict[str, Any]], None]


class Run:
    """State of one run; everything that must survive a stop is in :meth:`state`."""

    def __init__(
        self, network: KiNet, policy: TrainPolicy, device: str, *, team: Team | None = None, frozen_stages: int = 0
    ) -> None:
        self.policy = policy
        self.device = torch.device(device)
        self.team = team or Team.alone()
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._frozen = self.network.contraction.stages()[:frozen_stages]
        for stage in self._frozen:
            stage.requires_grad_(False)
        self.average = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.network, policy.weight_decay), lr=policy.learning_rate
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, max_lr=policy.learning_rate, total_steps=policy.steps, pct_start=0.1
        )
        self.step = 0
        self.best_score = -1.0
        self.stale = 0
        self.seconds = 0.0
        """Wall time so far, over all resumes."""
        self.rng = np.random.default_rng(policy.seed)

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "best_score": self.best_score,
            "stale": self.stale,
            "seconds": self.seconds,
            "rng": json.dumps(self.rng.bit_generator.state),
            "dropout": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.best_score, self.stale = state["step"], state["best_score"], state["stale"]
        self.seconds = state.get("seconds", 0.0)  # files of before it was kept
        self.rng.bit_generator.state = json.loads(state["rng"])
        if "dropout" in state:
            torch.set_rng_state(state["dropout"])

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One gradient step; returns the loss terms. Raises TrainingDiverged when a loss is not finite."""
        self.network.train()
        for stage in self._frozen:
            stage.eval()  # the statistics of its norms stay as they are too
        on_device = Batch(*(part.to(self.device) for part in batch))
        image = on_device.image.contiguous(memory_format=torch.channels_last)
        with in_bfloat16(self.device):
            output = self.network(image, with_roi=self.step % self.policy.roi_every == 0)
        roi = output.roi_logits
        output = type(output)(output.proximity.float(), None if roi is None else roi.float())
        with_correlation = self.step >= self.policy.eta_off_steps * self.policy.steps
        terms = joint_loss(output, on_device, self.policy, with_correlation=with_correlation)
        if not self.team.all_agree(is_finite(terms)):  # else the others would wait for one who is gone
            raise TrainingDiverged(
                f"loss {terms.total.item()} at step {self.step}: lower --learning-rate, or resume from the last checkpoint"
            )
        self.optimiser.zero_grad(set_to_none=True)
        terms.total.backward()  # type: ignore[no-untyped-call]
        self.team.average_gradients(self.network)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        self._follow()
        return {name: value.item() for name, value in terms._asdict().items()}

    @torch.no_grad()
    def _follow(self) -> None:
        """Exponential moving average of the weights (norm statistics are copied): what is evaluated and saved."""
        decay = min(self.policy.ema_decay, self.step / (self.step + 10))
        own = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point() and "running_" not in name:
                value.lerp_(own[name], 1 - decay)
            else:
                value.copy_(own[name])


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Norms and biases are not decayed."""
    learning = [p for p in network.parameters() if p.requires_grad]
    flat = [p for p in learning if p.ndim < 2]
    deep = [p for p in learning if p.ndim >= 2]
    return [{"params": deep, "weight_decay": weight_decay}, {"params": flat, "weight_decay": 0.0}]


def fit(
    network: KiNet,
    training: Sequence[TrainingImage],
    validation: Sequence[LabelledImage],
    policy: TrainPolicy,
    out: Path,
    provenance: Provenance,
    *,
    device: str = "cpu",
    resume: bool = False,
    report: Report,
    mentor: Mentor | None = None,
) -> Version:
    """Train ``network`` and write the best version, by validation, to ``out``. Returns that version, reloaded.

    ``out`` + ``.resume`` holds the run's state after every evaluation and is removed at the end.
    """
    run = Run(network, policy, device)
    checkpoint = out.with_suffix(out.suffix + ".resume")
    if resume and checkpoint.is_file():
        run.restore(torch.load(checkpoint, map_location="cpu", weights_only=True))
        report({"event": "checkpoint", "step": run.step})
    shares = sampling_shares(training, policy.set_shares)
    started, losses = time.monotonic() - run.seconds, []
    with ThreadPoolExecutor(1) as drawer:
        upcoming = drawer.submit(_draw, training, shares, policy, network.config, run.rng)
        while run.step < policy.last_step and run.stale < policy.patience:
            batch = upcoming.result()
            drawn_after = json.dumps(run.rng.bit_generator.state)
            upcoming = drawer.submit(_draw, training, shares, policy, network.config, run.rng)
            losses.append(run.train_step(mentor.complete(batch) if mentor else batch))
            run.seconds = time.monotonic() - started
            if run.step % 50 == 0:
                report(_progress(run, losses))
            if run.step % policy.evaluate_every == 0 or run.step == policy.last_step:
                upcoming.result()
                line = _evaluate_and_keep(run, validation, out, provenance)
                report({"event": "evaluation", "step": run.step, "loss": mean_losses(losses), **line})
                losses = []
                save_state(run.state() | {"rng": drawn_after}, checkpoint)
    checkpoint.unlink(missing_ok=True)
    return load_version(out)


def _draw(
    images: Sequence[TrainingImage],
    shares: NDArray[np.float64],
    policy: TrainPolicy,
    config: KiNetConfig,
    rng: np.random.Generator,
) -> Batch:
    chosen = rng.choice(len(images), policy.batch, p=shares)
    return draw_batch([images[i] for i in chosen], policy.crop_px, config, rng)


def sampling_shares(images: Sequence[TrainingImage], favoured: Sequence[tuple[str, float]] = ()) -> NDArray[np.float64]:
    """Sets weigh by a small power of their nuclei, images of a set by the root of theirs: small labs are heard. Favoured
    sets weigh so many times more.
    """
    sets = np.array([image.name.split("_")[0] for image in images])
    nuclei = np.array([len(image.nuclei) + 1.0 for image in images])
    shares = np.sqrt(nuclei)
    for name in np.unique(sets):
        of_set = sets == name
        shares[of_set] *= nuclei[of_set].sum() ** SET_POWER * dict(favoured).get(str(name), 1.0) / shares[of_set].sum()
    normalised: NDArray[np.float64] = shares / shares.sum()
    return normalised


def _evaluate_and_keep(
    run: Run, validation: Sequence[LabelledImage], out: Path, provenance: Provenance
) -> dict[str, Any]:
    """Calibrate, evaluate and, when it is the best so far, save the averaged weights."""
    radius = radius_in_um(MATCH_UM)
    version = Version(run.average.config, Thresholds(), provenance, "", {})
    predictor = Predictor(version, wrap_network(run.average, version.thresholds.smoothing_px, str(run.device)))
    thresholds = calibrate_thresholds(predictor, validation, radius)
    result = evaluate(predictor.with_thresholds(thresholds.per_class), validation, radius)
    line = summarise(result) | {"thresholds": thresholds.per_class}
    score = line["detection_f1"] + 0.5 * line["weighted_f1"] - 0.01 * (line["index_mae_points"] or 0.0)
    run.stale += 1
    notes = {
        "policy": asdict(run.policy), "step": run.step, "validation": line,
        "seconds": round(run.seconds), "torch": torch.__version__,
    }  # fmt: skip
    named = replace(provenance, notes=provenance.notes | notes)
    if run.policy.keep_each:
        save_version(out.with_name(f"{out.name}.{run.step}"), run.average, thresholds, named)
    if score > run.best_score or (run.policy.keep_last and run.step == run.policy.last_step):
        run.best_score, run.stale = score, 0
        save_version(out, run.average, thresholds, named)
    return line | {"best": run.stale == 0}


def summarise(result: Evaluation) -> dict[str, Any]:
    """The numbers of an evaluation that a log line holds."""
    agreement = result.agreement
    index = agreement.index_mae_points
    return {
        "detection_f1": round(agreement.detection.f1, 4),
        "precision": round(agreement.detection.precision, 4),
        "recall": round(agreement.detection.recall, 4),
        "weighted_f1": round(agreement.weighted.f1, 4),
        "class_f1": {k.slug: round(agreement.of_class(k).f1, 4) for k in agreement.classes_in_truth},
        "index_mae_points": None if index is None else round(index, 3),
        "auc": round(result.auc, 4),
    }


def save_state(state: dict[str, Any], path: Path) -> None:
    with writing_whole(path) as partial:
        torch.save(state, partial)


def _progress(run: Run, losses: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "event": "progress",
        "step": run.step,
        "of": run.policy.steps,
        "elapsed_s": round(run.seconds, 1),
        "loss": mean_losses(losses[-50:]),
    }


def mean_losses(losses: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(float(np.mean([line[name] for line in losses])), 5) for name in losses[0]} if losses else {}
