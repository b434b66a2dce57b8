"""One fine-tuning: a version in service learns a lab from a few corrected fields, and keeps what it knew.

As MicroNet teaches (Xing et al. 2019, BMC Bioinformatics): start from a trained network, leave its first stages as they are,
mix in auxiliary data weighed by γ. What nobody labelled is no background (Feng et al. 2019): there the network's own
running average speaks, softly.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import MATCH_UM
from nucleus_app.domain.nuclei import CANDIDATE_SHARE
from nucleus_app.errors import InvalidDataset
from nucleus_app.kinet.checkpoint import Version, load_version, state_of, write_version
from nucleus_app.kinet.config import Provenance
from nucleus_app.kinet.evaluation import evaluate, radius_in_um
from nucleus_app.kinet.network import KiNet, restore_network
from nucleus_app.kinet.predictor import Predictor
from trainer.learning.augment import SAME_LAB, UNKNOWN_LAB, Batch, draw_batch
from trainer.learning.average import blend
from trainer.learning.calibrate import fit_confidence, judge_nuclei
from trainer.learning.dataset import EXCLUDED, TrainingImage, mask_near
from trainer.learning.example import Example
from trainer.learning.lessons import DOUBT_REACH_UM, prepare_lesson
from trainer.learning.loop import Report, Run, mean_losses, sampling_shares, save_state, summarise
from trainer.learning.mentor import ask
from trainer.learning.replay import Replay, collect_replay
from trainer.learning.team import Team
from trainer.learning.tune_policy import TunePolicy

CHECKPOINT_EVERY_S = 20.0
REPORT_EVERY = 5
EVALUATIONS = 4
FEWEST_TO_CALIBRATE = 300
"""Nuclei of validation cases from which on they alone say what a proximity means; with fewer the training cases help, and
with too few even so it stays as it was."""


class Crops(NamedTuple):
    """How many crops of a batch are the lab's, are told their truth, are asked about."""

    lab: int
    told: int
    asked: int


class _Source:
    """Draws the batches of a run."""

    def __init__(self, lessons: Sequence[TrainingImage], start: Version, policy: TunePolicy) -> None:
        rng = np.random.default_rng(policy.seed)
        folder = Path(policy.replay_dir) if policy.replay_dir else None
        kinds = tuple(Replay(kind) for kind in policy.replay)
        told, asked = collect_replay(kinds, lessons, folder, start.config.mpp, rng)
        self._pools = (lessons, told, asked)
        self._config, self._policy = start.config, policy
        replayed = round(policy.batch * policy.replay_share) if told or asked else 0
        n_told = 0 if not told else replayed if not asked else replayed // 2
        self.crops = Crops(policy.batch - replayed, n_told, replayed - n_told)

    def draw(self, rng: np.random.Generator) -> Batch:
        """Crops of the lab first, then those that are told, then those that are asked about."""
        parts = []
        for pool, count, variety in zip(self._pools, self.crops, (SAME_LAB, UNKNOWN_LAB, UNKNOWN_LAB), strict=True):
            if count:
                chosen = rng.choice(len(pool), count, p=sampling_shares(pool))
                parts.append(draw_batch([pool[i] for i in chosen], self._policy.crop_px, self._config, rng, variety))
        return Batch(*(torch.cat(planes) for planes in zip(*parts, strict=True)))


@torch.no_grad()
def complete(batch: Batch, crops: Crops, policy: TunePolicy, start: KiNet, average: KiNet) -> Batch:
    """Fill in what no label says: the start's answers on the crops that are asked about, and softly the running average's
    where the lab's crops are unlabelled. Replayed crops weigh 1/γ.
    """
    proximity, weight, absent = batch.proximity.clone(), batch.weight.clone(), batch.absent.clone()
    if crops.asked:
        proximity[-crops.asked :] = ask(start, batch.image[-crops.asked :])
        absent[-crops.asked :] = 0  # what the start sees there counts, removed by a person or not
    weight[crops.lab :] /= policy.gamma
    if crops.lab and policy.open_weight:
        own = slice(0, crops.lab)
        open_ = (weight[own] == 0) & (batch.region[own, None] != EXCLUDED)
        answer = ask(average, batch.image[own])
        proximity[own] = torch.where(open_, answer, proximity[own])
        weight[own] = torch.where(open_, policy.open_weight, weight[own])
    return batch._replace(proximity=proximity, weight=weight, absent=absent)


def finetune(
    start: Version,
    training: Sequence[Example],
    validation: Sequence[Example],
    policy: TunePolicy,
    out: Path,
    provenance: Provenance,
    *,
    device: str,
    team: Team,
    report: Report,
    attend: Callable[[], None],
) -> Version:
    """Fine-tune ``start`` on examples and write the result to ``out``, whole or not at all; returns it, reloaded.

    ``attend`` is called before every step: it may wait, or raise to stop the run, whose state is then in ``out`` +
    ``.resume``; a later call goes on from there. Raises InvalidDataset without anything to learn, TrainingDiverged.
    """
    tuning = _Tuning(start, training, validation, policy, out, device=device, team=team, report=report)
    tuning.resume()
    try:
        tuning.train(attend)
    except BaseException:
        tuning.save()
        raise
    team.average_statistics(tuning.run.average)
    team.follow(lambda: write_version(out, tuning.finish(provenance)))
    tuning.forget()
    return load_version(out)


def _prepare_lessons(training: Sequence[Example], start: Version, policy: TunePolicy) -> list[TrainingImage]:
    lessons = [prepare_lesson(example, start.config.mpp, weak_roi=policy.weak_roi) for example in training]
    taught = [lesson for lesson in lessons if lesson.weight.any() or (policy.weak_roi and lesson.region.any())]
    if not taught:
        raise InvalidDataset("Nothing was corrected or reviewed in the training cases: there is nothing to learn from.")
    return taught


def list_judged(examples: Sequence[Example]) -> list[LabelledImage]:
    """Examples as far as somebody says both what is there and what is not; doubtful places would count as wrong."""
    labelled = []
    for example in examples:
        reach = DOUBT_REACH_UM / example.mpp
        image = example.as_labelled()
        area = (example.reviewed | example.signed) & ~mask_near(example.doubtful, example.reviewed.shape, reach)
        labelled.append(replace(image, labelled_area=area))
    return [image for image in labelled if _count_nuclei([image])]


def _count_nuclei(images: Sequence[LabelledImage]) -> int:
    return sum(len(image.inside_labelled_area(image.nuclei)) for image in images)


class _Tuning:
    """One run and what it needs."""

    def __init__(
        self,
        start: Version,
        training: Sequence[Example],
        validation: Sequence[Example],
        policy: TunePolicy,
        out: Path,
        *,
        device: str,
        team: Team,
        report: Report,
    ) -> None:
        self.start, self.policy, self.team, self.report = start, policy, team, report
        self.validation = list_judged(validation)
        self.calibrating = self.validation
        if _count_nuclei(self.validation) < FEWEST_TO_CALIBRATE:
            self.calibrating = [*self.validation, *list_judged(training)]
        self.checkpoint = out.with_suffix(out.suffix + ".resume")
        self._device = device
        self.run = self._begin()
        self.before = restore_network(start).to(self.run.device)
        self.source = _Source(_prepare_lessons(training, start, policy), start, policy)
        self.losses: list[dict[str, float]] = []
        self._drawn_after = ""
        self._saved = time.monotonic()

    def _begin(self) -> Run:
        """The run at its first step."""
        torch.manual_seed(self.policy.seed)
        network = restore_network(self.start)
        frozen = min(self.policy.frozen_stages, len(network.contraction.stages()))
        run = Run(network, self.policy.as_train_policy(), self._device, team=self.team, frozen_stages=frozen)
        if self.team.rank:
            run.rng = np.random.default_rng([self.policy.seed, self.team.rank])
        return run

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one; one that a power cut damaged costs its steps, not the run."""
        if not self.checkpoint.is_file():
            return
        try:
            self.run.restore(torch.load(self.checkpoint, map_location="cpu", weights_only=True))
        except Exception:  # whatever a damaged file gives, or one of an older release
            self.run = self._begin()
            self.report(
                {"event": "note", "text": "The checkpoint could not be read: this run begins at its first step."}
            )
            return
        if self.team.rank:
            self.run.rng = np.random.default_rng([self.policy.seed, self.team.rank, self.run.step])
            torch.manual_seed(self.policy.seed + self.team.rank + self.run.step)
        self.report({"event": "checkpoint", "step": self.run.step})

    def train(self, attend: Callable[[], None]) -> None:
        run, policy = self.run, self.policy
        every = max(1, policy.steps // EVALUATIONS)
        started = time.monotonic() - run.seconds
        with ThreadPoolExecutor(1) as drawer:
            upcoming = drawer.submit(self.source.draw, run.rng)
            while run.step < policy.steps:
                waited = time.monotonic()
                self.team.follow(attend)
                started += time.monotonic() - waited
                drawn = upcoming.result()
                self._drawn_after = json.dumps(run.rng.bit_generator.state)
                upcoming = drawer.submit(self.source.draw, run.rng)
                batch = complete(drawn, self.source.crops, policy, self.before, run.average)
                self.losses.append(run.train_step(batch))
                run.seconds = time.monotonic() - started
                if run.step % REPORT_EVERY == 0 or run.step == policy.steps:
                    self._tell_progress()
                if run.step % every == 0 and self.team.is_lead:
                    self._tell_evaluation()
                if time.monotonic() - self._saved > CHECKPOINT_EVERY_S:
                    self.save()

    def save(self) -> None:
        """Keep the state on disk; what was drawn ahead is drawn again."""
        if not self.team.is_lead or not self._drawn_after:
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        save_state(self.run.state() | {"rng": self._drawn_after}, self.checkpoint)
        self._saved = time.monotonic()

    def forget(self) -> None:
        if self.team.is_lead:
            self.checkpoint.unlink(missing_ok=True)

    def finish(self, provenance: Provenance) -> Version:
        """The result as a version, its confidence by what validation cases (or else training cases) say.

        The thresholds stay: moved for one lab, they cost the others nearly two points of F1 (docs/learning.md).
        """
        version = replace(self._blend(), provenance=provenance)
        if _count_nuclei(self.calibrating) < FEWEST_TO_CALIBRATE:
            return version
        judged = judge_nuclei(
            self._open(version).with_lower_thresholds(CANDIDATE_SHARE), self.calibrating, radius_in_um(MATCH_UM)
        )
        return replace(version, confidence=fit_confidence(judged.scores, judged.right))

    def _blend(self) -> Version:
        learned = replace(self.start, state=state_of(self.run.average), sha256="")
        return blend(self.start, learned, self.policy.kept_share)

    def _open(self, version: Version) -> Predictor:
        return Predictor.open(version, str(self.run.device))

    def _tell_progress(self) -> None:
        run = self.run
        left = (self.policy.steps - run.step) * run.seconds / run.step
        self.report(
            {
                "event": "progress", "step": run.step, "of": self.policy.steps, "seconds_left": round(left),
                "loss": mean_losses(self.losses[-REPORT_EVERY:]),
            }
        )  # fmt: skip

    def _tell_evaluation(self) -> None:
        if not self.validation:
            return
        result = evaluate(self._open(self._blend()), self.validation, radius_in_um(MATCH_UM))
        self.report({"event": "evaluation", "step": self.run.step, **summarise(result)})
