"""``python -m trainer``: watch over a store and learn from its signed corrections. ``fit`` and the other commands train
and judge on folders of labelled images.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import MATCH_UM
from nucleus_app.domain.nuclei import CANDIDATE_SHARE
from nucleus_app.errors import NucleusAppError
from nucleus_app.imaging.dataset import read_datasets
from nucleus_app.kinet.checkpoint import load_version, write_version
from nucleus_app.kinet.config import HALF, LARGE, PAPER, SMALL, KiNetConfig, Provenance, Thresholds
from nucleus_app.kinet.evaluation import radius_in_um
from nucleus_app.kinet.network import KiNet, restore_network
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.log import set_up_logging
from nucleus_app.settings import read_settings
from trainer.base.pretrained import start_network
from trainer.base.readings import read_readings
from trainer.base.scale_guess import fit_scale_guess
from trainer.base.seeds import SeedFinder
from trainer.base.teacher import Teacher
from trainer.base.teaching_set import UnlabelledFile, assemble
from trainer.judging.judge import judge, restain_images
from trainer.learning.average import average_versions
from trainer.learning.calibrate import calibrate_thresholds, fit_confidence, judge_nuclei, measure_reliability
from trainer.learning.dataset import hash_images, split_by_case
from trainer.learning.loop import fit
from trainer.learning.mentor import Mentor
from trainer.learning.policy import TrainPolicy
from trainer.learning.tune_policy import parse_policy
from trainer.watch import run_watch

DEFAULTS = TrainPolicy()
SIZES: dict[str, KiNetConfig] = {"small": SMALL, "half": HALF, "large": LARGE, "paper": PAPER}
RESTAINED_FOR_SCALE = 2
"""Copies of each labelled image, stained as by other labs: else the guess of the scale learns a stain along with its nuclei."""


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given or ["watch"])
    try:
        options.run(options)
    except NucleusAppError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    watch = commands.add_parser("watch", help="learn from signed corrections until stopped (default)")
    watch.add_argument("--once", action="store_true", help="end when there is nothing (more) to do")
    watch.add_argument("--policy", type=Path, metavar="FILE", help="JSON with fields of the training policy to change")
    watch.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    watch.set_defaults(run=_watch)
    fit_parser = commands.add_parser("fit", help="train and write the best version, by validation")
    fit_parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR")
    fit_parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    fit_parser.add_argument("--size", choices=sorted(SIZES), default="half")
    fit_parser.add_argument("--name", default="", help="name of the version (default: the file's)")
    fit_parser.add_argument(
        "--pretrained",
        type=Path,
        metavar="FILE",
        help="encoder weights (.pth), or InstanSeg's TorchScript file (.pt) for the large network",
    )
    fit_parser.add_argument("--start", type=Path, metavar="FILE", help="go on from this version instead of anew")
    fit_parser.add_argument("--validation", nargs="*", default=[], metavar="CASE", help="case names held out")
    fit_parser.add_argument("--steps", type=int, default=DEFAULTS.steps)
    fit_parser.add_argument("--stop-after", type=int, metavar="STEP", help="end there, in the middle of the schedule")
    fit_parser.add_argument("--batch", type=int, default=DEFAULTS.batch)
    fit_parser.add_argument("--crop-px", type=int, default=DEFAULTS.crop_px)
    fit_parser.add_argument("--learning-rate", type=float, default=DEFAULTS.learning_rate)
    fit_parser.add_argument("--proximity-decay", type=float, metavar="F", help="α of Eq. 1; default: the network's own")
    fit_parser.add_argument("--weak-weight", type=float, default=DEFAULTS.weak_weight, metavar="F")
    fit_parser.add_argument("--auxiliary-variants", type=int, default=DEFAULTS.auxiliary_variants, metavar="N")
    fit_parser.add_argument("--unlabelled-weight", type=float, default=DEFAULTS.unlabelled_weight, metavar="F")
    fit_parser.add_argument(
        "--share", nargs="*", default=[], type=_parse_share, metavar="SET:FACTOR", help="sets to draw more often"
    )
    fit_parser.add_argument("--roi-every", type=int, default=DEFAULTS.roi_every, metavar="STEPS")
    fit_parser.add_argument("--auxiliary", type=Path, metavar="DIR", help="H&E images with classed nuclei")
    fit_parser.add_argument("--auxiliary-weight", type=float, default=DEFAULTS.auxiliary_weight, metavar="F")
    fit_parser.add_argument("--teacher", type=Path, metavar="FILE", help="version that refines the labels")
    fit_parser.add_argument("--second-teacher", type=Path, metavar="FILE", help="InstanSeg's TorchScript file")
    fit_parser.add_argument(
        "--bystanders", action="store_true", help="the second teacher also shows non-tumour nuclei that nobody labelled"
    )
    fit_parser.add_argument("--mentor", type=Path, metavar="FILE", help="version whose answers are learned everywhere")
    fit_parser.add_argument("--mentor-share", type=float, default=DEFAULTS.mentor_share, metavar="F")
    fit_parser.add_argument("--mentor-open-weight", type=float, default=DEFAULTS.mentor_open_weight, metavar="F")
    fit_parser.add_argument(
        "--unlabelled", nargs="*", default=[], metavar="FILE:MPP", help="images that the teacher labels"
    )
    fit_parser.add_argument("--readings", type=Path, metavar="FILE", help="what a person read in the unlabelled images")
    fit_parser.add_argument("--evaluate-every", type=int, default=DEFAULTS.evaluate_every)
    fit_parser.add_argument("--keep-last", action="store_true", help="keep the last version, not the best one")
    fit_parser.add_argument("--keep-each", action="store_true", help="also keep each evaluation's, as FILE.STEP")
    fit_parser.add_argument("--patience", type=int, default=DEFAULTS.patience)
    fit_parser.add_argument("--seed", type=int, default=DEFAULTS.seed)
    fit_parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    fit_parser.add_argument("--resume", action="store_true", help="go on from FILE.resume when it is there")
    fit_parser.set_defaults(run=_fit)
    calibrate = commands.add_parser("calibrate", help="choose thresholds, confidence and scale guess of a version")
    calibrate.add_argument("weights", type=Path)
    calibrate.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR")
    calibrate.add_argument("--validation", nargs="*", default=[], metavar="CASE", help="case names held out")
    calibrate.add_argument(
        "--unlabelled", nargs="*", default=[], metavar="FILE:MPP", help="images that show more labs to the scale guess"
    )
    calibrate.add_argument("--name", default="", help="new name of the version")
    calibrate.add_argument("--out", type=Path, required=True, metavar="FILE")
    calibrate.set_defaults(run=_calibrate)
    average = commands.add_parser("average", help="write the mean of the weights of several versions")
    average.add_argument("weights", type=Path, nargs="+")
    average.add_argument("--shares", type=float, nargs="+", required=True, help="one a version, 1 in all")
    average.add_argument("--out", type=Path, required=True, metavar="FILE")
    average.set_defaults(run=_average)
    judge_parser = commands.add_parser("judge", help="print a version's agreement with labelled images, set by set")
    judge_parser.add_argument("weights", type=Path)
    judge_parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR")
    judge_parser.add_argument("--cases", nargs="*", default=[], metavar="CASE", help="these cases only (default: all)")
    judge_parser.add_argument("--restained", type=int, default=0, metavar="N", help="N copies as of other labs instead")
    judge_parser.set_defaults(run=_judge)
    compare = commands.add_parser("compare", help="print what a version says of what a person read, image by image")
    compare.add_argument("weights", type=Path)
    compare.add_argument("--readings", type=Path, required=True, metavar="FILE")
    compare.add_argument("--unlabelled", nargs="+", required=True, metavar="FILE:MPP", help="the images that were read")
    compare.set_defaults(run=_compare)
    return parser


def _watch(options: argparse.Namespace) -> None:
    set_up_logging()
    settings = read_settings(os.environ)
    policy: dict[str, Any] = {"replay_dir": settings.replay_dir}
    if settings.train_steps:
        policy["steps"] = settings.train_steps
    if options.policy:
        try:
            policy |= json.loads(options.policy.read_text("utf-8"))
        except (OSError, ValueError, TypeError) as error:
            raise NucleusAppError(f"{options.policy} is no JSON file with a training policy ({error}).") from error
    parse_policy(policy)  # an unknown name is an error now, not when a run begins
    run_watch(settings, policy, once=options.once, until_stdin_closes=options.until_stdin_closes)


def _fit(options: argparse.Namespace) -> None:
    policy = TrainPolicy(
        steps=options.steps,
        stop_after=options.stop_after,
        batch=options.batch,
        crop_px=options.crop_px,
        learning_rate=options.learning_rate,
        weak_weight=options.weak_weight,
        auxiliary_variants=options.auxiliary_variants,
        unlabelled_weight=options.unlabelled_weight,
        mentor_share=options.mentor_share,
        mentor_open_weight=options.mentor_open_weight,
        set_shares=tuple(options.share),
        roi_every=options.roi_every,
        auxiliary_weight=options.auxiliary_weight,
        evaluate_every=options.evaluate_every,
        patience=options.patience,
        keep_last=options.keep_last,
        keep_each=options.keep_each,
        seed=options.seed,
    )
    if options.bystanders and not options.second_teacher:
        raise NucleusAppError("--bystanders are shown by the second teacher: give --second-teacher FILE, too.")
    torch.manual_seed(policy.seed)
    network = _make_network(options)
    config = network.config
    training, validation = split_by_case(read_datasets(options.data), options.validation)
    teacher = load_version(options.teacher) if options.teacher else None
    seeds = SeedFinder(options.second_teacher, options.out.parent / "seeds") if options.second_teacher else None
    mentor = None
    if options.mentor:
        mentor = Mentor(
            load_version(options.mentor),
            options.device,
            share=policy.mentor_share,
            open_weight=policy.mentor_open_weight,
        )
    prepared = assemble(
        training, config, policy,
        teacher=Teacher(Predictor.open(teacher, options.device), seeds) if teacher else None,
        seeds=seeds if options.bystanders else None,
        unlabelled=[UnlabelledFile.parse(text) for text in options.unlabelled],
        readings=read_readings(options.readings) if options.readings else {},
        auxiliary=options.auxiliary,
    )  # fmt: skip
    _print_line({"event": "data", "training": len(training), "validation": [image.name for image in validation]})
    provenance = Provenance(
        name=options.name or options.out.stem,
        trained_on=tuple(sorted({image.name.split("_")[0] for image in prepared})),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        notes={
            "data_sha256": hash_images(prepared),
            "teacher_sha256": teacher.sha256 if teacher else None,
            "second_teacher_sha256": seeds.sha256 if seeds else None,
            "mentor_sha256": mentor.sha256 if mentor else None,
            "start_sha256": load_version(options.start).sha256 if options.start else None,
        },
    )
    version = fit(
        network, prepared, validation, policy, options.out, provenance,
        device=options.device, resume=options.resume, report=_print_line, mentor=mentor,
    )  # fmt: skip
    _print_line({"event": "done", "file": str(options.out), "sha256": version.sha256})


def _calibrate(options: argparse.Namespace) -> None:
    loaded = load_version(options.weights)
    version = replace(loaded, thresholds=Thresholds(loaded.thresholds.per_class))  # peaks as they are found today
    predictor = Predictor.open(version)
    training, validation = split_by_case(read_datasets(options.data), options.validation)
    radius = radius_in_um(MATCH_UM)
    thresholds = calibrate_thresholds(predictor, validation, radius)
    predictor = predictor.with_thresholds(thresholds.per_class)
    judged = judge_nuclei(predictor.with_lower_thresholds(CANDIDATE_SHARE), validation, radius)
    confidence = fit_confidence(judged.scores, judged.right)
    more_stains = restain_images(training, version.config.mpp, RESTAINED_FOR_SCALE)
    unlabelled = [UnlabelledFile.parse(text) for text in options.unlabelled]
    shown = chain(((i.rgb, i.mpp) for i in chain(training, more_stains)), ((f.read(), f.mpp) for f in unlabelled))
    write_version(options.out, replace(
        version, thresholds=thresholds, confidence=confidence, scale_guess=fit_scale_guess(predictor, shown),
        provenance=replace(version.provenance, name=options.name or version.name),
    ))  # fmt: skip
    _print_line(
        {
            "event": "calibrated",
            "thresholds": thresholds.per_class,
            "confidence": [confidence.slope, confidence.intercept],
            "reliability": [
                [round(b.said, 3), round(b.true, 3), b.nuclei]
                for b in measure_reliability(confidence, judged.scores, judged.right)
            ],
            "sha256": load_version(options.out).sha256,
        }
    )


def _parse_share(text: str) -> tuple[str, float]:
    name, _, factor = text.partition(":")
    return name, float(factor)


def _average(options: argparse.Namespace) -> None:
    write_version(options.out, average_versions([load_version(f) for f in options.weights], options.shares))
    _print_line({"event": "averaged", "sha256": load_version(options.out).sha256})


def _judge(options: argparse.Namespace) -> None:
    predictor = Predictor.open(load_version(options.weights))
    images: Iterable[LabelledImage] = read_datasets(options.data)
    if options.cases:
        images = split_by_case(images, options.cases)[1]
    if options.restained:
        images = restain_images(images, predictor.version.config.mpp, options.restained)
    for name, line in judge(predictor, images).items():
        _print_line({"set": name} | line)


def _compare(options: argparse.Namespace) -> None:
    predictor = Predictor.open(load_version(options.weights))
    readings = read_readings(options.readings)
    for file in map(UnlabelledFile.parse, options.unlabelled):
        if reading := readings.get(file.path.stem):
            found = predictor.find(file.read(), file.mpp)
            _print_line({"read": file.path.stem} | reading.compare(found, file.mpp))


def _make_network(options: argparse.Namespace) -> KiNet:
    if options.start:
        network = restore_network(load_version(options.start))
    else:
        network = start_network(SIZES[options.size], options.pretrained)
    if options.proximity_decay:
        network.config = replace(network.config, proximity_decay=options.proximity_decay)
    return network


def _print_line(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
