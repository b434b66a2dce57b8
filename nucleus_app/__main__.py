"""Command line: ``score`` and ``evaluate`` images, run a ``worker``, ``migrate`` or ``backup`` the database,
``prepare`` the network.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from io import TextIOWrapper
from pathlib import Path

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.cli.score import add_arguments as add_score_arguments
from nucleus_app.errors import InvalidDataset, NucleusAppError
from nucleus_app.log import set_up_logging
from nucleus_app.settings import Settings, read_settings

# Heavy imports (torch, the database) happen inside the commands that need them: `--help` must answer at once.


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # a file's name may be no text at all
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    set_up_logging()
    try:
        settings = read_settings(os.environ)
        result: int = options.run(options, settings)
    except NucleusAppError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m nucleus_app", description=__doc__, epilog=RESEARCH_USE_ONLY)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_score_arguments(commands.add_parser("score", help="score images: numbers for each, and the report of a case"))
    evaluate = commands.add_parser("evaluate", help="judge the network on a folder of labelled images")
    evaluate.add_argument("dataset", type=Path, metavar="DATASET_DIR")
    evaluate.add_argument("--weights", default="", metavar="FILE")
    radius = evaluate.add_mutually_exclusive_group()
    radius.add_argument("--radius-px", type=_positive, metavar="F", help="matching radius in image pixels")
    radius.add_argument("--radius-um", type=_positive, metavar="F", help="matching radius in µm (default 6)")
    evaluate.add_argument("--only", nargs="+", default=[], metavar="NAME", help="images whose names start so")
    evaluate.add_argument("--json", type=Path, required=True, metavar="OUT")
    evaluate.set_defaults(run=_evaluate)
    worker = commands.add_parser("worker", help="serve scoring jobs until stopped")
    worker.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)
    worker.set_defaults(run=_worker)
    commands.add_parser("migrate", help="create or upgrade the database").set_defaults(run=_migrate)
    backup = commands.add_parser("backup", help="copy database, images and versions, also while the app runs")
    backup.add_argument(
        "folder", type=Path, metavar="FOLDER", help="new, or an earlier copy: then only what is new is copied"
    )
    backup.set_defaults(run=_backup)
    prepare = commands.add_parser("prepare", help="make the network ready for a fast first start (make does it)")
    prepare.set_defaults(run=_prepare)
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


def _evaluate(options: argparse.Namespace, settings: Settings) -> int:
    from nucleus_app.domain.matching import MATCH_UM
    from nucleus_app.kinet.evaluation import radius_in_px, radius_in_um
    from nucleus_app.services.evaluation import evaluate_folder
    from nucleus_app.services.scoring import load_predictor

    options.json.parent.mkdir(parents=True, exist_ok=True)
    radius = radius_in_px(options.radius_px) if options.radius_px else radius_in_um(options.radius_um or MATCH_UM)
    predictor = load_predictor(settings, options.weights)
    result = evaluate_folder(predictor, options.dataset, radius, tuple(options.only))
    if not result["n_images"]:
        raise InvalidDataset(f"{options.dataset} holds no image named like {options.only}")
    options.json.write_text(json.dumps(result, indent=1), "utf-8")
    summary = {k: v for k, v in result.items() if k != "index"}
    print(json.dumps(summary | {"index_mean_abs_error_points": result["index"]["mean_abs_error_points"]}, indent=1))
    return 0


def _worker(options: argparse.Namespace, settings: Settings) -> int:
    from nucleus_app.services.worker import run_worker

    run_worker(settings, until_stdin_closes=options.until_stdin_closes)
    return 0


def _prepare(options: argparse.Namespace, settings: Settings) -> int:
    from nucleus_app.services.scoring import prepare_shipped

    prepare_shipped()
    return 0


def _migrate(options: argparse.Namespace, settings: Settings) -> int:
    from nucleus_app.services.workplace import open_workplace

    open_workplace(settings)
    return 0


def _backup(options: argparse.Namespace, settings: Settings) -> int:
    from nucleus_app.services.backup import back_up

    copied = back_up(settings, options.folder)
    print(f"{options.folder}: the database and {copied.blobs:,} blobs, {copied.new:,} of them new.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
