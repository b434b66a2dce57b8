"""Command line: ``score`` and ``evaluate`` images, run a ``worker``, ``migrate`` the database, ``prepare`` the
network.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nucleus_app import RESEARCH_USE_ONLY
from nucleus_app.errors import InvalidDataset, InvalidImage, NucleusAppError
from nucleus_app.log import set_up_logging
from nucleus_app.settings import Settings, read_settings

if TYPE_CHECKING:
    from nucleus_app.reports.record import ImageRecord

# Heavy imports (torch, the database) happen inside the commands that need them: `--help` must answer at once.


MAX_STEM = 60
"""Characters of a file's name that its outputs keep: up to 240 bytes, and 255 is the limit of a name."""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
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
    score = commands.add_parser("score", help="score images and write NAME.json and NAME.csv for each")
    score.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="image files, or folders of them")
    score.add_argument("--mpp", type=float, metavar="F", help="µm per pixel; default: what each file states")
    score.add_argument("--anyway", action="store_true", help="count even in images that are no Ki67 field")
    score.add_argument("--out", type=Path, required=True, metavar="DIR")
    score.add_argument("--weights", type=Path, metavar="FILE")
    score.set_defaults(run=_score)
    evaluate = commands.add_parser("evaluate", help="judge the network on a folder of labelled images")
    evaluate.add_argument("dataset", type=Path, metavar="DATASET_DIR")
    evaluate.add_argument("--weights", type=Path, metavar="FILE")
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
    prepare = commands.add_parser("prepare", help="make the network ready for a fast first start (make does it)")
    prepare.set_defaults(run=_prepare)
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


def _score(options: argparse.Namespace, settings: Settings) -> int:
    from nucleus_app.imaging.reader import EXTENSIONS, read_image
    from nucleus_app.reports.formats import record_to_csv, record_to_json
    from nucleus_app.services.scoring import load_predictor, score_image

    files = _list_images(options.paths, EXTENSIONS)
    if not files:
        raise InvalidImage(
            f"there is no image in {', '.join(map(str, options.paths))}: give image files or their folder"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    predictor = load_predictor(settings, options.weights)
    limit = settings.max_megapixels
    failed = 0
    for path, stem in zip(files, _distinct_stems(files), strict=True):
        start = time.perf_counter()
        try:
            image = read_image(path, max_megapixels=limit)
            record = score_image(predictor, image, options.mpp, max_megapixels=limit, anyway=options.anyway)
            seconds = time.perf_counter() - start
            (options.out / f"{stem}.json").write_text(record_to_json(record), "utf-8")
            if record.counted:
                (options.out / f"{stem}.csv").write_text(record_to_csv(record), "utf-8")
        except (NucleusAppError, OSError) as error:
            failed += 1
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        print(f"{path.name}: {_summarise(record)}, {seconds:.2f} s")
        for warning in record.warnings:
            print(f"{path.name}: {warning}", file=sys.stderr)
    print(f"{len(files) - failed} passed, {failed} failed. {RESEARCH_USE_ONLY}")
    return 1 if failed else 0


def _summarise(record: ImageRecord) -> str:
    """The result of one image in one line."""
    if not record.counted:
        return "not counted (--anyway counts all the same)"
    index, counts = record.index, record.counts
    shown = (
        "no tumour nucleus"
        if index is None
        else f"{index.percent:.1f} % ({index.low_percent:.1f} to {index.high_percent:.1f})"
    )
    return f"{counts.positive} of {counts.tumour} tumour nuclei positive, index {shown}"


def _list_images(paths: list[Path], extensions: tuple[str, ...]) -> list[Path]:
    """Files as given (whatever their extension), and the images of folders."""
    found: list[Path] = []
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 (pathlib raises for a name that is too long)
            found += sorted(p for p in path.iterdir() if p.suffix.lower() in extensions)
        else:
            found.append(path)
    return found


def _distinct_stems(files: list[Path]) -> list[str]:
    """Output names; files of one stem (a.png, a.jpg) keep their extension so that none overwrites another."""
    stems = [path.stem[:MAX_STEM] for path in files]
    names = [s if stems.count(s) == 1 else path.name[-MAX_STEM:] for s, path in zip(stems, files, strict=True)]
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return distinct


def _evaluate(options: argparse.Namespace, settings: Settings) -> int:
    from nucleus_app.kinet.evaluation import radius_in_px, radius_in_um
    from nucleus_app.services.evaluation import evaluate_folder
    from nucleus_app.services.scoring import load_predictor

    options.json.parent.mkdir(parents=True, exist_ok=True)
    radius = radius_in_px(options.radius_px) if options.radius_px else radius_in_um(options.radius_um or 6.0)
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


if __name__ == "__main__":
    sys.exit(main())
