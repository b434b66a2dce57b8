"""How fast a network learns a lab it never saw, what it forgets, and whether the gate keeps bad lessons out.

    make runs/without-breast.json
    python -m benchmarks.learning --data ../shared/data --base runs/without-breast.safetensors --encoder runs/encoder.pth

The base must never have seen the lab, which ``make`` trains first. Corrections are simulated from the truth
(benchmarks/lab.py). Every trial's result is kept in ``--kept`` at once, so that a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.lab import correct_all, cut_field
from benchmarks.machine import name_machine
from nucleus_app.imaging.dataset import read_datasets
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, Version, load_version, save_version
from nucleus_app.kinet.config import Provenance, Thresholds
from nucleus_app.kinet.network import KiNet
from nucleus_app.kinet.predictor import Predictor
from trainer.judging.gate import judge_candidate
from trainer.judging.judge import judge
from trainer.judging.regression import Regression, make_regression
from trainer.judging.remembered import Finder, Remembered
from trainer.learning.example import Example
from trainer.learning.finetune import finetune
from trainer.learning.team import Team
from trainer.learning.tune_policy import policy_for

TEST_CASES = {"breast": ("03", "08", "13", "15", "18", "22", "23", "28"), "glioma": ("p3",)}
"""Labs that can be the new one, and their cases that only judge."""
SETS = ("breast", "ginet", "glioma", "pnet")
POISONED_SETS, POISONED_SHARE, POISONED_STEPS = 10, 0.3, 30
POISONED_WHOLE = 2
"""So many of them also as long as the app trains."""
ORDER_SEED = 1
TEST_UM, OTHERS_UM = 350.0, 250.0
"""Side of the squares that are judged, of the lab and of the other sets."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fine-tuning on ``fields`` fields of the lab (0: none, the base as it is)."""

    name: str
    fields: int
    share: float = 1.0
    swapped: float = 0.0
    scratch: bool = False
    seed: int = 0
    longer: int = 1
    """So many times the steps."""
    policy: dict[str, Any] = field(default_factory=dict)


def list_trials(all_fields: int) -> list[Trial]:
    return [
        Trial("zero-shot", 0),
        Trial("all fields, everything learns", all_fields, longer=2, policy={"frozen_stages": 0, "kept_share": 0.0}),
        *(Trial(f"{n} fields", n) for n in (8, 4, 2, 1)),
        Trial("8 fields, 25 % labelled", 8, share=0.25),
        Trial("8 fields, 50 % labelled", 8, share=0.5),
        Trial("8 fields, 100 % labelled, unreviewed", 8, share=0.999),
        Trial("8 fields, no replay", 8, policy={"replay": ()}),
        Trial("8 fields, synthetic replay", 8, policy={"replay": ("synthetic",)}),
        Trial("8 fields, distilled replay", 8, policy={"replay": ("distilled",)}),
        Trial("8 fields, nothing of the start kept", 8, policy={"kept_share": 0.0}),
        Trial("8 fields, without weak ROI", 8, policy={"weak_roi": False}),
        Trial("8 fields, contraction learns too", 8, policy={"frozen_stages": 0}),
        Trial("8 fields, from scratch", 8, scratch=True, policy={"frozen_stages": 0, "replay": (), "learning_rate": 1.5e-3, "kept_share": 0.0}),
        Trial("4 fields, from scratch", 4, scratch=True, policy={"frozen_stages": 0, "replay": (), "learning_rate": 1.5e-3, "kept_share": 0.0}),
    ]  # fmt: skip


class Bench:
    """Images, networks and what was measured so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        images = list(read_datasets([options.data / f"ki67_{options.lab}"]))
        is_test = {image.name: image.name.split("_")[1] in TEST_CASES[options.lab] for image in images}
        pool = [image for image in images if not is_test[image.name]]
        order = np.random.default_rng(ORDER_SEED).permutation(len(pool))
        self.fields = [cut_field(pool[i]) for i in order]
        self.test = [cut_field(image, TEST_UM) for image in images if is_test[image.name]]
        others = read_datasets(options.data / f"ki67_{name}" for name in SETS if name != options.lab)
        self.others = [cut_field(image, OTHERS_UM) for image in others]
        self.start = load_version(options.base)
        self.predictor = Predictor.open(self.start, "cpu")
        self.folder = options.kept / self.start.sha256[:8]
        self.folder.mkdir(parents=True, exist_ok=True)

    def kept(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was measured under that name, or is now."""
        path = self.folder / f"{name.replace(' ', '-').replace('%', '').replace(',', '')}.json"
        if not path.is_file():
            path.write_text(json.dumps({"name": name} | measure(), indent=1), "utf-8")
        read: dict[str, Any] = json.loads(path.read_text("utf-8"))
        print(json.dumps({k: v for k, v in read.items() if k != "lines"}), flush=True)
        return read

    def run(self, trial: Trial) -> dict[str, Any]:
        return self.kept(trial.name, lambda: self._measure(trial))

    def tune(self, trial: Trial) -> tuple[Version, float]:
        """The version that a trial makes, and the seconds that took."""
        if not trial.fields:
            return self.start, 0.0
        examples = correct_all(
            self.fields[: trial.fields], self.predictor, trial.seed, share=trial.share, swapped=trial.swapped
        )
        start = self._fresh() if trial.scratch else self.start
        out, began = self.folder / f"candidate-{os.getpid()}.safetensors", time.perf_counter()
        out.with_suffix(out.suffix + ".resume").unlink(missing_ok=True)  # of a trial that was stopped
        policy = policy_for(len(examples), len(examples), {"steps": self.options.steps} if self.options.steps else {})
        policy = replace(policy, **{"steps": policy.steps * trial.longer} | trial.policy)
        version = finetune(
            start, examples, [], policy, out, Provenance(trial.name),
            device=self.options.device, team=Team.alone(), report=lambda line: None, attend=lambda: None,
        )  # fmt: skip
        return version, time.perf_counter() - began

    def _fresh(self) -> Version:
        """A network that knows ImageNet only."""
        torch.manual_seed(0)
        pretrained = torch.load(self.options.encoder, map_location="cpu", weights_only=True)
        network = KiNet(self.start.config, pretrained=pretrained)
        path = self.folder / f"fresh-{os.getpid()}.safetensors"
        save_version(path, network, Thresholds((0.4, 0.4, 0.4)), Provenance("fresh"))
        return load_version(path)

    def _measure(self, trial: Trial) -> dict[str, Any]:
        version, seconds = self.tune(trial)
        predictor = Predictor.open(version, "cpu")
        lab, others = judge(predictor, self.test)["all"], judge(predictor, self.others)
        return {
            "fields": trial.fields, "seconds": round(seconds, 1), "thresholds": version.thresholds.per_class,
            "detection_f1": lab["detection_f1"], "weighted_f1": lab["weighted_f1"], "class_f1": lab["class_f1"],
            "index_error": lab["index_mae_points"], "others_f1": others["all"]["detection_f1"],
            "others_weighted_f1": others["all"]["weighted_f1"], "others_index_error": others["all"]["index_mae_points"],
        }  # fmt: skip

    def judge_poisoned(self) -> Iterator[dict[str, Any]]:
        """Lessons whose classes are swapped, against locked cases that are as they should be; and one good lesson."""
        regression = make_regression(Predictor.open(load_version(SHIPPED_WEIGHTS), "cpu"), self.folder / "regression")
        incumbent = Remembered(self.predictor, self.folder / "regression")
        locked = correct_all([cut_field(image) for image in self.test], self.predictor, 99)
        draws = range(1, POISONED_SETS + 1)
        short = [
            Trial(f"poisoned {n}", 8, swapped=POISONED_SHARE, seed=n, policy={"steps": POISONED_STEPS}) for n in draws
        ]
        whole = [Trial(f"poisoned {n}, whole", 8, swapped=POISONED_SHARE, seed=n) for n in draws[:POISONED_WHOLE]]
        for trial in (Trial("not poisoned", 8), *whole, *short):
            yield self.kept(
                f"gate, {trial.name}", lambda trial=trial: self._judge(trial, incumbent, locked, regression)
            )  # type: ignore[misc]

    def _judge(
        self, trial: Trial, incumbent: Finder, locked: Sequence[Example], regression: Regression
    ) -> dict[str, Any]:
        version, seconds = self.tune(trial)
        lessons = correct_all(self.fields[: trial.fields], self.predictor, trial.seed, swapped=trial.swapped)
        verdict = judge_candidate(Predictor.open(version, "cpu"), incumbent, locked, lessons, regression)
        return {
            "swapped": trial.swapped, "state": verdict.state.value, "reasons": list(verdict.reasons),
            "agreement": verdict.lesson_agreement, "seconds": round(seconds, 1),
            "weighted_f1": list(verdict.locked.weighted_f1) if verdict.locked else None,
        }  # fmt: skip


def share_of_gap(zero: dict[str, Any], ceiling: dict[str, Any], trial: dict[str, Any], name: str) -> float | None:
    """How much of the way from the base to training on all fields a trial went, in that error."""
    gap = ceiling[name] - zero[name]
    return (trial[name] - zero[name]) / gap if abs(gap) > 1e-6 else None


def print_table(results: Sequence[dict[str, Any]]) -> None:
    zero, ceiling = results[0], results[1]
    print(
        "| lesson | detection F1 | weighted F1 | index error | of the gap: detection, classes | other sets | seconds |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for r in results:
        shares = [share_of_gap(zero, ceiling, r, name) for name in ("detection_f1", "weighted_f1")]
        told = ", ".join("–" if s is None else f"{100 * s:.0f} %" for s in shares)
        print(
            f"| {r['name']} | {r['detection_f1']:.3f} | {r['weighted_f1']:.3f} | {r['index_error']:.2f} | {told} | "
            f"{r['others_f1']:.3f} ({r['others_f1'] - zero['others_f1']:+.3f}) | {r['seconds']:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lab", choices=sorted(TEST_CASES), default="breast", help="the lab that BASE never saw")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=0, help="default: as in the app")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/learning.local.json"))
    parser.add_argument("--kept", type=Path, default=Path("runs/learning"))
    parser.add_argument("--only", nargs="*", default=[], help="trials of these names")
    parser.add_argument("--no-gate", action="store_true")
    options = parser.parse_args()
    bench = Bench(options)
    chosen = [t for t in list_trials(len(bench.fields)) if not options.only or t.name in options.only]
    results = [bench.run(trial) for trial in chosen]
    gate = [] if options.no_gate else list(bench.judge_poisoned())
    print_table(results)
    whole = {
        "machine": name_machine(),
        "base": bench.start.sha256,
        "steps": options.steps,
        "trials": results,
        "gate": gate,
    }
    options.out.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
